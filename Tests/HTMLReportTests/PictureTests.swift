import Foundation
import KVMTypes
import Testing

@testable import HTMLReport
@testable import Pictures

@Suite("Pictures of guest memory")
struct PictureTests {
  @Test("Letters of bytes are those of Foundation", arguments: 0..<8)
  func letters(count: Int) {
    let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 77 + 250) }
    #expect(Base64.text(bytes) == Data(bytes).base64EncodedString())
  }

  @Test("A PNG has its chunks, with their lengths and check sums")
  func png() {
    var picture = PalettePNG(
      width: 3, height: 2, palette: [.init(rgb: 0, alpha: 0), .init(rgb: 0x12_3456, alpha: 200)])
    #expect(picture.isBlank)
    picture[2, 1] = 1
    let bytes = picture.bytes
    #expect(
      Array(bytes[..<16]) == [0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10, 0, 0, 0, 13] + Array("IHDR".utf8))
    #expect(Array(bytes[16..<29]) == [0, 0, 0, 3, 0, 0, 0, 2, 4, 3, 0, 0, 0])
    #expect(Array(bytes[33..<47]) == [0, 0, 0, 6] + Array("PLTE".utf8) + [0, 0, 0, 0x12, 0x34, 0x56])
    #expect(Array(bytes.suffix(12)) == [0, 0, 0, 0] + Array("IEND".utf8) + [0xae, 0x42, 0x60, 0x82])
    #expect(!picture.isBlank && picture.address.hasPrefix("data:image/png;base64,iVBORw0KGgo"))
  }

  private static func map(_ cells: [[HeatMap.Cell]], bases: [UInt64], marks: [HeatMap.Mark] = []) -> HeatMap {
    HeatMap(
      vm: 0, pageSize: .size4K, start: Nanoseconds(0), interval: Nanoseconds(1000), columns: cells[0].count,
      rowBytes: 2 << 20,
      rows: zip(bases, cells).map { HeatMap.Row(base: IPA($0), cells: $1) },
      details: [HeatMap.Region(base: IPA(bases[0]), interval: Nanoseconds(1000), marks: marks)],
      regionCount: bases.count)
  }

  @Test("A layer is as strong as there is much of it; a row is left out between memory that does not touch")
  func layers() throws {
    var many = HeatMap.Cell()
    (many.faults, many.mappedPages) = (1000, 512)
    var few = HeatMap.Cell()
    (few.faults, few.mappedPages) = (1, 1)
    let map = Self.map([[many, few], [few, HeatMap.Cell()], [few, few]], bases: [0, 2 << 20, 8 << 20])
    let layers = HeatLayers(map)
    #expect(layers.rows == [0, 1, nil, 2])
    let faults = try #require(layers.picture(.faults))
    #expect(
      [faults[0, 0], faults[1, 0], faults[0, 1], faults[1, 1], faults[0, 2], faults[0, 3]] == [
        15, 1, 1, 0, 0, 1,
      ])
    let mapped = try #require(layers.picture(.mapped))
    #expect([mapped[0, 0], mapped[1, 0], mapped[1, 1]] == [15, 1, 0])
    #expect(layers.picture(.ages) == nil)
    #expect(HeatLayers.shade(31, 1000, isLinear: false) == 7)
  }

  @Test("A region shows the strongest of what happened, and what is mapped from then on")
  func region() {
    func mark(
      _ column: UInt16, _ page: UInt16, _ kind: HeatMap.MarkKind, pages: UInt16 = 1, count: UInt32 = 1
    ) -> HeatMap.Mark {
      HeatMap.Mark(column: column, page: page, pages: pages, kind: kind, basis: .assumed, count: count)
    }
    let map = Self.map(
      [Array(repeating: HeatMap.Cell(), count: 6)], bases: [0],
      marks: [
        mark(0, 3, .translationFault), mark(0, 3, .mapPage), mark(2, 3, .foundOld),
        mark(3, 0, .unmap, pages: 512),
        mark(4, 0, .mapBlock, pages: 512), mark(5, 3, .mapPage), mark(5, 3, .unmap),
      ])
    let found = RegionPicture(map.details[0], of: map)
    let picture = found.picture
    let page: [RegionPicture.Class] = [.map, .mappedPage, .old, .unmap, .block, .unmap]
    #expect((0..<6).map { picture[$0, 3] } == page.map(\.rawValue))
    #expect(
      picture[4, 511] == RegionPicture.Class.block.rawValue
        && picture[5, 511] == RegionPicture.Class.mappedBlock.rawValue)
    #expect(found.counts.map(\.count) == [1, 2, 1, 1, 2] && found.counts.allSatisfy { $0.basis == .assumed })
  }
}
