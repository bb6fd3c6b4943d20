import Foundation
@testable import KVMTrace
import Testing

/// Recordings that perf 7.3.4 made on an arm64 host, cut to some hundred samples. Their counts are those that `perf script --guestmount`
/// prints of the whole ones, as far as the samples are kept.
@Suite("Recordings of perf")
struct PerfSampleFileTests {
  static func path(_ name: String) -> String {
    Recordings.root.appendingPathComponent("traces/inputs/perf/\(name)").path
  }

  @Test("a recording with a loss, of the events of KVM and a probe")
  func lost() throws {
    let reading = try PerfReading(FileBytes(path: Self.path("lost.data")))
    #expect(
      reading.counts == [
        "kvm_unmap_hva_range": 10, "kvm_mmio": 29, "kvm_userspace_exit": 14, "kvm_guest_fault": 107,
        "kvm_exit": 119, "kvm_entry": 118, "commit": 3,
      ])
    #expect(reading.losses.map(\.count) == [102])
    #expect(reading.losses.first?.before != nil)
    #expect(reading.streams.map { Set($0.map(\.cpu)) } == [[0], [1]])
    #expect(reading.trace.uname == "Linux (none) 7.3.4+deb13-cloud-arm64 aarch64")
    #expect(reading.trace.hostPageBytes == 4096)
    #expect(reading.trace.commands[212] == "vmm")
    #expect(reading.damage.isEmpty)
  }

  @Test("a compressed recording")
  func compressed() throws {
    let reading = try PerfReading(FileBytes(path: Self.path("compressed.data")))
    #expect(reading.trace.compression == "zstd")
    #expect(reading.counts["kvm_guest_fault"] == 375)
    #expect(reading.events.count == 2_046)
    #expect(reading.damage.isEmpty)
    for stream in reading.streams { #expect(stream.map(\.time) == stream.map(\.time).sorted()) }
  }
}
