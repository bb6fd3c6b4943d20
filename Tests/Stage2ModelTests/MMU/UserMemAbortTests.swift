import KVMTypes
import Testing

@testable import Stage2Model

/// `user_mem_abort` on both paths.
struct UserMemAbortTests {
  static let ram: UInt64 = 0x4000_0000
  static let thp = HostPage.transparentHuge(.size4K)

  // MARK: Size

  @Test func aBlockMustFitTheSlot() throws {
    let vm = try KVM.traditional(profile(.traditional))
    func fits(_ ipa: UInt64, _ hva: UInt64, pages: UInt64, at page: UInt64, _ bytes: UInt64) -> Bool {
      let slot = Memslot(id: 0, baseGFN: GFN(ipa >> 12), pages: pages, hva: HVA(hva))
      return vm.rules.supportsHugeMapping(slot, HVA(hva + page * 4096), mapBytes: bytes)
    }
    #expect(fits(Self.ram, 0x20_0000, pages: 512, at: 511, pmd))
    // Guest and host address differ within the block.
    #expect(!fits(Self.ram, 0x20_1000, pages: 2048, at: 600, pmd))
    #expect(fits(Self.ram + 4096, 0x20_1000, pages: 2048, at: 600, pmd))
    // The block sticks out below, or above.
    #expect(!fits(Self.ram + 4096, 0x20_1000, pages: 2048, at: 0, pmd))
    #expect(!fits(Self.ram, 0x20_0000, pages: 513, at: 512, pmd))
    // A page always fits, a gigabyte only where the slot has one.
    #expect(fits(Self.ram + 4096, 0x5000, pages: 1, at: 0, 4096))
    #expect(!fits(Self.ram, 0x4000_0000, pages: 512, at: 0, pud))
    #expect(fits(Self.ram, 0x4000_0000, pages: 262144, at: 7, pud))
    let protectedHost = try KVM.pkvm(profile(.pkvm))
    let slot = Memslot(id: 0, baseGFN: GFN(Self.ram >> 12), pages: 262144, hva: HVA(0x4000_0000))
    check(protectedHost.rules.supportsHugeMapping(slot, HVA(0x4000_0000), mapBytes: pud), false)
    check(protectedHost.rules.supportsHugeMapping(slot, HVA(0x4000_0000), mapBytes: pmd), true)
  }

  @Test func whatAVMASuggests() throws {
    var vm = try KVM.traditional(profile(.traditional))
    var slot = vm.addSlot()
    func size(_ shift: UInt64, _ slot: Memslot, _ vm: borrowing KVM<TraditionalStage2>) -> FaultMappingSize {
      vm.rules.resolveVMASize(slot, slot.hva, vmaShift: shift)
    }
    check(size(12, slot, vm), FaultMappingSize(bytes: page, mayGrow: true))
    // 16 contiguous pages: pages that do not grow.
    check(size(16, slot, vm), FaultMappingSize(bytes: page, mayGrow: false))
    check(size(21, slot, vm), FaultMappingSize(bytes: pmd, mayGrow: true))
    check(size(25, slot, vm), FaultMappingSize(bytes: pmd, mayGrow: true))
    check(size(30, slot, vm), FaultMappingSize(bytes: pud, mayGrow: true))
    // A slot too small for a gigabyte, then for 2 MiB.
    slot.pages = 1024
    check(size(30, slot, vm), FaultMappingSize(bytes: pmd, mayGrow: true))
    slot.pages = 100
    check(size(30, slot, vm), FaultMappingSize(bytes: page, mayGrow: false))
    slot.pages = 262144
    slot.flags = .logDirtyPages
    check(size(30, slot, vm), FaultMappingSize(bytes: page, mayGrow: false))
    slot.flags = [.logDirtyPages, .readonly]
    check(size(30, slot, vm), FaultMappingSize(bytes: pud, mayGrow: true))
    let pagesOnly = try KVM.pkvm(profile(.pkvm, .v6_14))
    check(
      pagesOnly.rules.resolveVMASize(slot, slot.hva, vmaShift: 21),
      FaultMappingSize(bytes: page, mayGrow: false))
    let pkvm = try KVM.pkvm(profile(.pkvm))
    check(
      pkvm.rules.resolveVMASize(slot, slot.hva, vmaShift: 30), FaultMappingSize(bytes: pmd, mayGrow: true))
  }

  @Test(arguments: [Profile.Path.traditional, .pkvm])
  func aTransparentHugePageMakesABlock(path: Profile.Path) throws {
    func run<B: Stage2Backend & ~Copyable>(_ vm: inout KVM<B>) {
      vm.addSlot()
      let map = FaultOutcome.Operation.map(IPA(Self.ram), size: pmd, prot: .rw)
      check(vm.fault(Self.ram + 5 * page, host: Self.thp).operation, map)
      check(vm.stage2.walk(IPA(Self.ram)), .leaf(level: .l2, prot: .rw, young: true))
      // The VMM's own entry is gone again: retry.
      let gone = HostPage(vmaShift: 12, userMappingBytes: nil)
      let outcome = vm.fault(Self.ram + pmd, host: gone)
      check(outcome.operation, .none)
      check(outcome.stage2Result, .again)
      check(outcome.result, .success)
      // Pages of a large folio mapped by pages stay pages.
      check(
        vm.fault(Self.ram + 2 * pmd, host: .page(.size4K)).operation,
        .map(IPA(Self.ram + 2 * pmd), size: page, prot: .rw))
    }
    if path == .pkvm {
      var vm = try KVM.pkvm(profile(path))
      run(&vm)
    } else {
      var vm = try KVM.traditional(profile(path))
      run(&vm)
    }
  }

  @Test func theFrameOfABlockIsAligned() throws {
    var vm = try KVM.traditional(profile(.traditional))
    vm.addSlot()
    vm.fault(Self.ram + 5 * page, host: .transparentHuge(.size4K, pfn: PFN(512 * 9 + 5)))
    check(vm.stage2.table.leaf(IPA(Self.ram)).descriptor.pfn, PFN(512 * 9))
  }

  // MARK: Rights

  @Test func rights() throws {
    var vm = try KVM.traditional(profile(.traditional))
    let slot = vm.addSlot()
    let logging = vm.addSlot(1, ipa: 0x8000_0000, hva: 0x7e00_0000_0000, flags: .logDirtyPages)
    let ro = HostPage.page(.size4K, isWritable: false)
    let rw = HostPage.page(.size4K)
    let read = Stage2Fault(ipa: IPA(Self.ram), kind: .translation, level: .l3)
    var write = read
    write.isWrite = true
    var exec = read
    exec.isExec = true
    check(vm.rules.prot(read, slot, ro), .read)
    // A read of what is writable already maps it writable.
    check(vm.rules.prot(read, slot, rw), .rw)
    check(vm.rules.prot(exec, slot, rw), .rwx)
    check(vm.rules.prot(exec, slot, ro), [.read, .execute])
    check(vm.rules.prot(read, logging, rw), .read)
    check(vm.rules.prot(write, logging, rw), .rw)
    var device = rw
    device.memory = .device
    check(vm.rules.prot(read, logging, device), [.read, .write, .device])
    check(vm.rules.prot(exec, slot, device), nil)
    device.memory = .nonCacheable
    check(vm.rules.prot(write, slot, device), [.read, .write, .normalNonCacheable])
    let withDIC = try KVM.traditional(profile(.traditional) { $0.hasDIC = true })
    check(withDIC.rules.prot(read, slot, rw), .rwx)
    check(withDIC.rules.prot(read, slot, ro), [.read, .execute])
    check(withDIC.rules.prot(read, slot, device), [.read, .write, .normalNonCacheable])
  }

  @Test func aFetchFromDeviceMemory() throws {
    var vm = try KVM.traditional(profile(.traditional))
    vm.addSlot()
    let device = HostPage(vmaShift: 12, userMappingBytes: page, memory: .device)
    check(vm.fault(Self.ram, exec: true, host: device).result, .noExec)
    check(vm.lockTotals(.userMemAbort).acquisitions, 0)
  }

  // MARK: Relax or map

  @Test func aPermissionFaultOfTheSameSizeRelaxes() throws {
    var vm = try KVM.traditional(profile(.traditional))
    vm.addSlot()
    vm.fault(Self.ram, host: .page(.size4K, isWritable: false))
    let outcome = vm.fault(Self.ram, .permission, write: true)
    check(outcome.operation, .relaxPerms(IPA(Self.ram), prot: .rw))
    check(outcome.dirty, GFN(Self.ram >> 12))
    check(vm.stage2.walk(IPA(Self.ram)), .leaf(level: .l3, prot: .rw, young: true))
  }

  @Test(arguments: [Profile.Path.traditional, .pkvm])
  func aPermissionFaultOfABlockRelaxesTheBlock(path: Profile.Path) throws {
    func run<B: Stage2Backend & ~Copyable>(_ vm: inout KVM<B>) {
      vm.addSlot()
      vm.fault(Self.ram, host: .transparentHuge(.size4K, isWritable: false))
      // Whatever the VMM maps by now: the leaf is a block.
      let outcome = vm.fault(Self.ram + 3 * page, .permission, level: .l2, write: true)
      check(outcome.operation, .relaxPerms(IPA(Self.ram + 3 * page), prot: .rw))
      check(outcome.dirty, GFN(Self.ram >> 12))
      check(vm.stage2.walk(IPA(Self.ram)), .leaf(level: .l2, prot: .rw, young: true))
    }
    if path == .pkvm {
      var vm = try KVM.pkvm(profile(path))
      run(&vm)
    } else {
      var vm = try KVM.traditional(profile(path))
      run(&vm)
    }
  }

  @Test func loggingBreaksABlockWithAWrite() throws {
    var vm = try KVM.traditional(profile(.traditional))
    vm.addSlot()
    vm.fault(Self.ram, host: Self.thp)
    check(vm.enableDirtyLog(slot: 0), .success)
    check(vm.stage2.walk(IPA(Self.ram)), .leaf(level: .l2, prot: .read, young: true))
    let outcome = vm.fault(Self.ram + 7 * page, .permission, level: .l2, write: true, host: Self.thp)
    check(outcome.operation, .map(IPA(Self.ram + 7 * page), size: page, prot: .rw))
    check(outcome.dirty, GFN(Self.ram >> 12 + 7))
    // The other 511 pages fault as translation faults of level 3.
    check(vm.stage2.walk(IPA(Self.ram)), .invalid(level: .l3))
    // Logging ends; a fault in the region collapses it again.
    check(vm.disableDirtyLog(slot: 0), .success)
    check(vm.fault(Self.ram, host: Self.thp).operation, .map(IPA(Self.ram), size: pmd, prot: .rw))
    check(vm.stage2.counters.collapses, 1)
    check(vm.stage2.walk(IPA(Self.ram)), .leaf(level: .l2, prot: .rw, young: true))
  }

  @Test func theSameUnderPKVMInHypercalls() throws {
    var vm = try KVM.pkvm(profile(.pkvm))
    vm.addSlot()
    vm.fault(Self.ram, host: Self.thp)
    check(vm.enableDirtyLog(slot: 0), .success)
    check(vm.stage2.hypercalls[.hostWrprotectGuest], 1)
    check(vm.stage2.hypercalls[.tlbFlushVMID], 1)
    vm.fault(Self.ram + 7 * page, .permission, level: .l2, write: true, host: Self.thp)
    check(vm.stage2.hypercalls[.hostUnshareGuest], 1)
    check(vm.stage2.hypercalls[.hostShareGuest], 2)
    check(vm.stage2.walk(IPA(Self.ram)), .invalid(level: .l3))
    check(vm.disableDirtyLog(slot: 0), .success)
    vm.fault(Self.ram, host: Self.thp)
    check(vm.stage2.hypercalls[.hostUnshareGuest], 2)
    check(vm.stage2.walk(IPA(Self.ram)), .leaf(level: .l2, prot: .rw, young: true))
  }

  // MARK: Retry

  @Test func anInvalidationInBetweenMakesTheFaultRetry() throws {
    var vm = try KVM.traditional(profile(.traditional))
    let slot = vm.addSlot()
    let seq = vm.invalidateSeq
    // Anywhere in the VM.
    vm.mmuNotifierInvalidateRangeStart(slot.hva + pud / 2, slot.hva + (pud / 2 + page))
    var outcome = vm.fault(Self.ram, seq: seq)
    check(outcome.operation, .none)
    check(outcome.stage2Result, .again)
    vm.mmuNotifierInvalidateRangeEnd(slot.hva + pud / 2, slot.hva + (pud / 2 + page))
    outcome = vm.fault(Self.ram, seq: seq)
    check(outcome.operation, .none)
    check(vm.fault(Self.ram).operation, .map(IPA(Self.ram), size: page, prot: .rw))
    // Another vCPU faulted on the same page: nothing happens, and nobody is told.
    outcome = vm.fault(Self.ram)
    check(outcome.stage2Result, .again)
    check(outcome.result, .success)
    check(outcome.dirty, nil)
  }

  @Test func noPage() throws {
    var vm = try KVM.traditional(profile(.traditional))
    let slot = vm.addSlot()
    let fault = Stage2Fault(ipa: IPA(Self.ram), kind: .translation, level: .l1)
    check(
      vm.userMemAbort(fault, slot: slot, vcpu: VCPUIndex(0), faultIn: .failed, seq: 0).result, .badAddress)
    check(vm.userMemAbort(fault, slot: slot, vcpu: VCPUIndex(0), faultIn: .hwPoison, seq: 0).result, .success)
    check(vm.stage2.table.leaves().count, 0)
    // The cache was filled before.
    check(vm.stage2.memcachePages(vcpu: VCPUIndex(0)), 40)
  }

  // MARK: Top-up and lock

  @Test func whenTheCacheIsFilled() throws {
    let permission = Stage2Fault(ipa: IPA(Self.ram), kind: .permission, level: .l3, isWrite: true)
    let fetch = Stage2Fault(ipa: IPA(Self.ram), kind: .permission, level: .l3, isExec: true)
    let translation = Stage2Fault(ipa: IPA(Self.ram), kind: .translation, level: .l3)
    let slot = Memslot(id: 0, baseGFN: GFN(0), pages: 1, hva: HVA(0))
    let logging = Memslot(id: 0, baseGFN: GFN(0), pages: 1, hva: HVA(0), flags: .logDirtyPages)
    let traditional = try KVM.traditional(profile(.traditional))
    check(traditional.rules.topsUp(translation, slot), true)
    check(traditional.rules.topsUp(permission, slot), false)
    check(traditional.rules.topsUp(permission, logging), true)
    let pkvm = try KVM.pkvm(profile(.pkvm))
    check(pkvm.rules.topsUp(permission, slot), true)
    check(pkvm.rules.topsUp(fetch, logging), true)
    let before = try KVM.pkvm(profile(.pkvm, .v7_1))
    check(before.rules.topsUp(translation, slot), true)
    check(before.rules.topsUp(permission, slot), false)
    check(before.rules.topsUp(permission, logging), true)
    check(before.rules.topsUp(fetch, logging), false)
  }

  @Test func aCollapseByAPermissionFaultCrashed() throws {
    // A read-only page, then a write that finds a huge page: before 7.3 without a mapping object and without pages.
    func run(_ era: PKVMEra) throws -> (warnings: Int, result: KernelResult) {
      var vm = try KVM.pkvm(profile(.pkvm, era))
      vm.addSlot()
      vm.fault(Self.ram, host: .page(.size4K, isWritable: false))
      let outcome = vm.fault(Self.ram, .permission, write: true, host: Self.thp)
      return (vm.stage2.warnings.count(of: .noPreallocatedMapping), outcome.result)
    }
    #expect(try run(.v6_19) == (1, .success))
    // EL2 misses its pages before the host misses its object.
    #expect(try run(.v7_1) == (0, .noMemory))
    #expect(try run(.v7_3) == (0, .success))
  }

  @Test func theLockOfAFault() throws {
    var traditional = try KVM.traditional(profile(.traditional))
    traditional.addSlot()
    traditional.fault(Self.ram)
    check(traditional.lastSection.mode, .read)
    check(traditional.lastSection.entryPoint, .userMemAbort)
    // Level 1, 2 and 3.
    check(traditional.lastSection.work.descriptors, 3)
    var pkvm = try KVM.pkvm(profile(.pkvm))
    pkvm.addSlot()
    pkvm.fault(Self.ram)
    check(pkvm.lastSection.mode, .write)
    check(pkvm.stage2.hypercalls[.hostShareGuest], 1)
    check(pkvm.lastSection.work.hypercalls >= 1, true)
    var patched = try KVM.pkvm(profile(.pkvm) { $0.faultLock = .read })
    patched.addSlot()
    patched.fault(Self.ram)
    check(patched.lastSection.mode, .read)
    check(patched.lockTotals(.userMemAbort).acquisitions, 1)
  }

  @Test func unalignedAddressesLoopOnBigPages() throws {
    // HPFAR_EL2 has bits 15:12 on a host with 16 KiB pages: from 6.16 until the fix the range overlapped the next
    // page, whose mapping has the same size.
    func results(_ era: PKVMEra) throws -> [KernelResult] {
      var vm = try KVM.pkvm(profile(.pkvm, era) { $0.pageSize = .size16K })
      vm.addSlot()
      return [
        vm.fault(Self.ram + 0x4000).stage2Result, vm.fault(Self.ram + 0x1000).stage2Result,
        vm.fault(Self.ram + 0x1000).stage2Result,
      ]
    }
    #expect(try results(.v7_3) == [.success, .success, .again])
    #expect(try results(.v6_19) == [.success, .success, .again])
    #expect(try results(.v6_16) == [.success, .again, .again])
  }

  @Test func aStableReleaseMayHaveTheFixOrNot() throws {
    func address(_ era: PKVMEra, _ aligns: Bool?) throws -> FaultOutcome.Operation {
      let profile = profile(.pkvm, era) {
        $0.pageSize = .size16K
        $0.alignsFaultIPA = aligns
      }
      var vm = try KVM.pkvm(profile)
      vm.addSlot()
      return vm.fault(Self.ram + 0x1000).operation
    }
    func map(_ ipa: UInt64) -> FaultOutcome.Operation { .map(IPA(ipa), size: 1 << 14, prot: .rw) }
    #expect(try address(.v6_18, nil) == map(Self.ram + 0x1000))
    #expect(try address(.v6_18, true) == map(Self.ram))
    #expect(try address(.v6_19, nil) == map(Self.ram))
    #expect(try address(.v6_19, false) == map(Self.ram + 0x1000))
  }

  // MARK: Paths of their own

  @Test func deviceMemoryGrowsWithTheVMMsLeaf() throws {
    // A VMA of VM_PFNMAP, which the VMM maps by a huge leaf.
    let device = HostPage(pfn: PFN(512 + 3), vmaShift: 12, userMappingBytes: pmd, memory: .device)
    func size(_ era: PKVMEra, _ page: HostPage) throws -> FaultOutcome.Operation {
      var vm = try KVM.traditional(profile(.traditional, era))
      vm.addSlot()
      return vm.fault(Self.ram + 0x3000, write: true, host: page).operation
    }
    let prot: Stage2Prot = [.read, .write, .device]
    #expect(try size(.v7_1, device) == .map(IPA(Self.ram), size: pmd, prot: prot))
    #expect(try size(.v7_3, device) == .map(IPA(Self.ram), size: pmd, prot: prot))
    #expect(try size(.v6_19, device) == .map(IPA(Self.ram + 0x3000), size: page, prot: prot))
    // Before, the alignment of the VMA said it.
    var aligned = device
    aligned.vmaShift = 21
    #expect(try size(.v6_19, aligned) == .map(IPA(Self.ram), size: pmd, prot: prot))
  }

  @Test func anExclusiveAccessGetsItsAbort() throws {
    var vm = try KVM.traditional(profile(.traditional))
    vm.addSlot()
    let outcome = vm.fault(Self.ram, .exclusiveOrAtomic)
    check(outcome.result, .runGuest)
    check(outcome.operation, .none)
    // After the page was looked for, and before the lock.
    check(vm.stage2.memcachePages(vcpu: VCPUIndex(0)), 40)
    check(vm.lockTotals(.userMemAbort).acquisitions, 0)
  }

  @Test func aReadThatIsDenied() throws {
    func result(_ era: PKVMEra) throws -> KernelResult {
      var vm = try KVM.traditional(profile(.traditional, era))
      vm.addSlot()
      vm.fault(Self.ram)
      return vm.fault(Self.ram, .permission).result
    }
    #expect(try result(.v6_16) == .badAddress)
    #expect(try result(.v6_18) == .success)
    #expect(try result(.v7_3) == .success)
  }
}
