import KVMTypes
import Testing

@testable import Stage2Model

/// What changed from release to release, the bugs included.
struct PKVMEraTests {
  static let plain: [PKVMEra] = [.v3, .v6_14, .v6_15]
  static let interval: [PKVMEra] = [.v6_16, .v6_18, .v6_19, .v7_1, .v7_2, .v7_3]

  /// Before 6.16: pages only.
  @Test(arguments: plain) func pagesOnly(era: PKVMEra) {
    var vm = makeVM(era)
    check(vm.fault(0, size: block2M), .invalid)
    check(vm.hypercalls[.hostShareGuest], 0)
    check(vm.fault(0), .success)
  }

  /// Before 6.16 a race is found by EL2: -EPERM becomes -EAGAIN after a hypercall.
  @Test(arguments: PKVMEra.allCases) func race(era: PKVMEra) {
    var vm = makeVM(era)
    check(vm.fault(0), .success)
    check(vm.fault(0), .again)
    check(vm.hypercalls[.hostShareGuest], era < .v6_16 ? 2 : 1)
    check(vm.mappingCount, 1)
    check(vm.checkInvariants(), [])
  }

  /// The fall-through before 6.16: an error other than -EPERM is returned, and a mapping is inserted that EL2
  /// knows nothing of. Unmapping it fails for ever; only the end of the VM drops it.
  @Test(arguments: PKVMEra.allCases) func failedShareInsertsAMapping(era: PKVMEra) {
    var vm = makeVM(era)
    check(vm.fault(page4K), .success)
    vm.failNextRefill()
    check(vm.fault(0), .noMemory)
    check(vm.walk(0), .invalid(level: .l3))
    check(vm.mappingCount, era < .v6_16 ? 2 : 1)
    check(vm.memory.spareMappings.live, era < .v6_16 ? 0 : 1)
    check(vm.checkInvariants(), [])
    let result = vm.unmap(0, 2 * page4K)
    if era < .v6_16 {
      check(result, .noEntry)
      check(vm.warnings.count(of: .unshareFailed), 1)
      // The walk ended at the first mapping; the good one behind it is still there.
      check(vm.mappingCount, 2)
      vm.destroy()
    } else {
      check(result, .success)
    }
    check(vm.mappingCount, 0)
    check(vm.hyp.vmemmap.shareCounts.isEmpty, true)
  }

  /// A page that is mapped after such a failure: the second node is refused and lost.
  @Test func mappingIsLeaked() {
    var vm = makeVM(.v6_14)
    vm.failNextRefill()
    check(vm.fault(0), .noMemory)
    check(vm.fault(0), .success)
    check(vm.warnings.count(of: .duplicateMapping), 1)
    check(vm.memory.lostMappings.live, 1)
    check(vm.mappingCount, 1)
    check(vm.unmap(0, page4K), .success)
    check(vm.checkInvariants(), [])
  }

  /// Pages above 4 KiB on 6.16: the fault's address keeps the bits that HPFAR has below the page, the range
  /// reaches into the next page, and while that one is mapped the fault is -EAGAIN for ever.
  @Test(arguments: [PageSize.size16K, .size64K], interval)
  func endlessAgain(pageSize: PageSize, era: PKVMEra) {
    var vm = makeVM(era, pageSize: pageSize, ipaBits: 48)
    let size = pageSize.bytes
    let fault: UInt64 = 3 * size + 4096
    // user_mem_abort aligns the address from 7.0 on, and in later releases of 6.19.
    let ipa = era.alignsFaultIPA ? fault & ~(size - 1) : fault
    check(vm.fault(4 * size, size: size), .success)
    let shares = vm.hypercalls[.hostShareGuest]
    for _ in 0..<100 {
      let result = vm.fault(ipa, size: size)
      if era >= .v6_19 {
        check(result, .success)
        break
      }
      check(result, .again)
      check(vm.hypercalls[.hostShareGuest], shares)
    }
    check(vm.mappingCount, era >= .v6_19 ? 2 : 1)
  }

  /// The same address on 6.14 is a frame number at once: no bug there.
  @Test func noEndlessAgainBefore() {
    var vm = makeVM(.v6_14, pageSize: .size64K, ipaBits: 48)
    check(vm.fault(4 << 16, size: 1 << 16), .success)
    check(vm.fault(3 << 16 + 4096, size: 1 << 16), .success)
  }

  /// 7.1 refuses a map that might run out of pages; before, running out panics the hypervisor.
  @Test(arguments: PKVMEra.allCases) func outOfPages(era: PKVMEra) {
    var vm = makeVM(era)
    vm.topUpMemcache(vcpu: vcpu0, pages: 1)
    check(vm.map(IPA(0), size: page4K, pfn: nil, prot: .rw, vcpu: vcpu0), .noMemory)
    check(vm.hyp.warnings.count(of: .hypMapFailed), era >= .v7_1 ? 0 : 1)
    // The walk that failed midway left the table that it had taken.
    check(vm.memory.tables.live, era >= .v7_1 ? 0 : 1)
    check(vm.checkInvariants(), [])
  }

  /// Before 7.3 a map without a mapping object at hand crashes the host.
  @Test func nullMapping() {
    var vm = makeVM(.v6_16)
    check(vm.fault(0), .success)
    check(vm.map(IPA(page4K), size: page4K, pfn: nil, prot: .rw, vcpu: vcpu0), .success)
    check(vm.warnings.count(of: .noPreallocatedMapping), 1)
  }

  /// SecPageTables: nothing, from 6.15 on the PGD and everything since it entered the cache.
  @Test(arguments: PKVMEra.allCases) func secPageTables(era: PKVMEra) {
    var vm = makeVM(era)
    for index in 0..<3 as Range<UInt64> { check(vm.fault(index * page4K), .success) }
    check(vm.memory.secPageTables.live, era < .v6_15 ? 0 : 1 + 3 + 3 + 3)
  }

  /// Slab bytes a mapping: 64 in every era, 72 with memory control groups.
  @Test func bytesOfMappings() {
    var vm = makeVM { $0.bytesPerMapping = 72 }
    check(vm.fault(0), .success)
    check(vm.memory.mappingBytesLive, 72)
    var plain = makeVM(.v6_14)
    check(plain.fault(0), .success)
    check(plain.memory.mappingBytesLive, 64)
  }

  /// The end of a VM with mappings and one that never ran.
  @Test(arguments: PKVMEra.allCases) func lifeCycle(era: PKVMEra) {
    var vm = makeVM(era)
    check(vm.hypercalls[.reserveVM], era < .v6_18 ? 0 : 1)
    for index in 0..<3 as Range<UInt64> { check(vm.fault(index * page4K, pfn: 5), .success) }
    if era.destroysInChunks {
      vm.destroyRange(IPA(0), size: 1 << 30)
      vm.destroyRange(IPA(1 << 30), size: 1 << 30)
    } else {
      vm.destroy()
    }
    vm.destroyPGD()
    check(vm.hypercalls[.hostUnshareGuest], 3)
    check(vm.hypercalls[.startTeardownVM], era >= .v7_1 ? 1 : 0)
    check(vm.destroyVM(), .success)
    check(vm.hypercalls[era >= .v7_1 ? .finalizeTeardownVM : .teardownVM], 1)
    check(vm.memory.totalBytes.live, 0)
    check(vm.memory.spareMappings.live, 0)
    check(vm.warnings.isEmpty, true)

    var idle = makeVM(era)
    idle.destroyRange(IPA(0), size: 1 << 44)
    check(idle.destroyVM(), .success)
    check(idle.hypercalls.total, era < .v6_18 ? 0 : 2)
  }

  /// Until 6.14 the first run of any vCPU creates all of the VM's, from 6.15 on each its own.
  @Test(arguments: PKVMEra.allCases) func creationOfVCPUs(era: PKVMEra) {
    var vm = makeVM(era) { $0.createdVCPUs = 3 }
    check(vm.firstRun(VCPUIndex(1)), .success)
    check(vm.hypercalls[.initVCPU], era < .v6_15 ? 3 : 1)
    check(vm.memory.pages(.hypVCPU).live, era < .v6_15 ? 9 : 3)
    check(vm.firstRun(VCPUIndex(0)), .success)
    check(vm.firstRun(VCPUIndex(1)), .success)
    check(vm.hypercalls[.initVCPU], era < .v6_15 ? 3 : 2)
    check(vm.hypercalls[.initVM], 1)
  }

  /// EL2 knows a VM until its end, and lets a dying one have vCPUs.
  @Test func vcpusOfAVMThatIsNotThere() {
    var vm = makeVM()
    check(vm.hyp.initVCPU(vcpu0), .noEntry)
    check(vm.firstRun(vcpu0), .success)
    check(vm.hyp.initVCPU(vcpu0), .invalid)
    check(vm.hyp.startTeardownVM(), .success)
    check(vm.hyp.initVCPU(VCPUIndex(1)), .success)
    check(vm.hyp.finalizeTeardownVM(), .success)
    check(vm.hyp.initVCPU(VCPUIndex(2)), .noEntry)
  }

  /// `__pkvm_teardown_vm` of the kernels before 7.1, and what replaced it, with a vCPU still loaded.
  @Test(arguments: [PKVMEra.v6_14, .v6_19, .v7_3]) func teardownWithALoadedVCPU(era: PKVMEra) {
    var vm = makeVM(era) { $0.requiresLoadedVCPU = true }
    check(vm.hyp.teardownVM(), .noEntry)
    check(vm.firstRun(vcpu0), .success)
    check(vm.loadVCPU(vcpu0), true)
    check(vm.destroyVM(), era < .v7_1 ? .busy : .invalid)
    check(vm.warnings.count(of: .teardownFailed), 1)
    check(vm.hyp.warnings.count(of: .teardownOfReferencedVM), era < .v7_1 ? 1 : 0)
  }

  /// Until 6.18 EL2 adds rights to nothing with success, because its walk ignores the empty entry.
  @Test(arguments: PKVMEra.allCases) func relaxOfAHole(era: PKVMEra) {
    var vm = makeVM(era)
    check(vm.relaxPerms(IPA(0), prot: .rw), era < .v6_19 ? .success : .again)
    check(vm.walk(0), .invalid(level: .l0))
    check(vm.relaxPerms(IPA(1 << 44), prot: .rw), .range)
  }

  /// A refused share is warned of from 6.16 to 7.2.
  @Test(arguments: PKVMEra.allCases) func refusedShare(era: PKVMEra) {
    var vm = makeVM(era)
    vm.hyp.vmemmap.override(PFN(3), state: .sharedBorrowed)
    check(vm.fault(0, pfn: 3), era < .v6_16 ? .again : .notPermitted)
    check(vm.warnings.count(of: .shareFailed), era >= .v6_16 && era < .v7_3 ? 1 : 0)
  }

  /// A page that EL2 refuses ends one call of the teardown: in chunks that is the rest of a chunk, in one call that
  /// is the rest of everything.
  @Test(arguments: interval) func refusedPageAtTheEnd(era: PKVMEra) {
    var vm = makeVM(era)
    for (index, ipa) in [0, page4K, 1 << 30, 3 << 30].enumerated() {
      check(vm.fault(ipa, pfn: 20 + UInt64(index)), .success)
    }
    vm.hyp.vmemmap.override(PFN(20), state: .owned)
    let chunk: UInt64 = era.destroysInChunks ? 1 << 30 : 1 << 44
    vm.destroyRange(IPA(0), size: 1 << 44, chunk: chunk)
    check(
      vm.allMappings().map(\.gfn),
      era.destroysInChunks ? [GFN(0), GFN(1)] : [0, 1, 1 << 18, 3 << 18].map { GFN($0) })
    check(vm.warnings.count(of: .unshareFailed), 1)
    check(vm.hypercalls[.hostUnshareGuest], era.destroysInChunks ? 3 : 1)
  }

  /// 255 VMs have handles, the next has none.
  @Test func handlesRunOut() {
    let vmemmap = HypVMemmap()
    for _ in 0..<255 { check(vmemmap.reserveHandle() != nil, true) }
    check(vmemmap.reserveHandle(), nil)
    vmemmap.releaseHandle(PKVMHandle(0x1007))
    check(vmemmap.reserveHandle(), PKVMHandle(0x1007))
  }

  @Test(arguments: PKVMEra.allCases) func names(era: PKVMEra) {
    check(PKVMEra(name: era.name), era)
    check(PKVMEra(name: "5.10"), nil)
  }

  /// Before 6.16 the walk over the tree compares frames: a range that ends inside a page ends before it. Since then it looks for
  /// what overlaps the bytes.
  @Test(arguments: PKVMEra.allCases, [true, false]) func partsOfPages(era: PKVMEra, tree: Bool) {
    for (start, size, isCovered) in [
      (UInt64(0x6f1), UInt64(0x1000), era >= .v6_16), (0x1800, 0x400, era >= .v6_16), (0x1800, 0x800, true),
      (0x1fff, 0x1, true), (0x1fff, 0x2, true), (0x1800, 0, era >= .v6_16), (0x1000, 0, false),
      (0x800, 0x800, false),
    ] {
      var vm = makeVM(era, tree: tree)
      check(vm.fault(0x1000), .success)
      check(vm.testClearYoung(IPA(start), size: size, markOld: false), isCovered)
      check(vm.hypercalls[.hostTestClearYoungGuest], isCovered ? 1 : 0)
      check(vm.flush(IPA(start), size: size), .success)
      check(vm.flushedPages, isCovered ? 1 : 0)
      check(vm.wrprotect(IPA(start), size: size), .success)
      check(vm.hypercalls[.hostWrprotectGuest], isCovered ? 1 : 0)
      check(vm.unmap(start, size), .success)
      check(vm.mappingCount, isCovered ? 0 : 1)
    }
  }

  /// A range of nothing inside a block: its last byte lies before its first, and the block has both.
  @Test(arguments: interval, [true, false]) func nothingInsideABlock(era: PKVMEra, tree: Bool) {
    var vm = makeVM(era, tree: tree)
    check(vm.fault(0, size: block2M), .success)
    check(vm.fault(block2M), .success)
    check(vm.testClearYoung(IPA(0x2d000), size: 0, markOld: true), true)
    check(vm.hypercalls[.hostTestClearYoungGuest], 1)
    check(vm.testClearYoung(IPA(block2M), size: 0, markOld: true), false)
    check(vm.hypercalls[.hostTestClearYoungGuest], 1)
    check(vm.unmap(0x2d000, 0), .success)
    check(vm.mappingCount, 1)
  }

  /// 7.3 marks mappings of device memory, and of memory that is not cacheable, and flushes none. EL2 refuses to map them, so
  /// one is put into the tree by hand.
  @Test(arguments: PKVMEra.allCases) func nonCacheable(era: PKVMEra) {
    var vm = makeVM(era)
    check(vm.fault(0, prot: [.read, .write, .normalNonCacheable]), .invalid)
    if era >= .v6_16 { check(vm.mappingCount, 0) }
    check(era.marksNonCacheable, era == .v7_3)
    guard era.hasIntervalTree else { return }
    vm.topUpMemcache(vcpu: vcpu0, pages: vm.minPages)
    vm.insertMapping(
      Mapping(gfn: GFN(7), pfn: nil, pages: 512, isNonCacheable: era.marksNonCacheable), vcpu: vcpu0)
    check(vm.flush(IPA(0), size: 1 << 30), .success)
    check(vm.flushedPages, era.marksNonCacheable ? 0 : 512)
    check(vm.allMappings().last?.pages, 512)
    check(vm.allMappings().last?.isNonCacheable, era.marksNonCacheable)
  }
}
