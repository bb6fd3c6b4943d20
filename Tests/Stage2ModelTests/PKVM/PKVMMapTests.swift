import KVMTypes
import Testing

@testable import Stage2Model

/// `pkvm_pgtable_stage2_map` and `unmap` of Linux 7.3 for a non-protected guest, case by case.
struct PKVMMapTests {
  /// With and without the kernel-shaped tree.
  static let forms = [true, false]

  @Test(arguments: forms) func nothingOverlaps(tree: Bool) throws {
    var vm = makeVM(tree: tree)
    check(vm.walk(0x8000_0000), .invalid(level: .l0))
    let result = vm.fault(0x8000_0000, prot: .rwx)
    #expect(result == .success)
    check(vm.hypercalls[.hostShareGuest], 1)
    check(vm.walk(0x8000_0000), .leaf(level: .l3, prot: .rwx, young: true))
    check(vm.walk(0x8000_1000), .invalid(level: .l3))
    check(vm.walk(0x8020_0000), .invalid(level: .l2))
    check(vm.walk(0xc000_0000), .invalid(level: .l1))
    check(vm.walk(1 << 39), .invalid(level: .l0))
    check(vm.mappingCount, 1)
    check(vm.checkInvariants(), [])
  }

  /// Same size: -EAGAIN without a hypercall, whatever frame and rights.
  @Test(arguments: forms) func sameSizeIsAgain(tree: Bool) throws {
    var vm = makeVM(tree: tree)
    let first = vm.fault(0x1000, pfn: 7, prot: .read)
    let second = vm.fault(0x1000, pfn: 8, prot: .rwx)
    #expect(first == .success)
    #expect(second == .again)
    check(vm.hypercalls[.hostShareGuest], 1)
    check(vm.hypercalls[.hostUnshareGuest], 0)
    check(vm.walk(0x1000), .leaf(level: .l3, prot: .read, young: true))
    check(vm.hyp.vmemmap.shareCount(PFN(8)), 0)
    check(vm.checkInvariants(), [])
  }

  /// Pages in the way of a block: all are unshared, then the block is shared.
  @Test(arguments: forms) func blockOverPages(tree: Bool) throws {
    var vm = makeVM(tree: tree)
    for index in [0, 5, 511] as [UInt64] { check(vm.fault(block2M + index * page4K), .success) }
    check(vm.fault(2 * block2M), .success)
    let result = vm.fault(block2M, size: block2M)
    #expect(result == .success)
    check(vm.hypercalls[.hostUnshareGuest], 3)
    check(vm.hypercalls[.hostShareGuest], 5)
    check(vm.mappingCount, 2)
    check(vm.walk(block2M + 5 * page4K), .leaf(level: .l2, prot: .rw, young: true))
    check(vm.memory.blockMappings.live, 1)
    check(vm.memory.pageMappings.live, 1)
    check(vm.checkInvariants(), [])
  }

  /// What a cost model prices: EL2 goes through every page of a block, and donates what refills its caches.
  @Test(arguments: forms) func work(tree: Bool) throws {
    var vm = makeVM(tree: tree)
    for index in [0, 5, 511] as [UInt64] { check(vm.fault(block2M + index * page4K), .success) }
    // Three tables for the first page, from the three pages of the first refill; the second fault refills EL2's
    // cache once more, the third finds it full.
    let pages = vm.work
    #expect(pages.pageStates == 3)
    #expect(pages.tablePages == 3)
    #expect(pages.memcachePages == 6)
    check(vm.fault(block2M, size: block2M), .success)
    let block = vm.work - pages
    #expect(block.pageStates == 3 + 512)
    #expect(block.hypercalls == 4)
    // The pages' tables are given back with the last page; the block needs one of level 1 and one of level 2.
    #expect(block.tablePages == 2)
    check(vm.unmap(block2M, block2M), .success)
    #expect((vm.work - pages - block).pageStates == 512)
  }

  /// A block in the way of a page: the block goes whole, one page is there afterwards.
  @Test(arguments: forms) func pageOverBlock(tree: Bool) throws {
    var vm = makeVM(tree: tree)
    check(vm.fault(0, size: block2M, pfn: 512), .success)
    check(vm.hyp.vmemmap.shareCount(PFN(1023)), 1)
    check(vm.fault(7 * page4K, pfn: 519), .success)
    check(vm.hypercalls[.hostUnshareGuest], 1)
    check(vm.walk(0), .invalid(level: .l3))
    check(vm.hyp.vmemmap.shareCount(PFN(519)), 1)
    check(vm.hyp.vmemmap.hostState(PFN(519)), .sharedOwned)
    check(vm.hyp.vmemmap.shareCount(PFN(1023)), 0)
    check(vm.hyp.vmemmap.hostState(PFN(1023)), .owned)
    check(vm.checkInvariants(), [])
  }

  /// Only the first overlap is compared: a block that starts with a page is another size, and a page whose
  /// range begins inside a block is found in it.
  @Test(arguments: forms) func secondBlockIsAgain(tree: Bool) throws {
    var vm = makeVM(tree: tree)
    check(vm.fault(block2M, size: block2M), .success)
    check(vm.fault(block2M, size: block2M), .again)
    check(vm.hypercalls[.hostShareGuest], 1)
  }

  @Test func otherSizesAreInvalid() {
    var vm = makeVM()
    check(vm.fault(0, size: 2 * page4K), .invalid)
    check(vm.fault(0, size: 1 << 30), .invalid)
    check(vm.warnings.count(of: .mapSize), 2)
    check(vm.hypercalls[.hostShareGuest], 0)
  }

  /// A share that fails leaves what was unshared before it unshared.
  @Test(arguments: forms) func failedShareIsNotRolledBack(tree: Bool) throws {
    var vm = makeVM(tree: tree)
    check(vm.fault(0, size: block2M, pfn: 512), .success)
    vm.hyp.vmemmap.override(PFN(3), state: .sharedBorrowed)
    check(vm.fault(page4K, pfn: 3), .notPermitted)
    check(vm.mappingCount, 0)
    check(vm.walk(0), .invalid(level: .l0))
    #expect(vm.hyp.vmemmap.shareCounts.isEmpty)
    // The mapping object was not used and waits for the next fault.
    check(vm.memory.spareMappings.live, 1)
    check(vm.checkInvariants(), [])
  }

  /// Rights beyond R, W and X never reach the tree, so no mapping is ever non-cacheable.
  @Test func deviceMemoryIsRefused() {
    var vm = makeVM()
    check(vm.fault(0, prot: [.read, .write, .device]), .invalid)
    check(vm.fault(0, prot: [.read, .normalNonCacheable]), .invalid)
    check(vm.mappingCount, 0)
  }

  /// Unmapping a page of a block takes the block.
  @Test(arguments: forms) func unmapTakesWholeMappings(tree: Bool) throws {
    var vm = makeVM(tree: tree)
    check(vm.fault(block2M, size: block2M), .success)
    check(vm.fault(2 * block2M), .success)
    check(vm.unmap(2 * block2M - page4K, page4K), .success)
    check(vm.mappingCount, 1)
    check(vm.hypercalls[.hostUnshareGuest], 1)
    check(vm.unmap(0, 1 << 40), .success)
    check(vm.hypercalls[.hostUnshareGuest], 2)
    check(vm.unmap(0, 1 << 40), .success)
    check(vm.hypercalls[.hostUnshareGuest], 2)
    check(vm.mappingCount, 0)
    check(vm.memory.tables.live, 0)
    check(vm.checkInvariants(), [])
  }

  /// The zero page backs many frames; its count is the number of leaves.
  @Test func multiSharing() throws {
    var vm = makeVM()
    for index in 0..<20 as Range<UInt64> { check(vm.fault(index * page4K, pfn: 99, prot: .read), .success) }
    check(vm.hyp.vmemmap.shareCount(PFN(99)), 20)
    check(vm.unmap(0, 19 * page4K), .success)
    check(vm.hyp.vmemmap.shareCount(PFN(99)), 1)
    check(vm.unmap(19 * page4K, page4K), .success)
    check(vm.hyp.vmemmap.hostState(PFN(99)), .owned)
    check(vm.checkInvariants(), [])
  }

  /// Two VMs of one machine share a host page; each drops its own leaf.
  @Test func twoVMsShareAPage() throws {
    let vmemmap = HypVMemmap()
    let configuration = PKVMConfiguration(geometry: geometry())
    var first = PKVMStage2(configuration, vmemmap: vmemmap)
    var second = PKVMStage2(configuration, vmemmap: vmemmap)
    #expect(first.hyp.handle != second.hyp.handle)
    check(first.fault(0, pfn: 5), .success)
    check(second.fault(page4K, pfn: 5), .success)
    #expect(vmemmap.shareCount(PFN(5)) == 2)
    check(first.unmap(0, page4K), .success)
    #expect(vmemmap.hostState(PFN(5)) == .sharedOwned)
  }
}
