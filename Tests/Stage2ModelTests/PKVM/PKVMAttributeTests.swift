import KVMTypes
import Testing

@testable import Stage2Model

/// wrprotect, test_clear_young, relax_perms, mkyoung and flush of Linux 7.3.
struct PKVMAttributeTests {
  static let forms = [true, false]

  @Test(arguments: forms) func wrprotectVisitsMappings(tree: Bool) {
    var vm = makeVM(tree: tree)
    check(vm.fault(0, size: block2M, prot: .rwx), .success)
    check(vm.fault(block2M), .success)
    check(vm.fault(4 * block2M), .success)
    check(vm.wrprotect(IPA(7 * page4K), size: block2M), .success)
    // The block whole, the page behind it, not the far one.
    check(vm.hypercalls[.hostWrprotectGuest], 2)
    check(vm.walk(0), .leaf(level: .l2, prot: [.read, .execute], young: true))
    check(vm.walk(block2M), .leaf(level: .l3, prot: .read, young: true))
    check(vm.walk(4 * block2M), .leaf(level: .l3, prot: .rw, young: true))
    // No TLB was invalidated: the caller does that, once.
    check(vm.hyp.table.counters.tlbiAll, 0)
    vm.flushRemoteTLBs(IPA(0), size: block2M)
    check(vm.hypercalls[.tlbFlushVMID], 1)
    check(vm.hyp.table.counters.tlbiVMID, 1)
  }

  /// A block has one access flag: aging one page of it ages the block.
  @Test(arguments: forms) func blockHasOneAccessFlag(tree: Bool) {
    var vm = makeVM(tree: tree)
    check(vm.fault(0, size: block2M), .success)
    check(vm.testClearYoung(IPA(5 * page4K), size: page4K, markOld: false), true)
    check(vm.testClearYoung(IPA(5 * page4K), size: page4K, markOld: true), true)
    check(vm.testClearYoung(IPA(9 * page4K), size: page4K, markOld: true), false)
    check(vm.walk(0), .leaf(level: .l2, prot: .rw, young: false))
    check(vm.hypercalls[.hostTestClearYoungGuest], 3)
    vm.mkyoung(IPA(100 * page4K))
    check(vm.walk(0), .leaf(level: .l2, prot: .rw, young: true))
    check(vm.hypercalls[.hostMkyoungGuest], 1)
  }

  /// Every mapping costs its hypercall, also after a young one; holes cost none.
  @Test(arguments: forms) func agingAsksForEveryMapping(tree: Bool) {
    var vm = makeVM(tree: tree)
    for index in [0, 3, 900] as [UInt64] { check(vm.fault(index * page4K), .success) }
    check(vm.testClearYoung(IPA(0), size: 1 << 30, markOld: true), true)
    check(vm.hypercalls[.hostTestClearYoungGuest], 3)
    check(vm.testClearYoung(IPA(1 << 30), size: 1 << 30, markOld: true), false)
    check(vm.hypercalls[.hostTestClearYoungGuest], 3)
  }

  /// An error of EL2 counts as young: a mapping that EL2 does not know of (6.14) on a VM that never ran.
  @Test func errorCountsAsYoung() {
    var vm = makeVM(.v6_14) { $0.requiresLoadedVCPU = true }
    check(vm.fault(0), .invalid)
    check(vm.mappingCount, 1)
    check(vm.testClearYoung(IPA(0), size: page4K, markOld: false), true)
  }

  /// Rights are added, never removed; frame and access flag stay. The tree is not looked at.
  @Test func relaxAdds() {
    var vm = makeVM()
    check(vm.fault(0, prot: .read), .success)
    check(vm.testClearYoung(IPA(0), size: page4K, markOld: true), true)
    let visited = vm.treeCounters.nodesVisited
    check(vm.relaxPerms(IPA(0), prot: .rw), .success)
    check(vm.walk(0), .leaf(level: .l3, prot: .rw, young: false))
    check(vm.relaxPerms(IPA(0), prot: [.read, .execute]), .success)
    check(vm.walk(0), .leaf(level: .l3, prot: .rwx, young: false))
    check(vm.treeCounters.nodesVisited, visited)
    check(vm.hyp.table.counters.tlbiIPANonShareable, 2)
  }

  /// 6.19, 7.0 and 7.1 take the right to execute that a relaxation does not ask for.
  @Test(arguments: PKVMEra.allCases) func relaxWithoutExecute(era: PKVMEra) {
    var vm = makeVM(era)
    check(vm.fault(0, prot: [.read, .execute]), .success)
    check(vm.relaxPerms(IPA(0), prot: .rw), .success)
    let isTaken = [PKVMEra.v6_19, .v7_1].contains(era)
    check(vm.walk(0), .leaf(level: .l3, prot: isTaken ? .rw : .rwx, young: true))
    check(vm.relaxPerms(IPA(0), prot: [.read, .execute]), .success)
    check(vm.walk(0), .leaf(level: .l3, prot: .rwx, young: true))
  }

  @Test func relaxErrors() {
    var vm = makeVM()
    check(vm.relaxPerms(IPA(0), prot: .rw), .again)
    check(vm.relaxPerms(IPA(0), prot: [.read, .device]), .invalid)
    check(vm.relaxPerms(IPA(0), prot: [.read, .userExecute]), .invalid)
    check(vm.hypercalls[.hostRelaxPermsGuest], 3)
  }

  /// On a hole mkyoung does nothing and is no error.
  @Test func mkyoungOnAHole() {
    var vm = makeVM()
    vm.mkyoung(IPA(0))
    check(vm.warnings.isEmpty, true)
    check(vm.walk(0), .invalid(level: .l0))
  }

  /// Flush cleans whole mappings without a hypercall; with FWB it is nothing, from 7.3 on not even a walk.
  @Test(arguments: [(PKVMEra.v7_3, false), (.v7_3, true), (.v7_1, true), (.v6_16, false), (.v6_16, true)])
  func flush(era: PKVMEra, hasFWB: Bool) {
    var vm = makeVM(era) { $0.features.hasFWB = hasFWB }
    check(vm.fault(0, size: block2M), .success)
    check(vm.fault(block2M), .success)
    let before = (vm.hypercalls, vm.treeCounters)
    check(vm.flush(IPA(0), size: 1 << 30), .success)
    check(vm.hypercalls, before.0)
    check(vm.flushedPages, hasFWB ? 0 : 513)
    check(vm.treeCounters == before.1, hasFWB && era == .v7_3)
  }

  /// What the kernel never calls warns.
  @Test func unreachableOperations() {
    var vm = makeVM()
    check(vm.split(IPA(0), size: block2M, vcpu: vcpu0), .invalid)
    vm.freeUnlinked()
    vm.createUnlinked()
    for function in ["split", "free_unlinked", "create_unlinked"] {
      check(vm.warnings.count(of: .unreachable("pkvm_pgtable_stage2_\(function)")), 1)
    }
  }
}
