import KVMTrace
import Testing
import TraceSynth

/// A file says how many CPUs there are. What it says costs nothing, and those that have events are read.
@Suite("The number of CPUs")
struct CPUCountTests {
  /// Three CPUs, of which the second has no events.
  private func build(_ version: TraceFlavour.Version, clock: Bool = true) throws -> [UInt8] {
    let flavour = TraceFlavour(version: version)
    var description = TraceDescription(flavour, formats: [KVMEventFormats.entry], cpus: 3)
    description.options = (clock ? [.clock("[local] global")] : []) + [.cpuCount(3)]
    let writer = TraceDatWriter(description)
    for cpu in [0, 2] as [UInt32] {
      try writer.append(TraceBuilding.entries([10 + UInt64(cpu), 20], flavour), cpu: cpu)
    }
    return try writer.bytes()
  }

  /// Where the option with the number of CPUs holds it.
  private func option(_ bytes: [UInt8]) throws -> Int {
    try #require(bytes.firstRange(of: [8, 0, 4, 0, 0, 0, 3, 0, 0, 0])).lowerBound + 6
  }

  private func bytes(_ number: UInt32) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
  }

  static let counts: [UInt32] = [0, 1, 2, 4, 5, 300, 70_000, 603_979_778, .max]

  @Test("a table of areas is as long as it is", arguments: counts, [false, true])
  func version6(count: UInt32, clock: Bool) throws {
    var file = try build(.v6, clock: clock)
    #expect(try Reading(file).damage.isEmpty)
    let place = try option(file)
    file.patch(bytes(count), at: place)
    let reading = try Reading(file)
    #expect(reading.events.map(\.time).sorted() == [10, 12, 20, 20])
    #expect(Set(reading.events.map(\.cpu)) == [0, 2])
    // Zeros behind a table may be CPUs without events.
    if count < 3 || count > 300 {
      #expect(reading.damage.map(\.offset) == [place], "\(reading.damage)")
    }
    #expect(reading.trace.cpuCount >= 3 && reading.trace.cpuCount <= 300)
  }

  @Test("the option of a version 7 file", arguments: counts)
  func version7(count: UInt32) throws {
    var file = try build(.v7)
    let place = try option(file)
    file.patch(bytes(count), at: place)
    let reading = try Reading(file)
    #expect(reading.events.count == 4)
    #expect(reading.damage.map(\.offset) == (count > 65_536 ? [place] : []))
    #expect(reading.trace.cpuCount == (count > 65_536 ? 3 : max(3, Int(count))))
  }

  @Test("the list of areas of a version 7 file", arguments: [0, 1, 3, 70_000, .max] as [UInt32])
  func list(count: UInt32) throws {
    var file = try build(.v7)
    // The buffer's option: its name "", its clock, the size of a page, two CPUs, of which the first has the number 0.
    let name = Array("local\0".utf8) + [0x00, 0x10, 0, 0]
    let place = try #require(file.firstRange(of: name + [2, 0, 0, 0, 0, 0, 0, 0])).lowerBound + name.count
    file.patch(bytes(count), at: place)
    let reading = try Reading(file)
    #expect(reading.events.map(\.time).sorted() == [10, 12, 20, 20])
    #expect(reading.damage.count == 1 && reading.damage[0].what.contains("describes those of 2"))
  }

  @Test("a CPU with a number that no kernel gives")
  func number() throws {
    var file = try build(.v7)
    let name = Array("local\0".utf8) + [0x00, 0x10, 0, 0, 2, 0, 0, 0]
    let place = try #require(file.firstRange(of: name)).upperBound
    file.patch([0xff, 0xff, 0xff, 0x7f], at: place)
    let reading = try Reading(file)
    #expect(reading.events.map(\.cpu) == [2, 2] && reading.damage.count == 1)
    #expect(reading.trace.cpuCount == 3)
  }
}
