import KVMTypes
import Testing

@testable import Stage2Model

/// Caches and memory of the traditional path.
struct TraditionalStage2Tests {
  static let vcpu = VCPUIndex(0)

  @Test func thePGDCountsFromTheBeginning() {
    let stage2 = TraditionalStage2(geometry: .of(.size4K, 40))
    check(stage2.memory.pages(.pgd).live, 2)
    check(stage2.memory.secPageTables.live, 2)
    check(stage2.memory.totalBytes.live, 8192)
  }

  @Test func aTopUpFillsTheCacheOrDoesNothing() {
    var stage2 = TraditionalStage2(geometry: .of(.size4K, 44))
    stage2.topUpMemcache(vcpu: Self.vcpu, pages: 3)
    check(stage2.memcachePages(vcpu: Self.vcpu), 40)
    // Cached pages are memory, but no page tables yet.
    check(stage2.memory.secPageTables.live, 1)
    check(stage2.memory.allPages.live, 41)
    check(stage2.map(IPA(0), size: page, pfn: nil, prot: .rw, vcpu: Self.vcpu), .success)
    check(stage2.memcachePages(vcpu: Self.vcpu), 37)
    check(stage2.memory.secPageTables.live, 4)
    check(stage2.memory.allPages.live, 41)
    stage2.topUpMemcache(vcpu: Self.vcpu, pages: 3)
    check(stage2.memcachePages(vcpu: Self.vcpu), 37)
    stage2.topUpMemcache(vcpu: Self.vcpu, pages: 38)
    check(stage2.memcachePages(vcpu: Self.vcpu), 40)
    stage2.freeMemcache(vcpu: Self.vcpu)
    check(stage2.memory.allPages.live, 4)
    check(stage2.memory.allPages.peak, 44)
    check(stage2.checkInvariants(), [])
  }

  @Test func eachVCPUHasItsCache() {
    var stage2 = TraditionalStage2(geometry: .of(.size4K, 40))
    stage2.topUpMemcache(vcpu: VCPUIndex(2), pages: 2)
    stage2.topUpMemcache(vcpu: .ioremap, pages: 2)
    check(stage2.memcachePages(vcpu: Self.vcpu), 0)
    check(stage2.memory.pages(.hostMemcache).live, 80)
    check(stage2.map(IPA(0), size: page, pfn: nil, prot: .rw, vcpu: VCPUIndex(2)), .success)
    check(stage2.memcachePages(vcpu: VCPUIndex(2)), 38)
    check(stage2.memcachePages(vcpu: .ioremap), 40)
  }

  @Test func anEmptyCacheWarnsAndAllocates() {
    var stage2 = TraditionalStage2(geometry: .of(.size4K, 40))
    check(stage2.map(IPA(0), size: page, pfn: nil, prot: .rw, vcpu: Self.vcpu), .success)
    check(stage2.warnings.count(of: .emptyMemoryCache), 2)
    check(stage2.memory.tables.live, 2)
    check(stage2.checkInvariants(), [])
  }

  @Test func freedTablesGoBackToTheHost() {
    var stage2 = TraditionalStage2(geometry: .of(.size4K, 40))
    stage2.topUpMemcache(vcpu: Self.vcpu, pages: 2)
    check(stage2.map(IPA(0), size: page, pfn: nil, prot: .rw, vcpu: Self.vcpu), .success)
    check(stage2.unmap(IPA(0), size: page), .success)
    check(stage2.memcachePages(vcpu: Self.vcpu), 38)
    check(stage2.memory.tables.live, 0)
    check(stage2.memory.tables.peak, 2)
    check(stage2.memory.allPages.live, 40)
  }

  @Test func tablesOfADenseAndOfASparseGigabyte() {
    var stage2 = TraditionalStage2(geometry: .of(.size4K, 44))
    stage2.topUpMemcache(vcpu: Self.vcpu, pages: 40)
    // Frames that no block fits: 262144 pages, 512 level-3 tables, one of level 2, one of level 1.
    check(stage2.map(IPA(0), size: pud, pfn: PFN(1), prot: .rw, vcpu: Self.vcpu), .success)
    check(stage2.memory.tables(level: .l3).live, 512)
    check(stage2.memory.tables(level: .l2).live, 1)
    check(stage2.memory.tables(level: .l1).live, 1)
    check(stage2.unmap(IPA(0), size: pud), .success)
    check(stage2.memory.tables.live, 0)
    // Blocks of 2 MiB: one level-2 table a gigabyte.
    check(stage2.map(IPA(0), size: pud, pfn: PFN(512), prot: .rw, vcpu: Self.vcpu), .success)
    check(stage2.memory.tables(level: .l3).live, 0)
    check(stage2.memory.tables(level: .l2).live, 1)
    // One page a gigabyte costs two tables each.
    for index in 1..<4 as Range<UInt64> {
      check(stage2.map(IPA(index * pud), size: page, pfn: nil, prot: .rw, vcpu: Self.vcpu), .success)
    }
    check(stage2.memory.tables(level: .l3).live, 3)
    check(stage2.memory.tables(level: .l2).live, 4)
    check(stage2.checkInvariants(), [])
  }

  @Test func collapsedTablesCountUntilTheGracePeriodEnds() {
    var stage2 = TraditionalStage2(geometry: .of(.size4K, 40))
    stage2.topUpMemcache(vcpu: Self.vcpu, pages: 2)
    check(stage2.map(IPA(0), size: page, pfn: nil, prot: .rw, vcpu: Self.vcpu), .success)
    check(stage2.map(IPA(0), size: pmd, pfn: nil, prot: .rw, vcpu: Self.vcpu), .success)
    check(stage2.memory.tables.live, 2)
    check(stage2.memory.secPageTables.live, 4)
    stage2.drainUnlinkedTables()
    check(stage2.memory.tables.live, 1)
    check(stage2.checkInvariants(), [])
  }

  @Test func splittingPaysFromItsOwnCache() {
    var stage2 = TraditionalStage2(geometry: .of(.size4K, 40))
    stage2.topUpMemcache(vcpu: Self.vcpu, pages: 2)
    check(stage2.map(IPA(0), size: pmd, pfn: nil, prot: .rw, vcpu: Self.vcpu), .success)
    check(stage2.split(IPA(0), size: pmd, vcpu: Self.vcpu), .noMemory)
    stage2.topUpSplitCache(pages: 2)
    check(stage2.memory.pages(.splitCache).live, 2)
    check(stage2.split(IPA(0), size: pmd, vcpu: Self.vcpu), .success)
    check(stage2.memory.pages(.splitCache).live, 1)
    check(stage2.memcachePages(vcpu: Self.vcpu), 39)
    stage2.freeSplitCache()
    check(stage2.memory.pages(.splitCache).live, 0)
    check(stage2.checkInvariants(), [])
  }

  @Test func theHardwareSetsTheAccessFlagSilently() {
    var stage2 = TraditionalStage2(geometry: .of(.size4K, 40))
    check(stage2.map(IPA(0), size: page, pfn: nil, prot: .rw, vcpu: Self.vcpu), .success)
    check(stage2.testClearYoung(IPA(0), size: page, markOld: true), true)
    let visits = stage2.counters.descriptorsVisited
    stage2.setAccessFlagInHardware(IPA(0))
    stage2.setAccessFlagInHardware(IPA(pud))
    check(stage2.counters.descriptorsVisited, visits)
    check(stage2.walk(IPA(0)), .leaf(level: .l3, prot: .rw, young: true))
    check(stage2.checkInvariants(), [])
  }

  /// The host invalidates what another vCPU left on a CPU; under pKVM it does not, and EL2 runs its own table.
  @Test func aVCPUThatIsLoaded() {
    var stage2 = TraditionalStage2(geometry: .of(.size4K, 40))
    for (vcpu, cpu, flushes) in [(0, 0, 1), (0, 0, 1), (1, 0, 2), (1, 1, 3), (0, 0, 4), (1, 1, 4)] {
      stage2.loadVCPU(VCPUIndex(vcpu), cpu: cpu)
      check(stage2.counters.cpuContextFlushes, flushes)
    }
    check(stage2.counters.tlbiAll, 0)
    var pkvm = makeVM { $0.requiresLoadedVCPU = true }
    check(pkvm.firstRun(vcpu0), .success)
    check(pkvm.firstRun(VCPUIndex(1)), .success)
    pkvm.loadVCPU(vcpu0, cpu: 0)
    pkvm.putVCPU(vcpu0)
    pkvm.loadVCPU(VCPUIndex(1), cpu: 0)
    check(pkvm.hypercalls[.vcpuLoad], 2)
    check(pkvm.hyp.table.counters.cpuContextFlushes, 0)
    check(pkvm.hyp.table.counters.tlbiVMID, 0)
  }

  @Test func remoteFlushes() {
    var stage2 = TraditionalStage2(geometry: .of(.size4K, 40), features: Stage2Features(hasTLBIRange: true))
    stage2.flushRemoteTLBs()
    stage2.flushRemoteTLBs(IPA(0), size: 5 * page)
    check(stage2.counters.tlbiVMID, 1)
    check(stage2.counters.tlbiRange, 1)
    var withoutRanges = TraditionalStage2(geometry: .of(.size4K, 40))
    withoutRanges.flushRemoteTLBs(IPA(0), size: 5 * page)
    check(withoutRanges.counters.tlbiVMID, 1)
  }

  @Test func theEndOfTheVM() {
    var stage2 = TraditionalStage2(geometry: .of(.size4K, 40))
    stage2.topUpMemcache(vcpu: Self.vcpu, pages: 2)
    check(stage2.map(IPA(0), size: page, pfn: nil, prot: .rw, vcpu: Self.vcpu), .success)
    stage2.destroyRange(IPA(0), size: 1 << 40)
    stage2.destroyPGD()
    stage2.destroyPGD()
    stage2.freeMemcache(vcpu: Self.vcpu)
    check(stage2.memory.totalBytes.live, 0)
    check(stage2.memory.secPageTables.live, 0)
    check(stage2.map(IPA(0), size: page, pfn: nil, prot: .rw, vcpu: Self.vcpu), .invalid)
    check(stage2.checkInvariants(), [])
  }
}
