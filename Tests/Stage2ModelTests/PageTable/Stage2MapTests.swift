import KVMTypes
import Testing

@testable import Stage2Model

/// `kvm_pgtable_stage2_map`, case by case.
struct Stage2MapTests {
  typealias Table = Stage2PageTable<CollapsingTablePages>

  static func table(
    _ bits: Int = 40, cache: Int = 40, features: Stage2Features = Stage2Features()
  ) -> Table {
    Table(geometry: .of(.size4K, bits), features: features, pages: CollapsingTablePages(cache: cache))
  }

  @Test(arguments: [(40, 2), (44, 3), (34, 1), (52, 3)])
  func aPageInAVirginTableTakesOneTableALevel(bits: Int, tables: Int) {
    var table = Self.table(bits)
    check(table.walk(IPA(0x8000_0000 & (1 << UInt64(bits) - 1))), .invalid(level: table.geometry.startLevel))
    check(table.map(IPA(0x4000_0000), size: page, pfn: PFN(7), prot: .rw), .success)
    check(table.pages.inner.cache, 40 - tables)
    check(table.walk(IPA(0x4000_0fff)), .leaf(level: .l3, prot: .rw, young: true))
    check(table.leaf(IPA(0x4000_0000)).descriptor.pfn, PFN(7))
    check(table.walk(IPA(0x4000_1000)), .invalid(level: .l3))
    check(table.walk(IPA(0x4020_0000)), .invalid(level: .l2))
    check(table.checkInvariants(), [])
  }

  @Test func theSizeAndTheAlignmentChooseTheLevel() {
    var table = Self.table()
    check(table.map(IPA(pud), size: pud, pfn: PFN(pud / page), prot: .rwx), .success)
    check(table.walk(IPA(pud + 5)), .leaf(level: .l1, prot: .rwx, young: true))
    check(table.pages.inner.cache, 40)
    // The frame is aligned to 2 MiB only: blocks of 2 MiB.
    check(table.map(IPA(2 * pud), size: pud, pfn: PFN(512), prot: .rw), .success)
    check(table.walk(IPA(2 * pud)), .leaf(level: .l2, prot: .rw, young: true))
    check(table.leaf(IPA(2 * pud + 3 * pmd)).descriptor.pfn, PFN(4 * 512))
    check(table.pages.inner.cache, 39)
    // The frame is not aligned to a block at all: pages.
    check(table.map(IPA(4 * pud), size: pmd, pfn: PFN(1), prot: .rw), .success)
    check(table.walk(IPA(4 * pud)), .leaf(level: .l3, prot: .rw, young: true))
    check(table.leaf(IPA(4 * pud + 5 * page)).descriptor.pfn, PFN(6))
    // A range that begins and ends inside blocks: pages, a block, pages.
    let start = 5 * pud + pmd - page
    check(table.map(IPA(start), size: pmd + 2 * page, pfn: PFN(511), prot: .rw), .success)
    let levels = table.leaves().filter { $0.ipa.rawValue >= start }.map(\.level)
    #expect(levels == [.l3, .l2, .l3])
    check(table.checkInvariants(), [])
  }

  /// kvm_pgtable_walk aligns the address down before it adds the size.
  @Test(arguments: [false, true])
  func anAddressInsideAPageMapsThatPageAlone(isTableThere: Bool) {
    var table = Self.table()
    if isTableThere { check(table.map(IPA(8 * page), size: page, pfn: PFN(99), prot: .rw), .success) }
    check(table.map(IPA(page + page / 2), size: page, pfn: PFN(7), prot: .rw), .success)
    check(table.walk(IPA(page)), .leaf(level: .l3, prot: .rw, young: true))
    check(table.walk(IPA(2 * page)), .invalid(level: .l3))
    check(table.checkInvariants(), [])
  }

  @Test func an16KTableHasNoLevel1Block() {
    var table = Table(geometry: .of(.size16K, 44), pages: CollapsingTablePages(cache: 40))
    check(table.map(IPA(0), size: 64 << 20, pfn: PFN(0), prot: .rw), .success)
    check(table.leaves().map(\.level), [.l2, .l2])
    check(table.map(IPA(64 << 30), size: 16384, pfn: PFN(0), prot: .rw), .success)
    check(table.walk(IPA(64 << 30)), .leaf(level: .l3, prot: .rw, young: true))
    check(table.checkInvariants(), [])
  }

  @Test func anUnknownFrameIsAlignedForAnyBlock() {
    var table = Self.table()
    check(table.map(IPA(pmd), size: pmd, pfn: nil, prot: .rw), .success)
    check(table.walk(IPA(pmd)), .leaf(level: .l2, prot: .rw, young: true))
    check(table.leaf(IPA(pmd)).descriptor.pfn, nil)
  }

  // MARK: -EAGAIN

  @Test func theSameLeafAgain() {
    var table = Self.table()
    for level in [page, pmd, pud] {
      check(table.map(IPA(0), size: level, pfn: PFN(0), prot: .rw), .success)
      let before = table.counters
      check(table.map(IPA(0), size: level, pfn: PFN(0), prot: .rw), .again)
      check(table.counters.breakBeforeMakes, before.breakBeforeMakes)
      check(table.counters.tlbiAll, before.tlbiAll)
    }
  }

  @Test(arguments: [Stage2Prot.read, [.read, .execute], .rwx])
  func aDifferenceInRightsAlone(prot: Stage2Prot) {
    var table = Self.table()
    check(table.map(IPA(0), size: page, pfn: PFN(1), prot: .rw), .success)
    check(table.map(IPA(0), size: page, pfn: PFN(1), prot: prot), .again)
    check(table.walk(IPA(0)), .leaf(level: .l3, prot: .rw, young: true))
  }

  @Test func anotherFrameIsAChange() {
    var table = Self.table()
    check(table.map(IPA(0), size: page, pfn: PFN(1), prot: .rw), .success)
    check(table.map(IPA(0), size: page, pfn: PFN(2), prot: .read), .success)
    check(table.leaf(IPA(0)).descriptor.pfn, PFN(2))
    check(table.walk(IPA(0)), .leaf(level: .l3, prot: .read, young: true))
    check(table.counters.tlbiIPA, 1)
    check(table.checkInvariants(), [])
  }

  @Test func anUnknownFrameIsTheSameFrame() {
    var table = Self.table()
    check(table.map(IPA(0), size: page, pfn: PFN(1), prot: .rw), .success)
    check(table.map(IPA(0), size: page, pfn: nil, prot: .rw), .again)
    check(table.map(IPA(page), size: page, pfn: nil, prot: .rw), .success)
    check(table.map(IPA(page), size: page, pfn: PFN(1), prot: .rw), .again)
  }

  @Test func anOldLeafIsAChange() {
    var table = Self.table()
    check(table.map(IPA(0), size: page, pfn: PFN(1), prot: .rw), .success)
    check(table.testClearYoung(IPA(0), size: page, markOld: true), true)
    check(table.map(IPA(0), size: page, pfn: PFN(1), prot: .rw), .success)
    check(table.walk(IPA(0)), .leaf(level: .l3, prot: .rw, young: true))
    check(table.counters.tlbiIPA, 1)
  }

  @Test func memoryTypeAndSoftwareBitsAreChanges() {
    var table = Self.table()
    check(table.map(IPA(0), size: page, pfn: PFN(1), prot: .rw), .success)
    check(table.map(IPA(0), size: page, pfn: PFN(1), prot: [.read, .write, .device]), .success)
    check(table.counters.tlbiIPA, 1)
    check(table.map(IPA(0), size: page, pfn: PFN(1), prot: [.read, .write, .device, .software1]), .success)
    check(table.counters.tlbiIPA, 2)
    // Alone, software bits are stored without breaking the entry.
    check(
      table.map(
        IPA(0), size: page, pfn: PFN(1), prot: [.read, .write, .device, .software0], sharing: .exclusive),
      .success)
    check(table.counters.tlbiIPA, 2)
    check(table.leaf(IPA(0)).descriptor.prot, [.read, .write, .software0])
    check(table.checkInvariants(), [])
  }

  @Test func aLockedEntry() {
    var table = Self.table()
    check(table.map(IPA(0), size: page, pfn: PFN(1), prot: .rw), .success)
    let old = table.lockEntry(IPA(0))
    // The hardware sees an invalid entry meanwhile.
    check(table.walk(IPA(0)), .invalid(level: .l3))
    check(table.map(IPA(0), size: page, pfn: PFN(2), prot: .rw), .again)
    check(table.warnings.isEmpty, true)
    check(table.map(IPA(0), size: page, pfn: PFN(2), prot: .rw, sharing: .exclusive), .again)
    check(table.warnings.count(of: .lockedEntryInExclusiveWalk), 1)
    table.unlockEntry(IPA(0), to: old)
    check(table.walk(IPA(0)), .leaf(level: .l3, prot: .rw, young: true))
    // The same where a table would have to be installed: its page was taken before that shows, and is given back.
    let hole = table.lockEntry(IPA(pmd))
    let cache = table.pages.inner.cache
    check(table.map(IPA(pmd), size: page, pfn: PFN(2), prot: .rw), .again)
    check(table.pages.inner.cache, cache - 1)
    check(table.pages.inner.pool, 1)
    table.unlockEntry(IPA(pmd), to: hole)
    check(table.checkInvariants(), [])
  }

  @Test func eagainLeavesWhatCameBefore() {
    var table = Self.table()
    check(table.map(IPA(2 * page), size: page, pfn: PFN(3), prot: .rw), .success)
    check(table.map(IPA(0), size: 4 * page, pfn: PFN(1), prot: .rw), .again)
    check(table.leaves().map(\.ipa), [IPA(0), IPA(page), IPA(2 * page)])
  }

  // MARK: Other errors

  @Test func withoutPagesForTables() {
    var table = Self.table(44, cache: 2)
    check(table.map(IPA(0), size: page, pfn: PFN(1), prot: .rw), .noMemory)
    // Two of the three tables exist and stay, the lower one empty.
    check(table.recountTables(), [.l1: 1, .l2: 1])
    check(table.checkInvariants(allowEmptyTables: true), [])
    check(table.checkInvariants() != [], true)
    check(table.walk(IPA(0)), .invalid(level: .l2))
    table.pages.inner.cache = 1
    check(table.map(IPA(0), size: page, pfn: PFN(1), prot: .rw), .success)
    check(table.checkInvariants(), [])
  }

  @Test func withoutACache() {
    var table = Self.table()
    table.pages.inner.hasMemcache = false
    check(table.map(IPA(0), size: page, pfn: PFN(1), prot: .rw), .noMemory)
    check(table.map(IPA(0), size: pud, pfn: PFN(0), prot: .rw), .success)
  }

  @Test func beyondTheTable() {
    var table = Self.table(36)
    let limit: UInt64 = 1 << 36
    check(table.map(IPA(limit), size: page, pfn: PFN(1), prot: .rw), .range)
    check(table.map(IPA(limit - page), size: 2 * page, pfn: PFN(1), prot: .rw), .range)
    check(table.map(IPA(limit - page), size: page, pfn: PFN(1), prot: .rw), .success)
    check(table.unmap(IPA(limit + page), size: page), .range)
    check(table.wrprotect(IPA(0), size: limit + page), .range)
    check(table.unmap(IPA(0), size: limit), .success)
    check(table.leaves().isEmpty, true)
  }

  @Test func withoutAPGD() {
    var table = Self.table()
    table.destroyPGD()
    check(table.map(IPA(0), size: page, pfn: PFN(1), prot: .rw), .invalid)
    check(table.walk(IPA(0)), .invalid(level: .l1))
    check(table.checkInvariants(), [])
  }

  @Test func impossibleRights() {
    var table = Self.table()
    for prot in [
      Stage2Prot([.read, .device, .normalNonCacheable]), [.read, .device, .execute],
      [.read, .normalNonCacheable, .userExecute], [.read, .privilegedExecute], [.read, .userExecute],
    ] {
      check(table.map(IPA(0), size: page, pfn: PFN(1), prot: prot), .invalid)
    }
    check(table.leaves().isEmpty, true)
    var withXNX = Self.table(features: Stage2Features(hasXNX: true))
    check(withXNX.map(IPA(0), size: page, pfn: PFN(1), prot: [.read, .userExecute]), .success)
    check(withXNX.map(IPA(page), size: page, pfn: PFN(1), prot: [.read, .privilegedExecute]), .success)
    check(withXNX.leaf(IPA(0)).descriptor.rawValue >> 53 & 3, 1)
    check(withXNX.leaf(IPA(page)).descriptor.rawValue >> 53 & 3, 3)
    check(withXNX.leaf(IPA(0)).descriptor.prot, [.read, .userExecute])
    check(withXNX.leaf(IPA(page)).descriptor.prot, [.read, .privilegedExecute])
  }

  // MARK: Blocks and tables

  @Test func aPageBreaksABlock() {
    var table = Self.table()
    check(table.map(IPA(0), size: pmd, pfn: PFN(0), prot: .rw), .success)
    let before = table.counters
    check(table.map(IPA(5 * page), size: page, pfn: PFN(5), prot: .rw), .success)
    check(table.leaves().map(\.ipa), [IPA(5 * page)])
    check(table.walk(IPA(0)), .invalid(level: .l3))
    check(table.counters.tlbiIPA, before.tlbiIPA + 1)
    check(table.counters.blocksBroken, 1)
    check(table.checkInvariants(), [])
  }

  @Test(arguments: [false, true])
  func aBlockCollapsesATable(hasTLBIRange: Bool) {
    var table = Self.table(features: Stage2Features(hasTLBIRange: hasTLBIRange))
    for index in 0..<10 as Range<UInt64> {
      check(table.map(IPA(index * page), size: page, pfn: PFN(index), prot: .rw), .success)
    }
    check(table.map(IPA(0), size: pmd, pfn: PFN(0), prot: .rw), .success)
    check(table.leaves().map(\.level), [.l2])
    check(table.counters.collapses, 1)
    check(table.counters.tlbiRange, (hasTLBIRange ? 1 : 0))
    check(table.counters.tlbiVMID, (hasTLBIRange ? 0 : 1))
    check(table.counters.tlbiIPA, 0)
    // The old table waits for RCU.
    check(table.unlinkedTables, 1)
    check(table.pages.inner.freedByLevel, [:])
    check(table.recountTables(), [.l2: 1, .l3: 1])
    check(table.checkInvariants(), [])
    table.drainUnlinkedTables()
    check(table.pages.inner.freedByLevel, [3: 1])
    check(table.recountTables(), [.l2: 1])
    check(table.checkInvariants(), [])
  }

  @Test func aGigabyteCollapsesATree() {
    var table = Self.table()
    for index in 0..<3 as Range<UInt64> {
      check(table.map(IPA(index * pmd), size: page, pfn: PFN(index), prot: .rw), .success)
    }
    check(table.map(IPA(5 * pmd), size: pmd, pfn: PFN(512), prot: .rw), .success)
    check(table.map(IPA(0), size: pud, pfn: PFN(0), prot: .rw), .success)
    check(table.leaves().map(\.level), [.l1])
    check(table.unlinkedTables, 1)
    check(table.recountTables(), [.l2: 1, .l3: 3])
    table.drainUnlinkedTables()
    check(table.pages.inner.freedByLevel, [2: 1, 3: 3])
    check(table.liveTables, 2)
    check(table.warnings.isEmpty, true)
  }

  @Test func withoutTheCallbackNothingCollapses() {
    var table = Stage2PageTable(geometry: .of(.size4K, 40), pages: TestTablePages(cache: 10))
    check(table.map(IPA(0), size: page, pfn: PFN(1), prot: .rw), .success)
    check(table.map(IPA(0), size: pmd, pfn: PFN(0), prot: .rw), .invalid)
    check(table.warnings.count(of: .collapseWithoutFreeUnlinkedTable), 1)
    check(table.walk(IPA(0)), .leaf(level: .l3, prot: .rw, young: true))
  }

  @Test func freedTablesGoToThePoolAndComeBackFirst() {
    var table = Stage2PageTable(geometry: .of(.size4K, 44), pages: TestTablePages(cache: 3))
    check(table.map(IPA(0), size: page, pfn: PFN(1), prot: .rw), .success)
    check(table.pages.cache, 0)
    check(table.unmap(IPA(0), size: page), .success)
    check(table.pages.pool, 3)
    check(table.map(IPA(pud), size: page, pfn: PFN(1), prot: .rw), .success)
    check(table.pages.pool, 0)
    check(table.map(IPA(2 * pud), size: page, pfn: PFN(1), prot: .rw), .noMemory)
  }

  // MARK: Caches

  @Test func cacheMaintenanceOfNewLeaves() {
    var table = Self.table()
    check(table.map(IPA(0), size: pmd, pfn: PFN(0), prot: .rw), .success)
    check(table.counters.dcachePages, 512)
    check(table.counters.icachePages, 0)
    check(table.map(IPA(pmd), size: page, pfn: PFN(0), prot: .rwx), .success)
    check(table.counters.dcachePages, 513)
    check(table.counters.icachePages, 1)
    check(table.map(IPA(2 * pmd), size: page, pfn: PFN(0), prot: [.read, .device]), .success)
    check(table.counters.dcachePages, 513)
    var withFWB = Self.table(features: Stage2Features(hasFWB: true))
    check(withFWB.map(IPA(0), size: page, pfn: PFN(0), prot: .rwx), .success)
    check(withFWB.counters.dcachePages, 0)
    check(withFWB.counters.icachePages, 1)
  }

  @Test func aLockedEntryCostsTheHostAPageOfItsCache() {
    var pages = TraditionalTablePages(accounting: MemoryAccounting(pageSize: .size4K))
    pages.topUp(VCPUIndex(0), minimum: 2)
    pages.use(VCPUIndex(0))
    var table = Stage2PageTable(geometry: .of(.size4K, 40), pages: pages)
    check(table.map(IPA(0), size: page, pfn: PFN(1), prot: .rw), .success)
    check(table.pages.cachePages(VCPUIndex(0)), 38)
    _ = table.lockEntry(IPA(pmd))
    check(table.map(IPA(pmd), size: page, pfn: PFN(2), prot: .rw), .again)
    // kvm_s2_put_page frees the page to the host, not to the cache that it came from.
    check(table.pages.cachePages(VCPUIndex(0)), 37)
    check(table.pages.accounting.tables.live, 2)
    check(table.pages.accounting.allPages.live, 39)
    // With the cache empty the host takes a page of its own first, with a warning, and frees that.
    table.pages.free(VCPUIndex(0))
    check(table.map(IPA(pmd), size: page, pfn: PFN(2), prot: .rw), .again)
    check(table.pages.emptyCacheWarnings, 1)
    check(table.pages.accounting.allPages.live, 2)
  }

  // MARK: Annotations

  @Test func annotationsArePagesAndKnowTheirBounds() {
    var table = Stage2PageTable(geometry: .of(.size4K, 40), pages: TestTablePages(cache: 10))
    check(table.annotate(IPA(0), size: page, type: .locked), .invalid)
    check(table.annotate(IPA(0), size: page, type: .donated, annotation: 1 << 59), .invalid)
    check(table.annotate(IPA(0), size: pmd, type: .donated, annotation: 1 << 59 - 1), .success)
    // Page by page, however large the range.
    check(table.leaf(IPA(pmd - 1)).level, .l3)
    check(table.leaf(IPA(pmd - 1)).descriptor.annotation, 1 << 59 - 1)
    check(table.leaf(IPA(pmd - 1)).descriptor.invalidType, .donated)
    check(table.pages.takenByLevel, [2: 1, 3: 1])
  }

  @Test func annotationsAreCountedButInvalid() {
    var table = Stage2PageTable(geometry: .of(.size4K, 40), pages: TestTablePages(cache: 10))
    check(table.map(IPA(page), size: page, pfn: PFN(1), prot: .rwx), .success)
    check(table.annotate(IPA(page), size: page, type: .poisoned, annotation: 0x123), .success)
    check(table.walk(IPA(page)), .invalid(level: .l3))
    let entry = table.leaf(IPA(page)).descriptor
    #expect(entry.invalidType == .poisoned)
    #expect(entry.annotation == 0x123)
    check(table.pages.takenByLevel, [2: 1, 3: 1])
    check(table.counters.tlbiIPA, 1)
    check(table.checkInvariants(), [])
    check(table.unmap(IPA(page), size: page), .success)
    check(table.liveTables, table.geometry.pgdPages)
  }
}
