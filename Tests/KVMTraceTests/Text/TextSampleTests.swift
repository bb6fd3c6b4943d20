import Foundation
import Testing
import UnnamedFiles

@testable import KVMTrace

/// The texts in traces/inputs/text, which a pKVM host made of one run.
@Suite("Samples of text")
struct TextSampleTests {
  static func bytes(_ name: String) throws -> [UInt8] {
    Array(try Data(contentsOf: Recordings.root.appendingPathComponent("traces/inputs/text/\(name)")))
  }

  static func read(_ name: String) throws -> TextReading { try TextReading(bytes(name)) }

  /// Those that hold the same events.
  static let alike = ["trace.txt", "trace_pipe.txt", "report-with-plugin.txt", "perf-script.txt"]

  @Test(
    "each is read whole, and says what it is",
    arguments: zip(
      alike,
      [
        "text of tracefs (trace)", "text of tracefs (trace_pipe)", "text of trace-cmd report",
        "text of perf script",
      ]))
  func whole(name: String, format: String) throws {
    let reading = try Self.read(name)
    #expect(reading.trace.format == format)
    let counts = reading.counts.filter { $0.key.hasPrefix("kvm:") }
    #expect(
      counts == [
        "kvm:kvm_entry": 7, "kvm:kvm_exit": 7, "kvm:kvm_get_timer_map": 53, "kvm:kvm_guest_fault": 6,
        "kvm:kvm_mmio": 1,
        "kvm:kvm_timer_emulate": 26, "kvm:kvm_timer_restore_state": 26, "kvm:kvm_timer_save_state": 25,
        "kvm:kvm_timer_update_irq": 59, "kvm:kvm_unmap_hva_range": 3,
      ])
    #expect(reading.gaps.isEmpty)
    // Half a second of the run, under the header of all of it.
    #expect(reading.trace.damage.isEmpty == (name != "trace.txt"))
    #expect(reading.trace.cpuCount == 2)
    #expect(reading.trace.streamCount == 1)
    #expect(reading.trace.compression == "none")
    #expect(reading.trace.clock == "")
  }

  @Test("all tell the same of an event", arguments: alike.dropFirst())
  func same(name: String) throws {
    let (one, other) = (try Self.read(Self.alike[0]), try Self.read(name))
    for tid in [138, 139, 140] as [Int32] {
      let expected = one.events.filter { $0.tid == tid && $0.name.hasPrefix("kvm:") }
      let found = other.events.filter { $0.tid == tid && $0.name.hasPrefix("kvm:") }
      #expect(found.map(\.name) == expected.map(\.name))
      #expect(found.map(\.values) == expected.map(\.values))
      #expect(found.map(\.cpu) == expected.map(\.cpu))
    }
  }

  @Test("events come in the order of time, those of one CPU together in a page")
  func order() throws {
    let reading = try Self.read("trace.txt")
    #expect(reading.events.map(\.time) == reading.events.map(\.time).sorted())
    #expect(reading.events.first?.time == 48_525_061_000)
    let runs = zip(reading.events, reading.events.dropFirst()).count { $0.cpu != $1.cpu } + 1
    #expect(reading.pageCount == runs)
  }

  @Test("commands and processes are those of the lines, without what the kernel did not know")
  func threads() throws {
    let pipe = try Self.read("trace_pipe.txt").trace
    #expect(pipe.commands == [138: "vmm", 139: "vmm", 140: "vmm"])
    #expect(pipe.processes == [138: 138, 139: 138, 140: 138])
    let perf = try Self.read("perf-script.txt").trace
    #expect(perf.commands == [138: "vmm"])
    #expect(perf.processes.isEmpty)
  }

  @Test("a dump that begins inside a line is read from its first whole line on, and says so once")
  func cutFront() throws {
    let reading = try Self.read("trace_pipe.txt")
    #expect(reading.counts["probes:commit"] == 2)
    #expect(reading.damage.map(\.offset) == [0])
    #expect(
      reading.damage.map(\.what) == [
        "the first line is no event, or its beginning is cut off; it is left out"
      ])
    #expect(reading.damage[0].cpu == nil)
  }

  @Test("the option fields is read: numbers in both bases, with and without brackets")
  func fields() throws {
    let reading = try Self.read("trace-fields.txt")
    #expect(reading.damage.map(\.what) == ["the header tells of 3548 entries, the text has 52 of them"])
    #expect(reading.events.count == 52)
    let exit = try #require(reading.events.first { $0.kind == .exit && $0["esr_ec"] != 0 })
    #expect(exit["ret"] == 2 && exit["esr_ec"] == 0x20)
    let commit = try #require(reading.events.first)
    #expect(commit.kind == .commitMemoryRegion)
    #expect(commit["npages"] == 48 && commit["kvm"] == 0xffff_0000_c169_0000)
    let map = try #require(reading.events.first { $0.name == "kvm:kvm_get_timer_map" })
    #expect(map.values["direct_ptimer"] == .signed(-1))
  }

  @Test("what trace-cmd says of losses stands before the CPU's next event")
  func losses() throws {
    let reading = try Self.read("report-wrapped.txt")
    #expect(reading.damage.isEmpty)
    #expect(reading.events.count == 107)
    #expect(reading.gaps == [.init(index: 0, cpu: 1, lost: 1491), .init(index: 78, cpu: 0, lost: 0)])
  }

  @Test("the option raw is refused, with what to do")
  func raw() throws {
    let error = #expect(throws: IngestError.self) { try Self.read("trace-raw.txt") }
    #expect(error?.kind == .notATrace)
    #expect(error?.what == "is a trace as text with the option raw or hex, which has no names of events")
    #expect(error?.advice?.hasPrefix("echo 0 > /sys/kernel/tracing/options/raw") == true)
  }

  @Test(
    "a byte order mark changes nothing", arguments: alike.dropFirst() + ["trace-fields.txt", "trace.txt"])
  func byteOrderMark(name: String) throws {
    let bytes = try Self.bytes(name)
    let file = try UnnamedFile([0xef, 0xbb, 0xbf] + bytes)
    let reading = try TextReading(FileBytes(path: file.path))
    let plain = try TextReading(bytes)
    #expect(try TraceFile(path: file.path).format == plain.trace.format)
    #expect(reading.events.map(\.values) == plain.events.map(\.values))
    #expect(reading.damage.map(\.what) == plain.damage.map(\.what))
    #expect(reading.trace.cpuCount == plain.trace.cpuCount)
    let empty = try UnnamedFile([0xef, 0xbb, 0xbf] + "# tracer: nop\n#\n".utf8)
    #expect(try TraceFile(path: empty.path).format == "text of tracefs (trace)")
  }

  @Test("carriage returns at the ends of lines change nothing", arguments: ["trace.txt", "perf-script.txt"])
  func carriageReturns(name: String) throws {
    let bytes = try Self.bytes(name)
    let reading = try TextReading(bytes.flatMap { $0 == 0x0a ? [0x0d, 0x0a] : [$0] })
    let plain = try TextReading(bytes)
    #expect(reading.events.map(\.values) == plain.events.map(\.values))
    #expect(reading.damage.map(\.what) == plain.damage.map(\.what))
  }
}
