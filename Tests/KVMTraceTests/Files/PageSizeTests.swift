import KVMTrace
import Testing
import TraceSynth

/// Pages that are not as long as the description of their buffer says.
@Suite("Page sizes that contradict each other")
struct PageSizeTests {
  /// A file of one buffer with two CPUs, whose pages are all but full, and where the description of the buffer tells their size.
  private static func file(
    _ flavour: TraceFlavour, eventsPerPage: Int
  ) throws -> (bytes: [UInt8], sizeAt: Int) {
    var description = TraceDescription(
      flavour, formats: [KVMEventFormats.entry], buffers: [TraceBuffer(clock: "mono", cpus: [0, 1])])
    description.pagesPerChunk = 2
    let writer = TraceDatWriter(description)
    for page in 0..<6 {
      for cpu in 0..<2 {
        let times = (0..<eventsPerPage).map { UInt64(page * 10_000 + $0 * 10 + cpu) }
        try writer.append(TraceBuilding.entries(times, flavour), cpu: UInt32(cpu))
      }
    }
    let bytes = try writer.bytes()
    let told = Array("mono\0".utf8) + [0, UInt8(flavour.pageBytes >> 8), 0, 0]
    return (bytes, try #require(bytes.firstRange(of: told)).upperBound - 4)
  }

  @Test(
    "Half and double of what the pages have: it is damage, and no event is lost for it",
    arguments: [TraceFlavour.Compression.none, .zstd], [2048, 8192])
  func forged(compression: TraceFlavour.Compression, claimed: Int) throws {
    let (bytes, place) = try Self.file(TraceFlavour(compression: compression), eventsPerPage: 150)
    var forged = bytes
    forged[place + 1] = UInt8(claimed >> 8)
    let (before, after) = (try Reading(bytes), try Reading(forged))
    #expect(before.damage.isEmpty && before.events.count == 6 * 2 * 150)
    #expect(after.events.map(\.time) == before.events.map(\.time))
    #expect(
      after.damage.map(\.what) == ["the buffer \"\" claims pages of \(claimed) bytes, and has some of 4096"])
  }

  @Test("An instance whose sub-buffers are of another size is as it says", arguments: [2048, 8192])
  func instance(pageBytes: Int) throws {
    // The head of the file, and what the kernel says of the top buffer, are of pages of 4 KiB.
    let flavour = TraceFlavour(pageBytes: pageBytes)
    var (bytes, _) = try Self.file(flavour, eventsPerPage: pageBytes / 32)
    let size = Array("size:\(pageBytes - 16);".utf8)
    let place = try #require(bytes.firstRange(of: size))
    bytes.patch(Array("size:4080;".utf8), at: place.lowerBound)
    let reading = try Reading(bytes)
    #expect(reading.trace.subBufferBytes == 4096)
    #expect(reading.damage.isEmpty && reading.events.count == 6 * 2 * (pageBytes / 32), "\(reading.damage)")
  }
}
