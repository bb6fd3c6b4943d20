import KVMTrace
import KVMTypes
import Testing
import TraceSynth

/// Files that lack a piece between others, or have one twice, and files that were merely cut.
@Suite("Pieces that are missing, nobody knows where")
struct DisplacementTests {
  static let flavours = [
    TraceFlavour(version: .v6), TraceFlavour(), TraceFlavour(byteOrder: .big), TraceFlavour(pageBytes: 16384),
    TraceFlavour(version: .v6, byteOrder: .big, userLongBytes: 4, kernelLongBytes: 4),
  ]

  /// Two CPUs with five pages each: four that are full, and the last.
  private static func build(_ flavour: TraceFlavour) throws -> [UInt8] {
    let pages = (0..<2).map { cpu in
      (0..<5).map { number in
        let start = 1_000_000_000 * UInt64(1 + number) + UInt64(cpu)
        return TraceBuilding.page(flavour, at: start) { page in
          var time = start
          while number < 4 || page.events < 9, page.append(TraceBuilding.entry(flavour), at: time) {
            time += 1000
          }
        }
      }
    }
    return try TraceBuilding.file(flavour, options: [.cpuCount(2)], pages: pages)
  }

  /// Where the pages of all CPUs lie in an undamaged file.
  private static func pages(_ bytes: [UInt8], _ flavour: TraceFlavour) throws -> [Range<Int>] {
    let first = TraceBuilding.page(flavour, at: 1_000_000_000) { page in
      _ = page.append(TraceBuilding.entry(flavour), at: 1_000_000_000)
    }
    let start = try #require(bytes.firstRange(of: Array(first.prefix(8)))).lowerBound
    return (0..<10).map { (start + $0 * flavour.pageBytes)..<(start + ($0 + 1) * flavour.pageBytes) }
  }

  /// Opens a file, and says whether nothing in it is certain.
  private static func isDisplaced(_ bytes: [UInt8]) throws -> Bool {
    let reading = try Reading(bytes)
    #expect(!reading.damage.isEmpty)
    return reading.trace.account.uncertainFrom == Nanoseconds(0)
  }

  @Test("Of a file that lacks a page nothing is certain, whichever it is", arguments: flavours)
  func lacking(flavour: TraceFlavour) throws {
    let bytes = try Self.build(flavour)
    #expect(try Reading(bytes).damage.isEmpty)
    // Without the last page of all a file of version 6 is one that was cut.
    for page in try Self.pages(bytes, flavour).dropLast() {
      var lacking = bytes
      lacking.removeSubrange(page)
      #expect(try Self.isDisplaced(lacking), "\(page)")
    }
  }

  @Test("Nor of one that has a page twice", arguments: flavours)
  func repeating(flavour: TraceFlavour) throws {
    let bytes = try Self.build(flavour)
    for page in try Self.pages(bytes, flavour).dropLast() {
      var repeating = bytes
      repeating.insert(contentsOf: bytes[page], at: page.upperBound)
      // Behind the last CPU's pages of version 6 the one that is too many is none of them.
      let isLast = try flavour.version == .v6 && page.lowerBound >= Self.pages(bytes, flavour)[5].lowerBound
      #expect(try Self.isDisplaced(repeating) != isLast, "\(page)")
    }
  }

  @Test("A file that was cut has what is before as certain as ever", arguments: flavours, [0, 1, 700])
  func cut(flavour: TraceFlavour, rest: Int) throws {
    let bytes = try Self.build(flavour)
    for page in try Self.pages(bytes, flavour).dropFirst(2) {
      #expect(try !Self.isDisplaced(Array(bytes[..<(page.lowerBound + rest)])), "\(page)")
    }
  }

  @Test(
    "Nor does it cost that when its end is empty, or other bytes stand there",
    arguments: flavours.filter { $0.version == .v7 })
  func emptyEnd(flavour: TraceFlavour) throws {
    var bytes = try Self.build(flavour)
    let end = try Self.pages(bytes, flavour)[9].upperBound
    bytes.replaceSubrange(end..., with: repeatElement(0, count: bytes.count - end))
    #expect(try !Self.isDisplaced(bytes))
  }

  @Test("A compressed buffer that lacks some bytes", arguments: TraceFlavour.Compression.allCases, [1, 64])
  func compressed(compression: TraceFlavour.Compression, count: Int) throws {
    let flavour = TraceFlavour(compression: compression)
    let bytes = try Self.build(flavour)
    let buffer = try #require(Self.bufferSection(of: bytes, compression))
    let places = Array(stride(from: buffer.lowerBound + 16, through: buffer.upperBound - count, by: 97))
    try #require(places.count > 9)
    for place in places {
      var lacking = bytes
      lacking.removeSubrange(place..<(place + count))
      #expect(try Self.isDisplaced(lacking), "\(place)")
    }
  }

  /// Where the section of the buffer is, by the chain of sections.
  private static func bufferSection(
    of bytes: [UInt8], _ compression: TraceFlavour.Compression
  ) -> Range<Int>? {
    var section = 18 + compression.rawValue.utf8.count + 1
    while bytes[section] != 0 { section += 1 }
    section += 9
    while section + 16 <= bytes.count {
      let end = section + 16 + (0..<8).reduce(0) { $0 | Int(bytes[section + 8 + $1]) << (8 * $1) }
      if bytes[section] == 3 { return section..<end }
      section = end
    }
    return nil
  }
}
