import KVMTrace
import Testing
import TraceSynth

/// Version 7 files without the end that describes them.
@Suite("Salvage")
struct SalvageTests {
  static let flavours = TraceFlavour.Compression.allCases.flatMap { compression in
    TraceFlavour.ByteOrder.allCases.map { TraceFlavour(byteOrder: $0, compression: compression) }
  }

  /// Three CPUs with three pages of two events each, and where the buffer's section and the last options begin.
  private func build(
    _ flavour: TraceFlavour, countsCPUs: Bool = true
  ) throws -> (bytes: [UInt8], buffer: Int, end: Int) {
    var description = TraceDescription(flavour, formats: [KVMEventFormats.entry], cpus: 3)
    description.pagesPerChunk = 1
    description.options = [.clock("[mono] local"), .uname("Linux host 7.3.4 aarch64")]
    if countsCPUs { description.options.append(.cpuCount(3)) }
    let writer = TraceDatWriter(description)
    for cpu in 0..<3 {
      for number in 0..<3 {
        let time = UInt64(1000 * number + cpu)
        try writer.append(
          TraceBuilding.entries([time, time + 100], flavour, pid: Int32(cpu)), cpu: UInt32(cpu))
      }
    }
    let bytes = try writer.bytes()
    // The last section but one holds the buffer's option, whose first eight bytes point at the buffer.
    let isBig = flavour.byteOrder == .big
    func number(at offset: Int, _ count: Int) -> Int {
      (0..<count).reduce(0) { $0 | Int(bytes[offset + $1]) << (8 * (isBig ? count - 1 - $1 : $1)) }
    }
    var section = 18 + flavour.compression.rawValue.utf8.count + 1
    while bytes[section] != 0 { section += 1 }
    section += 9
    var sections: [(id: Int, offset: Int)] = []
    while section < bytes.count {
      sections.append((number(at: section, 2), section))
      section += 16 + number(at: section + 8, 8)
    }
    let buffer = try #require(sections.firstIndex { $0.id == 3 })
    return (bytes, sections[buffer].offset, sections[buffer + 1].offset)
  }

  @Test("a buffer that has only lost its description is whole", arguments: flavours)
  func description(flavour: TraceFlavour) throws {
    let (bytes, buffer, end) = try build(flavour)
    let whole = try Reading(bytes)
    let cut = try Reading(Array(bytes[..<end]))
    #expect(whole.damage.isEmpty && whole.events.count == 18)
    #expect(cut.events.map(\.time) == whole.events.map(\.time))
    #expect(cut.events.map(\.cpu) == whole.events.map(\.cpu))
    #expect(cut.events.allSatisfy { $0.tid == Int32($0.cpu) })
    #expect(
      cut.trace.clock?.name == "mono" && cut.trace.bufferNames == [""] && cut.trace.uname == whole.trace.uname
    )
    #expect(cut.damage.map(\.offset) == [end, buffer])
    #expect(cut.damage[0].what.contains("ends before its option section"))
    #expect(cut.damage[1].what == "a buffer has no description; events of 3 CPUs were found in it")
  }

  @Test("behind a top buffer without events, of size 0, those of an instance are found", arguments: flavours)
  func instance(flavour: TraceFlavour) throws {
    var description = TraceDescription(
      flavour, formats: [KVMEventFormats.entry],
      buffers: [TraceBuffer(cpus: []), TraceBuffer(name: "kvm", cpus: [0])])
    description.pagesPerChunk = 1
    let writer = TraceDatWriter(description)
    for number in 0..<9 {
      let time = UInt64(1000 * number)
      try writer.append(TraceBuilding.entries([time, time + 100], flavour, pid: 7), cpu: 0, buffer: 1)
    }
    let bytes = try writer.bytes()
    let whole = try Reading(bytes)
    // The last section, which says where the events are, is gone.
    let cut = try Reading(Array(bytes.dropLast(100)))
    #expect(whole.events.count == 18 && cut.events.map(\.time) == whole.events.map(\.time))
  }

  @Test("CPU numbers are assumed where the number of CPUs is not known", arguments: flavours)
  func assumed(flavour: TraceFlavour) throws {
    let (bytes, _, end) = try build(flavour, countsCPUs: false)
    let cut = try Reading(Array(bytes[..<end]))
    #expect(cut.events.count == 18)
    #expect(cut.damage.last?.what.hasSuffix("CPU numbers are assumed") == true)
  }

  @Test("a recorder that died leaves a buffer without a size", arguments: flavours)
  func unfinished(flavour: TraceFlavour) throws {
    var (bytes, buffer, end) = try build(flavour)
    bytes.patch([UInt8](repeating: 0, count: 8), at: buffer + 8)
    let cut = try Reading(Array(bytes[..<end]))
    #expect(cut.events.count == 18 && !cut.damage.isEmpty)
  }

  @Test("a first option section that cannot be found costs nothing", arguments: flavours)
  func lostChain(flavour: TraceFlavour) throws {
    var (bytes, _, _) = try build(flavour)
    // Where the first option section is stands behind the names of the compression.
    var start = 18 + flavour.compression.rawValue.utf8.count + 1
    while bytes[start] != 0 { start += 1 }
    bytes.patch([UInt8](repeating: 0x7f, count: 8), at: start + 1)
    let reading = try Reading(bytes)
    #expect(reading.events.count == 18 && reading.events.map(\.cpu).max() == 2)
    #expect(reading.damage.count == 1 && reading.trace.clock?.name == "local")
  }

  @Test("so many buffers are believed as are where each has a description")
  func manyBuffers() throws {
    let (bytes, buffer, _) = try build(TraceFlavour())
    let empty = [3, 0, 0, 0] + [UInt8](repeating: 0, count: 12)
    let reading = try Reading(
      Array(bytes[..<buffer]) + (0..<5000).flatMap { _ in empty })
    #expect(reading.trace.bufferNames.count == 4096)
  }
}
