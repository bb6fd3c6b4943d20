import Glibc
import Testing
import TraceSynth

/// What stands around the pages: options, instances, gaps in the CPU numbers.
@Suite("Around the pages")
struct WriterTests {
  private static let time: UInt64 = 7_000_000_000

  private func page(_ flavour: TraceFlavour, _ pc: UInt64, at time: UInt64 = time) -> [UInt8] {
    var page = SubBufferPageBuilder(flavour, timestamp: time)
    page.event(KVMEventFormats.entry.payload([pc], pid: 9, flavour: flavour), delta: 0)
    return page.finish()
  }

  static let flavours = [
    TraceFlavour(), TraceFlavour(compression: .zstd), TraceFlavour(version: .v6),
    TraceFlavour(version: .v6, byteOrder: .big), TraceFlavour(byteOrder: .big),
  ]

  @Test(
    "Options change the time as they should", .enabled(if: TraceCmd.path != nil, TraceCmd.missing),
    arguments: flavours)
  func times(_ flavour: TraceFlavour) throws {
    func nanoseconds(_ options: [TraceOption]) throws -> UInt64? {
      var description = TraceDescription(flavour, cpus: 1)
      description.options = options
      let writer = TraceDatWriter(description)
      try writer.append(page(flavour, 1), cpu: 0)
      return try TraceCmd.report(try writer.bytes()).events.first?.nanoseconds
    }
    #expect(try nanoseconds([]) == Self.time)
    #expect(try nanoseconds([.offset(nanoseconds: 1_000_000_001)]) == Self.time + 1_000_000_001)
    #expect(try nanoseconds([.date(microseconds: 0x1234)]) == Self.time + 0x1234 * 1000)
    #expect(
      try nanoseconds([.ticksToNanoseconds(multiplier: 3, shift: 1, offset: 0)]) == Self.time * 3 / 2)
    // A guest's clock that lies 1,000 ns behind its host's.
    let sample = TraceOption.TimeSample(time: 1, offset: 1000)
    for withFractions in [false, true] {
      let shift = TraceOption.timeShift(
        peer: 1, interpolate: false, cpus: [[sample]], withFractions: withFractions)
      #expect(try nanoseconds([shift]) == Self.time + 1000)
    }
    #expect(try nanoseconds([.cpuStat("CPU: 0\nentries: 1\noverrun: 0\n")]) == Self.time)
    #expect(try nanoseconds([.guest(name: "vm", traceID: 1, vcpus: [(0, 10), (1, 11)])]) == Self.time)
    #expect(try nanoseconds([.raw(id: 3000, bytes: [1, 2, 3]), .offset(nanoseconds: 5)]) == Self.time + 5)
  }

  @Test(
    "Gaps in the CPU numbers and empty CPUs stay", .enabled(if: TraceCmd.path != nil, TraceCmd.missing),
    arguments: flavours)
  func sparseCPUs(_ flavour: TraceFlavour) throws {
    var description = TraceDescription(flavour, buffers: [TraceBuffer(cpus: [1, 4, 5])])
    description.options = [.clock("[local] global\n")]
    let writer = TraceDatWriter(description)
    try writer.append(page(flavour, 1), cpu: 1)
    try writer.append(page(flavour, 5, at: Self.time + 1), cpu: 5)
    let events = try TraceCmd.report(try writer.bytes()).events
    #expect(events.map(\.cpu) == [1, 5])
    #expect(events.map { $0.addresses.first } == [1, 5])
  }

  @Test(
    "Instances have their own events", .enabled(if: TraceCmd.path != nil, TraceCmd.missing),
    arguments: flavours)
  func instances(_ flavour: TraceFlavour) throws {
    var description = TraceDescription(
      flavour, buffers: [TraceBuffer(cpus: [0, 1]), TraceBuffer(name: "guest", cpus: [0, 1])])
    description.options = [.clock("[local] global\n")]
    let writer = TraceDatWriter(description)
    try writer.append(page(flavour, 1), cpu: 0)
    try writer.append(page(flavour, 2, at: Self.time + 1), cpu: 0, buffer: 1)
    try writer.append(page(flavour, 3, at: Self.time + 2), cpu: 1, buffer: 1)
    let (text, status) = try TraceCmd.report(text: try writer.bytes())
    #expect(status == 0)
    // trace-cmd puts the instance's name before its events.
    let own = text.split(separator: "\n").filter { $0.contains("kvm_entry") && !$0.contains("guest") }
    let others = text.split(separator: "\n").filter { $0.contains("kvm_entry") && $0.contains("guest") }
    #expect(own.count == 1, "\(text)")
    #expect(others.count == 2, "\(text)")
  }

  @Test("Long traces spill and come back whole", arguments: [TraceFlavour(), TraceFlavour(version: .v6)])
  func spill(_ flavour: TraceFlavour) throws {
    let writer = TraceDatWriter(TraceDescription(flavour, cpus: 2))
    // Beyond the megabyte that a CPU keeps in memory; the CPUs take turns.
    let pages = 700
    for index in 0..<pages {
      for cpu in 0..<2 {
        try writer.append([UInt8](repeating: UInt8((index * 2 + cpu) % 251), count: 4096), cpu: UInt32(cpu))
      }
    }
    let bytes = try writer.bytes()
    var expected: [UInt8] = []
    for cpu in 0..<2 {
      for index in 0..<pages { expected += repeatElement(UInt8((index * 2 + cpu) % 251), count: 4096) }
    }
    let start = try #require(
      bytes.indices.first { $0 % 4096 == 0 && bytes[$0...].starts(with: expected[..<4097]) })
    #expect(bytes[start..<start + expected.count].elementsEqual(expected))
  }

  @Test("Errors name the file and the reason")
  func errors() {
    let full = open("/dev/full", O_WRONLY)
    defer { close(full) }
    do {
      let output = OutputFile(descriptor: full, name: "/dev/full")
      try TraceDatWriter(TraceDescription(TraceFlavour(), cpus: 1)).finish(to: output)
      Issue.record("writing to a full device succeeded")
    } catch {
      #expect("\(error)" == "/dev/full: cannot be written: No space left on device")
    }
  }
}
