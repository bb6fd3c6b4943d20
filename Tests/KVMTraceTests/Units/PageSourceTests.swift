import Testing

@testable import KVMTrace
import UnnamedFiles

@Suite("PageSource")
struct PageSourceTests {
  /// The pages that a source delivers, and the damage it reports.
  private func pages(
    _ bytes: [UInt8], pageBytes: Int, isCompressed: Bool = false, area: Range<Int>? = nil
  ) throws -> (pages: [[UInt8]], damage: [Damage]) {
    let temporary = try UnnamedFile(bytes)
    let file = try FileBytes(path: temporary.path)
    let area = area ?? 0..<bytes.count
    let cpuArea = TraceDatContents.CPUArea(cpu: 3, offset: area.lowerBound, count: area.count)
    let source = PageSource(
      file: file, area: cpuArea,
      buffer: .init(name: "", clock: "", pageBytes: pageBytes, isCompressed: isCompressed, areas: [cpuArea]),
      kept: KeptChunks(.none, storedBytes: 0), bigEndian: false)
    var pages: [[UInt8]] = []
    while let page = source.next() { pages.append(Array(page)) }
    #expect(source.next() == nil)
    return (pages, source.damage.places)
  }

  @Test("pages in place")
  func inPlace() throws {
    let bytes = (0..<2048).map { UInt8(truncatingIfNeeded: $0 / 512) }
    let (pages, damage) = try pages(bytes, pageBytes: 512, area: 512..<2048)
    #expect(pages.map { $0[0] } == [1, 2, 3] && damage.isEmpty)
  }

  @Test("a cut page is left out and reported")
  func cut() throws {
    let (pages, damage) = try pages([UInt8](repeating: 7, count: 1300), pageBytes: 512)
    #expect(pages.count == 2)
    #expect(damage.map(\.offset) == [1024] && damage[0].cpu == 3)
    #expect(damage[0].what == "the last page of CPU 3 is cut: 276 of 512 bytes are there")
  }

  @Test("chunks of several pages, stored")
  func chunks() throws {
    var bytes: [UInt8] = [2, 0, 0, 0]
    for pages in [3, 1] {
      let count = UInt8(pages * 2)
      bytes +=
        [0, count, 0, 0, 0, count, 0, 0] + (0..<pages).flatMap { [UInt8](repeating: UInt8($0), count: 512) }
    }
    let (pages, damage) = try pages(bytes, pageBytes: 512, isCompressed: true)
    #expect(pages.map { $0[0] } == [0, 1, 2, 0] && pages.allSatisfy { $0.count == 512 } && damage.isEmpty)
  }

  @Test("an area too short for the number of its chunks", arguments: 1...3)
  func short(count: Int) throws {
    let (pages, damage) = try pages([UInt8](repeating: 1, count: count), pageBytes: 512, isCompressed: true)
    #expect(pages.isEmpty && damage.count == 1)
  }

  @Test("an endless number of empty chunks ends with the first of them")
  func emptyChunks() throws {
    let bytes = [0xff, 0xff, 0xff, 0xff] + [UInt8](repeating: 0, count: 800)
    let (pages, damage) = try pages(bytes, pageBytes: 512, isCompressed: true)
    #expect(pages.isEmpty && damage.count == 1 && damage[0].offset == 4)
  }
}
