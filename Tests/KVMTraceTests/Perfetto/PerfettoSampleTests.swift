import Testing

@testable import KVMTrace

/// Recordings of Perfetto 56 on a 7.3 arm64 host, whole or without some of their bundles. What is expected of them is what the official
/// message classes count.
@Suite("Recordings of Perfetto")
struct PerfettoSampleTests {
  static let names = ["pf-deflate", "pf-lost", "described-part", "kvm-only-part"]

  static func path(_ name: String) -> String {
    Recordings.path("inputs/perfetto/\(name).perfetto-trace")
  }

  @Test("deflated packets and an event that describes itself")
  func deflate() throws {
    let reading = try PerfettoReading(path: Self.path("pf-deflate"))
    #expect(
      reading.counts == [
        "kvm:kvm_timer_update_irq": 895, "kvm:kvm_entry": 774, "kvm:kvm_exit": 774,
        "kvm:kvm_guest_fault": 715, "kvm:kvm_get_timer_map": 122, "kvm:kvm_unmap_hva_range": 91,
        "kvm:kvm_mmio": 82, "kvm:kvm_timer_emulate": 60, "kvm:kvm_timer_restore_state": 60,
        "kvm:kvm_timer_save_state": 60, "kvm:kvm_userspace_exit": 42, "slots:commit": 7,
      ])
    #expect(reading.trace.compression == "zlib" && reading.damage.isEmpty && reading.losses.isEmpty)
    #expect(reading.events.filter { $0.cpu == 0 }.count == 1862)
  }

  @Test("bundles behind a loss, whose size the statistics tell")
  func lost() throws {
    let reading = try PerfettoReading(path: Self.path("pf-lost"))
    #expect(
      reading.losses == [
        .init(cpu: 0, count: 1078, before: 62_955_385_264),
        .init(cpu: 1, count: 1476, before: 63_179_360_688),
      ])
    #expect(reading.events.count == 1274 && reading.counts["kvm:kvm_guest_fault"] == 283)
    #expect(reading.damage.isEmpty && reading.trace.compression == "none")
  }

  @Test("probes and lock events that describe themselves")
  func described() throws {
    let reading = try PerfettoReading(path: Self.path("described-part"))
    #expect(
      reading.counts.filter { !$0.key.hasPrefix("kvm:") } == [
        "lock:contention_begin": 32, "lock:contention_end": 32, "slots:commit": 3, "truth:abort_ret": 78,
        "truth:map": 49, "truth:map_ret": 49, "truth:relax_perms": 4, "truth:relax_perms_ret": 4,
        "truth:unmap": 4, "truth:unmap_gfn": 4, "truth:unmap_ret": 4, "vm:init": 1,
      ])
    // Bundles were taken out of the recording before this one.
    #expect(reading.events.count == 1191)
    #expect(reading.losses == [.init(cpu: 1, count: nil, before: 52_053_097_936)])
    #expect(reading.damage.map(\.what) == [PerfettoLossTests.missing(cpu: 1)])
    let begin = try #require(reading.events.first { $0.name == "lock:contention_begin" })
    #expect(Set(begin.fields.keys) == ["lock_number", "flags"])
  }

  @Test("what is said of the host")
  func host() throws {
    let trace = try PerfettoReading(path: Self.path("kvm-only-part")).trace
    #expect(
      trace.uname
        == "Linux - 7.3.4+deb13-cloud-arm64 #1 SMP PREEMPT Debian 7.3.4-1~bpo13+1 (2026-11-15) aarch64")
    #expect(trace.clock == "boot" && trace.cpuCount == 2 && trace.hostPageBytes == 4096)
    #expect(trace.commands[2] == "kthreadd" && trace.commands[1] == "busybox")
    #expect(trace.streamCount == 2 && trace.cpu(ofStream: 1) == 1)
  }

  @Test("events that were asked for can be recorded, whether there are any or not")
  func recordable() throws {
    let formats = try PerfettoReading(path: Self.path("kvm-only-part")).trace.formatTexts
    let names = formats.map { $0.text.split(separator: "\n")[0].dropFirst("name: ".count) }
    #expect(
      names == [
        "kvm_access_fault", "kvm_age_hva", "kvm_entry", "kvm_exit", "kvm_guest_fault", "kvm_mmio",
        "kvm_unmap_hva_range", "kvm_userspace_exit",
      ])
  }

  @Test("events of a group that was asked for can be recorded, those that Perfetto has no message for, too")
  func recordableGroups() throws {
    let formats = try PerfettoReading(path: Self.path("described-part")).trace.formatTexts
    let names = Set(
      formats.map { "\($0.system):\($0.text.split(separator: "\n")[0].dropFirst("name: ".count))" })
    let known = CanonicalFormats.known.filter { $0.system != "ftrace" }.map { "\($0.system):\($0.name)" }
    #expect(names.isSuperset(of: known) && names.contains("kvm:kvm_age_page"))
    #expect(!names.contains("ftrace:print") && !names.contains("slots:unmap_gfn"))
  }

  @Test("a second pass is like the first", arguments: names)
  func again(name: String) throws {
    let first = try PerfettoReading(path: Self.path(name))
    var pages = 0
    for stream in 0..<first.trace.streamCount {
      let supply = first.trace.pages(ofStream: stream)
      while supply.next() != nil { pages += 1 }
    }
    #expect(pages == first.pageCount)
  }
}
