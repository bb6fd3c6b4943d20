import KVMTypes
import Testing

@testable import Stage2Model

/// The two-stage memory cache: host pages, EL2 pages, the pool, as observed on a running kernel with a
/// four-level table (min_pages 3).
struct PKVMMemcacheTests {
  /// The host's pages before the top-up of successive faults in one 2 MiB region: 0, 0, 0, 3, 3, 3.
  @Test func observedTopUps() throws {
    var vm = makeVM()
    var before: [Int] = []
    var afterEL2: [Int] = []
    for index in 0..<6 as Range<UInt64> {
      before.append(vm.memcachePages(vcpu0))
      check(vm.fault(index * page4K), .success)
      afterEL2.append(vm.hyp.memcachePages(vcpu0))
    }
    #expect(before == [0, 0, 0, 3, 3, 3])
    // The first fault uses its three pages for tables, the second refills EL2's cache.
    #expect(afterEL2 == [0, 3, 3, 3, 3, 3])
    check(vm.memory.tables.live, 3)
    check(vm.checkInvariants(), [])
  }

  /// After a map that took one page, the next share moves one, and the fault after that tops up one.
  @Test func steadyStateRefills() throws {
    var vm = makeVM()
    for index in 0..<4 as Range<UInt64> { check(vm.fault(index * page4K), .success) }
    check(vm.fault(block2M), .success)
    check(vm.memory.tables(level: .l3).live, 2)
    check(vm.hyp.memcachePages(vcpu0), 2)
    check(vm.memcachePages(vcpu0), 3)
    check(vm.fault(block2M + page4K), .success)
    check(vm.hyp.memcachePages(vcpu0), 3)
    check(vm.memcachePages(vcpu0), 2)
    check(vm.fault(block2M + 2 * page4K), .success)
    check(vm.memcachePages(vcpu0), 3)
    check(vm.checkInvariants(), [])
  }

  /// Five pages of a protected guest in one region: 1 PGD + 3 tables + 3 + 3 pages = 40 KiB of SecPageTables.
  @Test func protectedGuestOfFivePages() throws {
    var vm = makeVM(protected: true)
    for index in 0..<5 as Range<UInt64> { check(vm.fault(index * page4K, prot: .rwx), .success) }
    check(vm.memory.secPageTables.live, 10)
    var large = makeVM(ipaBits: 52, protected: true)
    for index in 0..<5 as Range<UInt64> { check(large.fault(index * page4K, prot: .rwx), .success) }
    check(large.memory.secPageTables.live, 25)
    check(vm.checkInvariants(), [])
  }

  /// Freed tables go to the pool and are taken from there first; the host gets none back.
  @Test func poolIsReused() throws {
    var vm = makeVM()
    for index in 0..<4 as Range<UInt64> { check(vm.fault(index * page4K), .success) }
    check(vm.unmap(0, 4 * page4K), .success)
    check(vm.memory.tables.live, 0)
    check(vm.hyp.table.pages.pool, 3)
    let before = vm.memory.allPages.live
    check(vm.fault(1 << 40), .success)
    check(vm.hyp.table.pages.pool, 0)
    check(vm.memory.allPages.live, before)
    check(vm.hyp.memcachePages(vcpu0), 3)
    check(vm.checkInvariants(), [])
  }

  /// Without the top-up that a fault makes, EL2 has less than a map can need.
  @Test func shareWithoutTopUpIsNoMemory() throws {
    var vm = makeVM()
    check(vm.map(IPA(0), size: page4K, pfn: nil, prot: .rw, vcpu: vcpu0), .noMemory)
    check(vm.mappingCount, 0)
    vm.topUpMemcache(vcpu: vcpu0, pages: 2)
    check(vm.map(IPA(0), size: page4K, pfn: nil, prot: .rw, vcpu: vcpu0), .noMemory)
    check(vm.checkInvariants(), [])
  }

  /// The precheck looks at the cache alone: a full pool does not help, a map that needs nothing fails too.
  @Test func precheckIgnoresThePool() throws {
    var vm = makeVM()
    check(vm.fault(0), .success)
    check(vm.unmap(0, page4K), .success)
    check(vm.hyp.table.pages.pool, 3)
    check(vm.map(IPA(0), size: page4K, pfn: nil, prot: .rw, vcpu: vcpu0), .noMemory)
  }

  /// -EAGAIN keeps pages and mapping object for the next fault.
  @Test func againKeepsWhatWasToppedUp() throws {
    var vm = makeVM()
    check(vm.fault(0), .success)
    for _ in 0..<2 { check(vm.fault(0), .again) }
    check(vm.memory.spareMappings.live, 1)
    check(vm.memory.spareMappings.added, 2)
  }

  /// Each vCPU has its own caches; the pool is the VM's.
  @Test func cachesArePerVCPU() throws {
    var vm = makeVM { $0.createdVCPUs = 2 }
    check(vm.fault(0), .success)
    check(vm.fault(page4K, vcpu: VCPUIndex(1)), .success)
    check(vm.hypercalls[.initVCPU], 2)
    check(vm.hypercalls[.initVM], 1)
    check(vm.hyp.memcachePages(VCPUIndex(1)), 3)
    check(vm.hyp.memcachePages(vcpu0), 0)
    check(vm.checkInvariants(), [])
  }

  /// Structures at 4 KiB: the VM takes 2 pages, each vCPU 3.
  @Test func structuresAreCounted() {
    var vm = makeVM()
    check(vm.fault(0), .success)
    check(vm.memory.pages(.hypVM).live, 2)
    check(vm.memory.pages(.hypVCPU).live, 3)
    check(vm.memory.pages(.pgd).live, 1)
  }
}
