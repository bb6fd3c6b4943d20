import KVMTypes
import Testing

@testable import Stage2Model

/// Every operation of the table except map, case by case.
struct Stage2RangeTests {
  typealias Table = Stage2PageTable<CollapsingTablePages>

  static func table(
    pages: [UInt64] = [], blocks: [UInt64] = [], prot: Stage2Prot = .rw, bits: Int = 40,
    features: Stage2Features = Stage2Features()
  ) -> Table {
    var table = Table(
      geometry: .of(.size4K, bits), features: features, pages: CollapsingTablePages(cache: 1000))
    for ipa in pages {
      let result = table.map(IPA(ipa), size: page, pfn: PFN(ipa / page), prot: prot)
      precondition(result.isSuccess)
    }
    for ipa in blocks {
      let result = table.map(IPA(ipa), size: pmd, pfn: PFN(ipa / page), prot: prot)
      precondition(result.isSuccess)
    }
    return table
  }

  // MARK: unmap

  @Test func unmapFreesEmptyTablesButNotThePGD() {
    var table = Self.table(pages: [0, page, pmd], bits: 44)
    check(table.recountTables(), [.l1: 1, .l2: 1, .l3: 2])
    check(table.unmap(IPA(0), size: page), .success)
    check(table.counters.tlbiIPA, 1)
    check(table.recountTables(), [.l1: 1, .l2: 1, .l3: 2])
    check(table.unmap(IPA(page), size: page), .success)
    // The leaf and its table.
    check(table.counters.tlbiIPA, 3)
    check(table.walk(IPA(0)), .invalid(level: .l2))
    check(table.unmap(IPA(pmd), size: page), .success)
    check(table.counters.tlbiIPA, 7)
    check(table.recountTables(), [:])
    check(table.walk(IPA(0)), .invalid(level: .l0))
    check(table.liveTables, 1)
    check(table.checkInvariants(), [])
  }

  @Test func unmapOfAPartRemovesTheBlock() {
    var table = Self.table(blocks: [pmd])
    check(table.unmap(IPA(pmd + 7 * page), size: page), .success)
    check(table.leaves().isEmpty, true)
    check(table.counters.dcachePages, 2 * 512)
    check(table.checkInvariants(), [])
  }

  @Test func unmapOfHolesDoesNothing() {
    var table = Self.table(pages: [pud])
    check(table.unmap(IPA(0), size: pud), .success)
    check(table.counters.tlbiAll, 0)
    check(table.leaves().count, 1)
  }

  @Test func anySizeIsAtLeastAPage() {
    var table = Self.table(pages: [0, page, 2 * page])
    check(table.unmap(IPA(page + 0x123), size: 1), .success)
    check(table.leaves().map(\.ipa), [IPA(0), IPA(2 * page)])
    // The end follows from the rounded start.
    check(table.unmap(IPA(0x800), size: page), .success)
    check(table.leaves().map(\.ipa), [IPA(2 * page)])
  }

  @Test func invalidationIsDeferredWithRangesAndFWB() {
    let both = Stage2Features(hasFWB: true, hasTLBIRange: true)
    var table = Self.table(pages: [0, page, 2 * page], features: both)
    check(table.unmap(IPA(0), size: 2 * page), .success)
    check(table.counters.tlbiIPA, 0)
    check(table.counters.tlbiRange, 1)
    // Tables are invalidated at once all the same: the level-3 and the level-2 one.
    check(table.unmap(IPA(0), size: pud), .success)
    check(table.counters.tlbiIPA, 2)
    check(table.counters.tlbiRange, 2)
    // 2097152 pages a range operation: 16 GiB are 4194304.
    check(table.unmap(IPA(0), size: 16 << 30), .success)
    check(table.counters.tlbiRange, 4)
    // Less than a page is none, although the walk rounds it up to one.
    check(table.unmap(IPA(0), size: 1), .success)
    check(table.counters.tlbiRange, 4)
    var onlyRange = Self.table(pages: [0], features: Stage2Features(hasTLBIRange: true))
    check(onlyRange.unmap(IPA(0), size: page), .success)
    check(onlyRange.counters.tlbiIPA, 3)
    check(onlyRange.counters.tlbiRange, 0)
  }

  // MARK: Attributes

  @Test func wrprotectSkipsHolesAndInvalidatesNothing() {
    var table = Self.table(pages: [0, 5 * page], blocks: [pmd])
    check(table.wrprotect(IPA(0), size: 2 * pmd), .success)
    check(table.leaves().map { $0.descriptor.prot }, [.read, .read, .read])
    check(table.leaves().allSatisfy { $0.descriptor.isYoung }, true)
    check(table.counters.tlbiAll, 0)
    check(table.wrprotect(IPA(8 * pud), size: pud), .success)
  }

  @Test func relaxAddsAndNeverRemoves() {
    var table = Self.table(pages: [0], prot: .read)
    check(table.testClearYoung(IPA(0), size: page, markOld: true), true)
    check(table.relaxPerms(IPA(0), prot: .rw), .success)
    check(table.walk(IPA(0)), .leaf(level: .l3, prot: .rw, young: false))
    check(table.relaxPerms(IPA(0), prot: [.read, .execute]), .success)
    check(table.walk(IPA(0)), .leaf(level: .l3, prot: .rwx, young: false))
    check(table.counters.icachePages, 1)
    check(table.relaxPerms(IPA(0), prot: .read), .success)
    check(table.walk(IPA(0)), .leaf(level: .l3, prot: .rwx, young: false))
    check(table.counters.tlbiIPANonShareable, 3)
    check(table.counters.tlbiIPA, 0)
    check(table.counters.icachePages, 1)
  }

  @Test func relaxThatTakesExecute() {
    var table = Self.table(
      pages: [0], prot: .rwx, features: Stage2Features(relaxPermsTakesExecute: true))
    check(table.wrprotect(IPA(0), size: page), .success)
    check(table.relaxPerms(IPA(0), prot: .rw), .success)
    check(table.walk(IPA(0)), .leaf(level: .l3, prot: .rw, young: true))
  }

  @Test func relaxOfABlockAndOfAHole() {
    var table = Self.table(blocks: [0], prot: .read)
    check(table.relaxPerms(IPA(100 * page), prot: .rwx), .success)
    check(table.walk(IPA(0)), .leaf(level: .l2, prot: .rwx, young: true))
    check(table.counters.icachePages, 512)
    check(table.relaxPerms(IPA(pmd), prot: .rw), .again)
    check(table.counters.tlbiIPANonShareable, 2)
    check(table.relaxPerms(IPA(0), prot: [.read, .software0]), .invalid)
    check(table.relaxPerms(IPA(0), prot: [.read, .userExecute]), .invalid)
    check(table.relaxPerms(IPA(1 << 40), prot: .read), .range)
    check(table.counters.tlbiIPANonShareable, 2)
  }

  @Test func mkyoungAndAging() {
    var table = Self.table(pages: [0, page], blocks: [pmd])
    check(table.testClearYoung(IPA(0), size: page, markOld: false), true)
    check(table.testClearYoung(IPA(0), size: page, markOld: true), true)
    check(table.testClearYoung(IPA(0), size: page, markOld: true), false)
    check(table.walk(IPA(0)), .leaf(level: .l3, prot: .rw, young: false))
    check(table.walk(IPA(page)), .leaf(level: .l3, prot: .rw, young: true))
    // A block has one flag, whichever page of it is asked for.
    check(table.testClearYoung(IPA(pmd + 9 * page), size: page, markOld: true), true)
    check(table.testClearYoung(IPA(pmd), size: page, markOld: false), false)
    table.mkyoung(IPA(pmd + 3 * page))
    check(table.testClearYoung(IPA(pmd), size: page, markOld: false), true)
    // Holes: nothing to make young, nothing young.
    table.mkyoung(IPA(pud))
    check(table.testClearYoung(IPA(pud), size: pud, markOld: true), false)
    check(table.counters.tlbiAll, 0)
    check(table.warnings.isEmpty, true)
    check(table.testClearYoung(IPA(1 << 40), size: page, markOld: true), false)
    check(table.warnings.count(of: .agingWalkFailed), 1)
  }

  @Test func flushCleansCacheableLeaves() {
    var table = Self.table(pages: [0], blocks: [pmd])
    check(table.map(IPA(page), size: page, pfn: PFN(9), prot: [.read, .device]), .success)
    let before = table.counters.dcachePages
    check(table.flush(IPA(0), size: pmd + page), .success)
    check(table.counters.dcachePages, before + 1 + 512)
    var withFWB = Self.table(pages: [0], features: Stage2Features(hasFWB: true))
    check(withFWB.flush(IPA(0), size: 1 << 41), .success)
    check(withFWB.counters.dcachePages, 0)
  }

  // MARK: split

  @Test func splitKeepsRightsAndMakesYoung() {
    var table = Self.table(blocks: [pmd], prot: [.read, .execute])
    check(table.testClearYoung(IPA(pmd), size: page, markOld: true), true)
    let before = table.counters
    check(table.split(IPA(pmd), size: pmd), .success)
    let leaves = table.leaves()
    #expect(leaves.count == 512)
    #expect(leaves.allSatisfy { $0.level == .l3 && $0.descriptor.isYoung })
    #expect(leaves.allSatisfy { $0.descriptor.prot == [.read, .execute] })
    #expect(leaves.enumerated().allSatisfy { $1.descriptor.pfn == PFN(512 + UInt64($0)) })
    // One invalidation for the block; none, and no cache maintenance, for the table that nobody used yet.
    check(table.counters.tlbiIPA, before.tlbiIPA + 1)
    check(table.counters.dcachePages, before.dcachePages)
    check(table.counters.icachePages, before.icachePages)
    check(table.checkInvariants(), [])
    // Again: pages and holes are left alone.
    check(table.split(IPA(0), size: 4 * pmd), .success)
    check(table.leaves(), leaves)
  }

  @Test func splitOfAGigabyteWithPagesForAll() {
    var table = Self.table()
    check(table.map(IPA(0), size: pud, pfn: PFN(0), prot: .rw), .success)
    table.pages.inner.cache = 513
    check(table.split(IPA(0), size: page), .success)
    // All of the block goes down to pages, though the range covers one.
    check(table.recountTables(), [.l2: 1, .l3: 512])
    check(table.pages.inner.cache, 0)
    check(table.checkInvariants(), [])
  }

  @Test func splitOfAGigabyteLevelByLevel() {
    var table = Self.table()
    check(table.map(IPA(0), size: pud, pfn: PFN(0), prot: .rw), .success)
    table.pages.inner.cache = 512
    check(table.split(IPA(pmd), size: 2 * pmd), .success)
    // One page for the level-2 table, then one for each of the two blocks that the range meets.
    check(table.recountTables(), [.l2: 1, .l3: 2])
    check(table.walk(IPA(0)), .leaf(level: .l2, prot: .rw, young: true))
    check(table.walk(IPA(2 * pmd)), .leaf(level: .l3, prot: .rw, young: true))
    check(table.leaves().count, 510 + 1024)
    check(table.checkInvariants(), [])
  }

  @Test func splitWithoutPages() {
    var table = Self.table(blocks: [0, pmd])
    table.pages.inner.cache = 1
    check(table.split(IPA(0), size: 2 * pmd), .noMemory)
    check(table.walk(IPA(0)), .leaf(level: .l3, prot: .rw, young: true))
    check(table.walk(IPA(pmd)), .leaf(level: .l2, prot: .rw, young: true))
    check(table.checkInvariants(), [])
  }

  @Test func unlinkedTablesNeedAnAlignedFrame() {
    var table = Self.table()
    guard case .failure(let failure) = table.createUnlinked(pfn: PFN(1), level: 2, prot: .rw, forcePTE: true)
    else {
      Issue.record("an unaligned frame was accepted")
      return
    }
    #expect(failure.result == .invalid)
    guard case .success(let made) = table.createUnlinked(pfn: PFN(512), level: 2, prot: .rw, forcePTE: true)
    else {
      Issue.record("no table was made")
      return
    }
    check(table.arena.count(made), 513)
    table.freeUnlinked(made, level: 2)
    check(table.warnings.isEmpty, true)
    check(table.checkInvariants(), [])
    // A cache that runs dry midway gives everything back.
    table.pages.inner.cache = 5
    table.pages.inner.pool = 0
    guard case .failure(let dry) = table.createUnlinked(pfn: PFN(0), level: 1, prot: .rw, forcePTE: true)
    else {
      Issue.record("513 tables came from 5 pages")
      return
    }
    #expect(dry.result == .noMemory)
    check(table.pages.inner.pool, 5)
    check(table.checkInvariants(), [])
  }

  // MARK: destroy

  @Test func destroyFreesEverythingButThePGD() {
    var table = Self.table(pages: [0, page, pud], blocks: [2 * pud])
    let tlbi = table.counters.tlbiAll
    for chunk in 0..<4 as Range<UInt64> { table.destroyRange(IPA(chunk * pud), size: pud) }
    check(table.liveTables, 2)
    check(table.counters.tlbiAll, tlbi)
    check(table.checkInvariants(), [])
    table.destroyPGD()
    check(table.liveTables, 0)
    check(table.checkInvariants(), [])
    check(table.warnings.isEmpty, true)
    table.destroyRange(IPA(0), size: pud)
    check(table.warnings.count(of: .destroyWalkFailed), 1)
  }

  @Test func aVisitIsOneDescriptor() {
    var table = Self.table(pages: [0])
    let before = table.counters.descriptorsVisited
    // Level 1 and 2 tables, then the leaf.
    check(table.wrprotect(IPA(0), size: page), .success)
    check(table.counters.descriptorsVisited, before + 3)
    // A hole is visited once however much of the range it covers.
    check(table.wrprotect(IPA(pud), size: 3 * pud), .success)
    check(table.counters.descriptorsVisited, before + 6)
  }
}
