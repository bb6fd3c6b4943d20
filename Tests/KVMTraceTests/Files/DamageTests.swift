import KVMTrace
import KVMTypes
import Testing
import TraceSynth

/// Single places that are wrong: each is reported where it is, and what is around it is read.
@Suite("Damaged places")
struct DamageTests {
  private func reading(_ page: [UInt8]) throws -> Reading {
    try Reading(
      try TraceBuilding.file(pages: [[TraceBuilding.entries([1]), page, TraceBuilding.entries([1000])]]))
  }

  @Test("a page that claims more than fits")
  func commit() throws {
    let reading = try reading(
      TraceBuilding.page(at: 5) { page in
        page.event(TraceBuilding.entry(), delta: 0)
        page.paddingToEnd()
        page.commitOverride = 5000
      })
    #expect(reading.damage.count == 1 && reading.damage[0].what.contains("claims 5000 bytes"))
    #expect(reading.events.map(\.time) == [1, 5, 1000])
  }

  @Test(
    "a page that claims what is no multiple of 4: less or more than it holds",
    arguments: [-19, -18, -17, -1, 1, 3])
  func commitWithinWord(excess: Int) throws {
    let reading = try reading(
      TraceBuilding.page(at: 5) { page in
        page.event(TraceBuilding.entry(), delta: 0)
        page.event(TraceBuilding.entry(), delta: 1)
        page.commitOverride = UInt64(page.dataBytes + excess)
      })
    #expect(reading.damage.count == 1 && reading.damage[0].cpu == 0)
    #expect(reading.events.map(\.time).prefix(2) == [1, 5] && reading.events.last?.time == 1000)
    // A page whose last event is whole says where its length stands.
    let isCut = (-16 ... -1).contains(excess)
    #expect(reading.damage[0].what.contains(isCut ? "runs past" : "no multiple of 4"), "\(reading.damage)")
  }

  @Test("a discarded event that runs past the data")
  func discardedTooLong() throws {
    let reading = try reading(
      TraceBuilding.page(at: 5) { page in
        page.event(TraceBuilding.entry(), delta: 0)
        var bytes = TraceBytes(.little)
        bytes.u32(page.recordHeader(29, delta: 1))
        bytes.u32(64)
        page.raw(bytes.bytes)
        page.commitOverride = UInt64(page.dataBytes)
      })
    #expect(reading.damage.count == 1 && reading.damage[0].what.contains("discarded"), "\(reading.damage)")
    #expect(reading.events.map(\.time) == [1, 5, 1000])
  }

  @Test("an event that runs past the data")
  func eventTooLong() throws {
    let reading = try reading(
      TraceBuilding.page(at: 5) { page in
        page.event(TraceBuilding.entry(), delta: 0)
        page.event(TraceBuilding.entry(), delta: 1)
        page.commitOverride = UInt64(page.dataBytes - 4)
      })
    #expect(reading.damage.count == 1 && reading.damage[0].what.contains("runs past"))
    #expect(reading.damage[0].cpu == 0)
    #expect(reading.events.map(\.time) == [1, 5, 1000])
  }

  @Test("a long form with a length below its own", arguments: [0, 1, 3] as [UInt32])
  func lengthTooShort(length: UInt32) throws {
    let reading = try reading(
      TraceBuilding.page(at: 5) { page in
        page.event(TraceBuilding.entry(), delta: 0)
        var bytes = TraceBytes(.little)
        bytes.u32(page.recordHeader(0, delta: 1))
        bytes.u32(length)
        page.raw(bytes.bytes)
        page.event(TraceBuilding.entry(), delta: 1)
      })
    #expect(reading.damage.count == 1 && reading.damage[0].what.contains("shorter"))
    #expect(reading.events.map(\.time) == [1, 5, 1000])
  }

  @Test("a discarded event without a length")
  func discardedWithoutLength() throws {
    let reading = try reading(
      TraceBuilding.page(at: 5) { page in
        var bytes = TraceBytes(.little)
        bytes.u32(page.recordHeader(29, delta: 1))
        bytes.u32(0)
        page.raw(bytes.bytes)
      })
    #expect(reading.damage.count == 1)
    #expect(reading.events.map(\.time) == [1, 1000])
  }

  @Test("the place of the damage is a byte of the file")
  func place() throws {
    let bad = TraceBuilding.page(at: 0x1122_3344_5566_7788) { page in
      page.event(TraceBuilding.entry(), delta: 0)
      page.raw([UInt8](repeating: 0xff, count: 4))
    }
    let bytes = try TraceBuilding.file(pages: [[TraceBuilding.entries([1]), bad]])
    let page = try #require(bytes.firstRange(of: [0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11]))
    let damage = try Reading(bytes).damage
    #expect(damage.map(\.offset) == [page.lowerBound + 16 + 4 + TraceBuilding.entry().count])
  }

  // MARK: Chunks

  static let packed = [TraceFlavour(compression: .zstd), TraceFlavour(compression: .zlib)]

  /// Three chunks of one page each, and where each chunk's sizes stand.
  private func chunks(_ flavour: TraceFlavour) throws -> (bytes: [UInt8], chunks: [Int]) {
    var description = TraceDescription(flavour, formats: [KVMEventFormats.entry], cpus: 1)
    description.pagesPerChunk = 1
    let writer = TraceDatWriter(description)
    for time in [10, 20, 30] as [UInt64] { try writer.append(TraceBuilding.entries([time], flavour), cpu: 0) }
    let bytes = try writer.bytes()
    // A chunk's sizes end with that of a page; the count of three chunks stands before the first.
    var places: [Int] = []
    var from = try #require(bytes.firstRange(of: [3, 0, 0, 0], from: bytes.count / 4096 * 4096)).upperBound
    for _ in 0..<3 {
      places.append(from)
      from += 8 + Int(bytes[from]) + Int(bytes[from + 1]) << 8
    }
    return (bytes, places)
  }

  @Test("a chunk that does not decompress is left out", arguments: packed)
  func badChunk(flavour: TraceFlavour) throws {
    var (bytes, places) = try chunks(flavour)
    #expect(try Reading(bytes).events.map(\.time) == [10, 20, 30])
    bytes.patch([0xde, 0xad, 0xbe, 0xef, 0xde, 0xad], at: places[1] + 8)
    let reading = try Reading(bytes)
    #expect(reading.events.map(\.time) == [10, 30, 30] && reading.events[1].kind == .lost)
    #expect(reading.damage.map(\.offset) == [places[1]])
    #expect(reading.damage[0].what.contains("does not decompress"))
  }

  @Test(
    "a chunk that claims gigabytes, or no whole pages, is left out", arguments: packed,
    [0xffff_f000, 5000, 8192])
  func bomb(flavour: TraceFlavour, claim: UInt32) throws {
    var (bytes, places) = try chunks(flavour)
    bytes.patch((0..<4).map { UInt8(truncatingIfNeeded: claim >> (8 * $0)) }, at: places[1] + 4)
    let reading = try Reading(bytes)
    #expect(reading.events.map(\.time) == [10, 30, 30] && reading.events[1].kind == .lost)
    #expect(reading.damage.map(\.offset) == [places[1]])
  }

  @Test("a chunk that runs past the end", arguments: packed)
  func longChunk(flavour: TraceFlavour) throws {
    var (bytes, places) = try chunks(flavour)
    bytes[places[1] + 2] = 0x7f
    let reading = try Reading(bytes)
    #expect(reading.events.map(\.time) == [10, 30, 30] && reading.events[1].kind == .lost)
    let lost = places[2] - places[1]
    #expect(reading.damage.map(\.offset) == [places[1]])
    #expect(reading.damage[0].what == "\(lost) bytes of CPU 0 are no chunk; what they held is left out")
  }

  @Test("more chunks are announced than there are", arguments: packed)
  func chunkCount(flavour: TraceFlavour) throws {
    var (bytes, places) = try chunks(flavour)
    bytes[places[0] - 4] = 9
    let reading = try Reading(bytes)
    #expect(reading.events.map(\.time) == [10, 20, 30])
    #expect(reading.damage.map(\.what) == ["the chunks of CPU 0 end 6 too early"])
  }

  // MARK: Metadata

  @Test("a section that claims to be enormous when decompressed")
  func sectionBomb() throws {
    let flavour = TraceFlavour(compression: .zstd)
    var bytes = try TraceBuilding.file(flavour, pages: [[TraceBuilding.entries([1], flavour)]])
    // The third section holds the event formats: its header, then the compressed size, then the other.
    var section = 12 + 6 + Array("zstd".utf8).count + 1
    section = try #require(bytes.firstRange(of: [0], from: section)).upperBound + 8
    for _ in 0..<2 { section += 16 + Int(bytes[section + 8]) + Int(bytes[section + 9]) << 8 }
    #expect(bytes[section] == 18)
    bytes.patch([0xff, 0xff, 0xff, 0xff], at: section + 16 + 4)
    let reading = try Reading(bytes)
    #expect(reading.damage.map(\.offset) == [section])
    #expect(reading.statistics.withoutFormat == 1, "events are counted even without formats")
  }

  @Test("options that lead in a circle")
  func circle() throws {
    var bytes = try TraceBuilding.file(
      options: [.raw(id: 999, bytes: Array("mark".utf8))], pages: [[TraceBuilding.entries([1])]])
    let mark = try #require(bytes.firstRange(of: Array("mark".utf8)))
    // Behind the mark: the end option, u16 0 and u32 8, then where the next section is.
    #expect(bytes[mark.upperBound..<(mark.upperBound + 6)].elementsEqual([0, 0, 8, 0, 0, 0]))
    // Where the first one is stands behind the magic, "7", byte order, sizes and an empty compression.
    bytes.patch(Array(bytes[24..<32]), at: mark.upperBound + 6)
    let reading = try Reading(bytes)
    #expect(reading.damage.contains { $0.what.contains("circle") })
    // The sections are found one behind the other all the same.
    #expect(reading.events.map(\.time) == [1])
  }

  @Test("an instance of a version 6 file that names itself")
  func instanceOfItself() throws {
    let flavour = TraceFlavour(version: .v6)
    let description = TraceDescription(
      flavour, formats: [KVMEventFormats.entry],
      buffers: [TraceBuffer(cpus: [0]), TraceBuffer(name: "selfish", cpus: [0])])
    let writer = TraceDatWriter(description)
    try writer.append(TraceBuilding.entries([1], flavour), cpu: 0)
    var bytes = try writer.bytes()
    let name = try #require(bytes.firstRange(of: Array("selfish".utf8)))
    let tag = try #require(bytes.firstRange(of: Array("options  \0".utf8)))
    bytes.patch(
      (0..<8).map { UInt8(truncatingIfNeeded: UInt64(tag.lowerBound) >> (8 * $0)) }, at: name.lowerBound - 8)
    let reading = try Reading(bytes)
    #expect(reading.trace.bufferNames == ["", "selfish"])
    #expect(reading.events.allSatisfy { $0.time == 1 })
  }

  @Test("areas of two CPUs that lie over each other are read once")
  func overlap() throws {
    let flavour = TraceFlavour(version: .v6)
    var bytes = try TraceBuilding.file(
      flavour, pages: [[TraceBuilding.entries([1], flavour)], [TraceBuilding.entries([2], flavour)]])
    let table = try #require(bytes.firstRange(of: Array("flyrecord\0".utf8))).upperBound
    // The first CPU claims the pages of both.
    bytes.patch([0x00, 0x20], at: table + 8)
    let reading = try Reading(bytes)
    #expect(reading.events.map(\.time) == [1, 2])
    #expect(reading.damage.count == 1 && reading.damage[0].what.contains("reach into"))
  }

  @Test(
    "An area whose size is less than it was: the pages behind it are told",
    arguments: [TraceFlavour.Version.v6, .v7], [0, 1])
  func shortArea(version: TraceFlavour.Version, pages: Int) throws {
    let flavour = TraceFlavour(version: version)
    var bytes = try TraceBuilding.file(
      flavour,
      pages: [[1, 10, 20], [2]].map { times in
        times.map { TraceBuilding.entries([UInt64($0)], flavour) }
      })
    func word(_ offset: Int) -> UInt64 {
      (0..<8).reduce(0) { $0 | UInt64(bytes[offset + $1]) << (8 * $1) }
    }
    // Where the first CPU's pages begin, and behind it how many bytes they are.
    let place = try #require(
      bytes.indices.dropLast(16).first {
        word($0) > 0 && word($0) < bytes.count && word($0) % 4096 == 0 && word($0 + 8) == 3 * 4096
      })
    let end = Int(word(place)) + pages * 4096
    bytes.patch([0, UInt8(pages * 16)], at: place + 8)
    let reading = try Reading(bytes)
    #expect(reading.events.map(\.time) == (pages == 0 ? [2] : [1, 2]))
    #expect(
      reading.damage.contains { $0.offset == end && $0.cpu == 0 && $0.what.contains("in no list") },
      "\(reading.damage)")
  }

  @Test("Of a buffer that is left out, events may be missing at any time, whatever another has of its CPUs")
  func lostBuffer() throws {
    let flavour = TraceFlavour(version: .v7)
    let description = TraceDescription(
      flavour, formats: [KVMEventFormats.entry],
      buffers: [TraceBuffer(cpus: [0]), TraceBuffer(name: "second", cpus: [0])])
    let writer = TraceDatWriter(description)
    for buffer in 0..<2 {
      try writer.append(TraceBuilding.entries([UInt64(buffer) + 1], flavour), cpu: 0, buffer: buffer)
    }
    var bytes = try writer.bytes()
    #expect(try Reading(bytes).trace.account.uncertainFrom == nil)
    let name = try #require(bytes.firstRange(of: Array("second\0".utf8)))
    let clock = try #require(bytes[name.upperBound...].firstIndex(of: 0))
    // Pages of a size that no kernel has.
    bytes.patch([0x01, 0x10], at: clock + 1)
    let reading = try Reading(bytes)
    #expect(reading.damage.contains { $0.what.contains("the buffer is left out") }, "\(reading.damage)")
    #expect(reading.trace.account.uncertainFrom == Nanoseconds(0))
  }
}
