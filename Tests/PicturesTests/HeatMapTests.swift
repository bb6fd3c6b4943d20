import KVMTypes
import SeededRandom
import Stage2Replay
import Testing

@testable import Pictures

/// The map against one that keeps everything.
@Suite("Guest memory by address and time")
struct HeatMapTests {
  private static let pageSize = PageSize.size4K

  private static func operation(
    _ kind: OperationKind, at time: UInt64, page: UInt64, pages: UInt64 = 1, result: Int32 = 0,
    basis: Basis = .derived
  ) -> Stage2Operation {
    Stage2Operation(
      time: Nanoseconds(time), cpu: CPUIndex(0), tid: ThreadID(1), vm: 0, kind: kind,
      address: IPA(page << 12), size: pages << 12, prot: nil, result: result, basis: basis)
  }

  /// Random operations on the first pages of `regions` regions, in the order of time.
  private static func operations(
    seed: UInt64, count: Int, regions: UInt64, pages: UInt64 = 512, unmapped: UInt64 = 600
  ) -> [Stage2Operation] {
    var random = SplitMix64(seed: seed)
    var time: UInt64 = 5_000_000
    return (0..<count).map { _ in
      time += random.next() % 10_000
      let page = (random.next() % regions) * 512 + random.next() % pages
      switch random.next() % 8 {
      case 0..<4:
        return operation(.map, at: time, page: page, basis: random.next() % 2 == 0 ? .derived : .assumed)
      case 4: return operation(.map, at: time, page: page & ~511, pages: 512)
      case 5: return operation(.unmap, at: time, page: page, pages: random.next() % unmapped + 1)
      case 6: return operation(.testClearYoung, at: time, page: page, result: Int32(random.next() % 2))
      default: return operation(.map, at: time, page: page, result: -11)
      }
    }
  }

  private static func map(_ operations: [Stage2Operation]) throws -> HeatMap {
    var builder = HeatMapBuilder(vm: 0, pageSize)
    for operation in operations { builder.add(operation) }
    let map = builder.finish(last: operations.last!.time, end: nil)
    return try #require(map)
  }

  @Test("Of many VMs those that appear first have a map, of those that are asked for")
  func manyVMs() {
    func pictures(of asked: Set<Int>?) -> ReplayPictures {
      let pictures = ReplayPictures(of: asked)
      for vm in 0..<70 {
        var operation = Self.operation(.map, at: 1000, page: 1)
        operation.vm = vm
        pictures.add(operation)
      }
      return pictures
    }
    func mapped(_ pictures: ReplayPictures) -> [Int] {
      (0..<70).filter { pictures.heat(of: $0, last: Nanoseconds(2000)) != nil }
    }
    #expect(mapped(pictures(of: nil)) == Array(0..<ReplayPictures.heatMapsMax))
    #expect(mapped(pictures(of: [3, 69])) == [3, 69])
  }

  @Test(
    "Every cell counts what happened there, and what is mapped at its end",
    arguments: [3, 700, 3000] as [UInt64])
  func cells(regions: UInt64) throws {
    let operations = Self.operations(seed: regions, count: 4000, regions: regions)
    let map = try Self.map(operations)
    #expect(map.rows.count <= HeatRows.most && map.columns <= HeatColumns.most && map.columns > 96)
    var mapped: Set<UInt64> = []
    var touched: Set<UInt64> = []
    var next = 0
    for column in 0..<map.columns {
      var expected: [UInt64: HeatMap.Cell] = [:]
      while next < operations.count, operations[next].time < map.begin(ofColumn: column + 1) {
        let operation = operations[next]
        next += 1
        guard let kind = HeatMap.MarkKind(operation, Self.pageSize) else { continue }
        let pages = operation.address.rawValue >> 12..<(operation.address.rawValue + operation.size) >> 12
        let isLong = pages.count > 512
        for region in pages.lowerBound / 512...(pages.upperBound - 1) / 512
        where !isLong || touched.contains(region) {
          touched.insert(region)
          kind.count(in: &expected[region << 21 / map.rowBytes, default: HeatMap.Cell()], operation.basis)
        }
        if operation.kind == .map { mapped.formUnion(pages) }
        if operation.kind == .unmap { mapped.subtract(pages) }
      }
      for page in mapped { expected[page << 12 / map.rowBytes, default: HeatMap.Cell()].mappedPages += 1 }
      for row in map.rows {
        let cell = expected[row.base.rawValue / map.rowBytes] ?? HeatMap.Cell()
        #expect(row.cells[column] == cell, "column \(column), \(row.base)")
      }
    }
    #expect(next == operations.count && map.regionCount == touched.count)
  }

  @Test("The marks of a region are all that happened there, whatever became one")
  func marks() throws {
    let operations = Self.operations(seed: 9, count: 30_000, regions: 2, pages: 64, unmapped: 4)
    let map = try Self.map(operations)
    #expect(map.details.count == 2)
    for region in map.details {
      let begin = region.base.rawValue >> 12
      let here = operations.filter { operation in
        let first = operation.address.rawValue >> 12
        return HeatMap.MarkKind(operation, Self.pageSize) != nil && first < begin + 512
          && first + operation.size >> 12 > begin
      }
      #expect(region.marks.reduce(0) { $0 + Int($1.count) } == here.count)
      #expect(region.interval > map.interval && region.marks.count <= 4096)
      #expect(region.marks.allSatisfy { $0.page < 512 && $0.page + $0.pages <= 512 })
    }
  }

  @Test("Of many regions, those are told page by page in which most happened")
  func details() throws {
    var operations: [Stage2Operation] = []
    for region in 0..<UInt64(1500) {
      for page in 0..<(region % 100 == 7 ? 20 : 1) {
        operations.append(
          Self.operation(.map, at: 1000 + region * 50, page: region * 512 + UInt64(page)))
      }
    }
    let map = try Self.map(operations)
    let busy = map.details.filter { $0.marks.count == 20 }
    #expect(busy.map { $0.base.rawValue >> 21 } == stride(from: 7, to: 1500, by: 100).map { UInt64($0) })
    #expect(map.regionCount == 1500)
  }

  @Test("A VM of which nothing but the unmap of a whole slot is told has no map")
  func slotAlone() {
    var builder = HeatMapBuilder(vm: 0, Self.pageSize)
    builder.add(Self.operation(.unmap, at: 1_000, page: 0, pages: 2048))
    #expect(builder.finish(last: Nanoseconds(2_000), end: nil) == nil)
  }

  @Test("A VM that is gone has nothing mapped")
  func end() throws {
    var builder = HeatMapBuilder(vm: 0, Self.pageSize)
    builder.add(Self.operation(.map, at: 1_000, page: 1))
    builder.add(Self.operation(.map, at: 50_000, page: 2))
    let found = builder.finish(last: Nanoseconds(100_000), end: Nanoseconds(60_000))
    let map = try #require(found)
    #expect(map.rows[0].cells.map(\.mappedPages) == (0..<map.columns).map { $0 < 49 ? 1 : $0 < 59 ? 2 : 0 })
  }
}
