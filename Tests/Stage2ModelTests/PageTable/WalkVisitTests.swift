import KVMTypes
import SeededRandom
import Testing

@testable import Stage2Model

/// A visitor that is asked at every entry and counts them.
private struct EveryEntry: Stage2Visitor {
  static var visits: WalkFlags { [.tablePre, .leaf] }
  static var installsTables: Bool { false }
  static func passesEmpty(_ flags: WalkFlags) -> Bool { false }
  var count = 0

  mutating func visit<Pages: TablePages & ~Copyable>(
    _ context: VisitContext, _ event: WalkFlags, _ table: inout Stage2PageTable<Pages>
  ) -> KernelResult {
    count += 1
    return .success
  }
}

/// What a walk visits, whichever way it takes.
struct WalkVisitTests {
  /// Entries that are passed over, and walks of one page, count like those that the kernel's walker looks at one by one.
  @Test(arguments: RandomSeed.all)
  func everyEntryCounts(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    var table = Stage2RangeTests.table(
      pages: (0..<40).map { _ in random.below(64 as UInt64) * pmd + random.below(512 as UInt64) * page },
      blocks: (64..<70).map { $0 * pmd })
    func visited(_ body: (inout Stage2RangeTests.Table) -> Void) -> Int {
      let before = table.counters.descriptorsVisited
      body(&table)
      return table.counters.descriptorsVisited - before
    }
    for step in 0..<200 {
      let ipa = random.below(80 as UInt64) * pmd + random.below(512 as UInt64) * page
      let large = random.below(3 << 30 as UInt64) >> random.below(20 as UInt64) | page
      let size = random.chance(20) ? page : large
      var every = EveryEntry()
      let all = visited { _ = $0.walk(ipa, size: size, &every) }
      // The walk of one page asks at no table before its entries.
      if size == page {
        #expect(all == Int(table.leaf(IPA(ipa)).level.rawValue), "the start level is 1")
      } else {
        #expect(all == every.count)
      }
      #expect(visited { _ = $0.testClearYoung(IPA(ipa), size: size, markOld: false) } == all, "step \(step)")
      #expect(visited { _ = $0.wrprotect(IPA(ipa), size: size) } == all, "step \(step)")
    }
  }

  /// An empty table goes with its last leaf, up to the PGD.
  @Test func onePageTakesItsTablesWithIt() {
    var table = Stage2RangeTests.table(pages: [5 * pud + 3 * pmd], bits: 48)
    check(table.recountTables(), [.l1: 1, .l2: 1, .l3: 1])
    check(table.unmap(IPA(5 * pud + 3 * pmd), size: page), .success)
    check(table.recountTables(), [:])
    check(table.counters.tlbiIPA, 4)
    check(table.checkInvariants(), [])
  }
}
