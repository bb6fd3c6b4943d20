import Testing

@testable import KVMTrace

@Suite("Clocks and names of a Perfetto trace")
struct PerfettoHostTests {
  private typealias Parts = PerfettoParts

  private func read(_ packets: ProtoMessage...) throws -> PerfettoReading {
    try PerfettoReading(Parts.trace(packets))
  }

  /// A bundle by another clock: 2 global, 3 local, 4 CLOCK_MONOTONIC_RAW. A pair is a moment by that clock and by CLOCK_BOOTTIME.
  private func bundle(clock: Int, pair: (UInt64, UInt64)? = nil, _ times: [UInt64]) -> ProtoMessage {
    let bundle = Parts.entries(times).adding(5, clock)
    return Parts.packet(pair.map { bundle.adding(6, $0.0).adding(7, $0.1) } ?? bundle)
  }

  @Test("CLOCK_MONOTONIC_RAW becomes CLOCK_BOOTTIME by the first snapshot of the clocks")
  func raw() throws {
    let reading = try read(
      Parts.clocks(raw: 1000, boot: 5000), bundle(clock: 4, [1, 2]), Parts.clocks(raw: 2000, boot: 6001),
      bundle(clock: 4, pair: (10, 20), [3000]))
    #expect(reading.trace.clock == "boot" && reading.times == [4001, 4002, 7000])
  }

  @Test(
    "the kernel's own clocks become CLOCK_BOOTTIME by the first moment that a bundle has", arguments: 2...3)
  func pair(clock: Int) throws {
    let reading = try read(
      bundle(clock: clock, pair: (100, 90), [50, 60]), bundle(clock: clock, pair: (200, 170), [150]))
    #expect(reading.trace.clock == "boot" && reading.times == [40, 50, 140])
  }

  @Test(
    "without such a moment the clock keeps its name and the stamps stay",
    arguments: [(1, ""), (2, "global"), (3, "local"), (4, "mono_raw"), (77, "")])
  func named(clock: Int, name: String) throws {
    let reading = try read(bundle(clock: clock, [50, 60]))
    #expect(reading.trace.clock == name && reading.times == [50, 60] && reading.damage.isEmpty)
  }

  @Test("a clock stands before the events of a bundle or behind them")
  func clockPlace() throws {
    let pair = ProtoMessage().adding(5, 2).adding(6, 10).adding(7, 30)
    let events = [Parts.entry(1), Parts.entry(2)]
    let before = ProtoMessage().adding(1, 0).appending(pair.bytes).adding(2, eachOf: events)
    let between = Parts.bundle([events[0]]).adding(5, 2).adding(2, events[1])
    #expect(try read(Parts.packet(before)).times == [21, 22])
    let reading = try read(Parts.packet(between))
    #expect(reading.times == [1, 2] && reading.trace.clock == "boot")
  }

  @Test("of two clocks that nothing brings together the one is left out, and that is told")
  func twoClocks() throws {
    let reading = try read(Parts.packet(Parts.entries([5])), bundle(clock: 2, [50]))
    #expect(reading.trace.clock == "boot" && reading.times == [5])
    #expect(
      reading.damage.map(\.what) == [
        "events by the clock \"global\" are left out: what CLOCK_BOOTTIME is ahead of it is not recorded"
      ])
    #expect(
      try read(Parts.packet(Parts.entries([5])), bundle(clock: 2, pair: (50, 60), [50])).times == [5, 60])
  }

  @Test("bundles that do not lie in the order of time are put in order, each CPU's by themselves")
  func order() throws {
    let reading = try read(
      Parts.packet(Parts.entries(cpu: 1, [50, 60])), Parts.packet(Parts.entries(cpu: 0, [70])),
      Parts.packet(Parts.entries(cpu: 1, [10, 20])), Parts.packet(Parts.entries(cpu: 0, [5])))
    #expect(reading.times == [5, 70, 10, 20, 50, 60] && reading.trace.streamCount == 2)
  }

  @Test("another machine's events and names are left out, and the events are told")
  func machines() throws {
    let guestBundle = Parts.packet(Parts.entries([3])).adding(98, 7)
    let tree = ProtoMessage().adding(2, ProtoMessage().adding(2, ProtoMessage().adding(1, 7).adding(2, "x")))
    let reading = try read(Parts.packet(Parts.entries([1])), guestBundle, tree.adding(98, 7))
    #expect(reading.times == [1] && reading.trace.commands.isEmpty)
    #expect(
      reading.damage.map(\.what) == [
        "1 bundles of events are another machine's, of which the first is here; they are left out"
      ])
    let offset = Parts.trace(Parts.packet(Parts.entries([1]))).count + 2 + 2
    #expect(reading.damage.map(\.offset) == [offset])
    let error = #expect(throws: IngestError.self) { try read(Parts.system(version: "v56"), guestBundle) }
    #expect(error?.offset == Parts.trace(Parts.system(version: "v56")).count + 2 + 2)
  }

  @Test("a CPU that no host has is left out")
  func cpus() throws {
    let reading = try read(
      Parts.packet(Parts.entries(cpu: 4096, [1])), Parts.packet(Parts.entries(cpu: 4095, [1])))
    #expect(reading.trace.cpuCount == 4096 && reading.events.map(\.cpu) == [4095])
    #expect(
      reading.damage.map(\.what) == ["a bundle of events is of CPU 4096, which no host has; it is left out"])
  }

  @Test("threads have names from process trees and descriptors, and the last one counts")
  func names() throws {
    func process(_ pid: Int, _ words: [String]) -> ProtoMessage {
      words.reduce(ProtoMessage().adding(1, pid)) { $0.adding(3, $1) }
    }
    let tree = ProtoMessage()
      .adding(1, process(10, ["/usr/bin/qemu-system-aarch64", "-smp", "2"]))
      .adding(1, process(11, ["kworker/0:1-events"])).adding(1, process(12, []))
      .adding(2, ProtoMessage().adding(1, 13).adding(3, 10).adding(2, "CPU 0/KVM"))
      .adding(2, ProtoMessage().adding(1, 14).adding(2, "first"))
      .adding(2, ProtoMessage().adding(1, 1 << 40).adding(2, "none")).adding(
        2, ProtoMessage().adding(2, "none"))
    let threadDescriptor = ProtoMessage().adding(1, 10).adding(2, 15).adding(5, "io")
    let reading = try read(
      ProtoMessage().adding(2, tree),
      ProtoMessage().adding(2, ProtoMessage().adding(2, ProtoMessage().adding(1, 14).adding(2, "second"))),
      ProtoMessage().adding(43, ProtoMessage().adding(1, 16).adding(6, "vmm")),
      ProtoMessage().adding(44, threadDescriptor),
      ProtoMessage().adding(60, ProtoMessage().adding(4, ProtoMessage().adding(2, 17).adding(5, "track"))),
      Parts.packet(Parts.entries([1])))
    #expect(
      reading.trace.commands == [
        10: "qemu-system-aar", 11: "kworker/0:1-eve", 13: "CPU 0/KVM", 14: "second", 15: "io", 16: "vmm",
        17: "track",
      ])
  }

  @Test("the host's processors are those that anything tells of")
  func processors() throws {
    let cpuInfo = ProtoMessage().adding(
      67, ProtoMessage().adding(1, eachOf: Array(repeating: ProtoMessage(), count: 6)))
    #expect(try read(Parts.packet(Parts.entries(cpu: 2, [1]))).trace.cpuCount == 3)
    #expect(try read(cpuInfo, Parts.packet(Parts.entries(cpu: 2, [1]))).trace.cpuCount == 6)
    let system = ProtoMessage().adding(45, ProtoMessage().adding(8, 8).adding(6, 16_384))
    let trace = try read(system, cpuInfo, Parts.packet(Parts.entries(cpu: 2, [1]))).trace
    #expect(trace.cpuCount == 8 && trace.hostPageBytes == 16_384 && trace.uname == "")
  }

  @Test("what is no such trace, and what has no events, is refused with advice")
  func refusals() throws {
    func refusal(_ bytes: [UInt8]) throws -> String? {
      let error = #expect(throws: IngestError.self) { try PerfettoReading(bytes) }
      #expect(error?.kind == .notATrace && error?.advice != nil)
      return error?.what
    }
    #expect(try refusal(Array("no trace at all, but a text".utf8)) == "is not a Perfetto trace")
    #expect(
      try refusal([0x0a]) == "is a Perfetto trace without ftrace events: the file ends inside a packet")
    #expect(try refusal([UInt8](repeating: 0, count: 10_000)) == "is not a Perfetto trace")
    #expect(
      try refusal(Parts.trace(Parts.clocks(raw: 1, boot: 2))) == "is a Perfetto trace without ftrace events")
  }
}
