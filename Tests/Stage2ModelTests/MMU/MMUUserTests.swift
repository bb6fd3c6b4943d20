import KVMTypes
import Testing

@testable import Stage2Model

/// The users of stage 2 in `arch/arm64/kvm/mmu.c` and `virt/kvm/kvm_main.c`, except the fault.
struct MMUUserTests {
  static let ram: UInt64 = 0x4000_0000

  static func traditional(_ change: (inout Profile) -> Void = { _ in }) throws -> KVM<TraditionalStage2> {
    try KVM.traditional(profile(.traditional, .v7_3, change))
  }

  // MARK: Memslots

  @Test func framesOfHostAddresses() {
    let slot = Memslot(id: 0, baseGFN: GFN(100), pages: 10, hva: HVA(0x10000))
    #expect(slot.frames(HVA(0x10000), HVA(0x11000), .size4K) == GFN(100)..<GFN(101))
    // Parts of pages round outwards.
    #expect(slot.frames(HVA(0x10fff), HVA(0x11001), .size4K) == GFN(100)..<GFN(102))
    #expect(slot.frames(HVA(0), HVA(.max), .size4K) == GFN(100)..<GFN(110))
    #expect(slot.frames(HVA(0x12345), HVA(0x12346), .size4K) == GFN(102)..<GFN(103))
    #expect(slot.frames(HVA(0), HVA(0x10000), .size4K) == nil)
    #expect(slot.frames(HVA(0x1a000), HVA(0x1b000), .size4K) == nil)
    #expect(slot.hva(of: GFN(103), .size4K) == HVA(0x13000))
  }

  @Test func slotsAreFoundAndDoNotOverlap() {
    var slots = Memslots()
    check(slots.set(Memslot(id: 1, baseGFN: GFN(100), pages: 10, hva: HVA(0))), true)
    check(slots.set(Memslot(id: 2, baseGFN: GFN(0), pages: 10, hva: HVA(0))), true)
    check(slots.set(Memslot(id: 3, baseGFN: GFN(110), pages: 10, hva: HVA(0))), true)
    check(slots.set(Memslot(id: 4, baseGFN: GFN(95), pages: 6, hva: HVA(0))), false)
    #expect(slots.slots.map(\.id) == [2, 1, 3])
    #expect(slots.slot(of: GFN(0))?.id == 2)
    #expect(slots.slot(of: GFN(9))?.id == 2)
    #expect(slots.slot(of: GFN(10)) == nil)
    #expect(slots.slot(of: GFN(109))?.id == 1)
    #expect(slots.slot(of: GFN(110))?.id == 3)
    #expect(slots.slot(of: GFN(120)) == nil)
    slots.remove(id: 1)
    #expect(slots.slot(of: GFN(105)) == nil)
  }

  @Test func creatingDeletingAndMovingSlots() throws {
    var vm = try Self.traditional()
    vm.addSlot()
    check(vm.createMemslot(Memslot(id: 9, baseGFN: GFN(1 << 28), pages: 1, hva: HVA(0))), .badAddress)
    check(vm.createMemslot(Memslot(id: 9, baseGFN: GFN(Self.ram >> 12), pages: 1, hva: HVA(0))), .exists)
    vm.fault(Self.ram)
    check(vm.moveMemslot(0, to: GFN(0x8000_0000 >> 12)), .success)
    check(vm.stage2.table.leaves().count, 0)
    vm.fault(0x8000_0000)
    check(vm.deleteMemslot(0), .success)
    check(vm.stage2.table.leaves().count, 0)
    check(vm.deleteMemslot(0), .invalid)
    check(vm.lockTotals(.flushShadowMemslot).acquisitions, 2)
  }

  @Test func slotsOfAProtectedGuest() throws {
    var vm = try KVM.pkvm(profile(.pkvm) { $0.isProtected = true })
    let slot = vm.addSlot()
    check(
      vm.createMemslot(Memslot(id: 1, baseGFN: GFN(0), pages: 1, hva: HVA(0), flags: .readonly)),
      .notPermitted)
    check(vm.enableDirtyLog(slot: 0), .notPermitted)
    let fault = Stage2Fault(ipa: IPA(Self.ram), kind: .translation, level: .l0)
    let outcome = vm.pkvmMemAbort(fault, slot: slot, vcpu: VCPUIndex(0), faultIn: .page(.page(.size4K)))
    check(outcome.operation, .map(IPA(Self.ram), size: page, prot: .rwx))
    check(outcome.stage2Result, .success)
    check(vm.lastSection.mode, .write)
    check(vm.stage2.hypercalls[.hostDonateGuest], 1)
    check(vm.deleteMemslot(0), .notPermitted)
    check(vm.moveMemslot(0, to: GFN(1)), .notPermitted)
    // A page of a file cannot be given away.
    check(
      vm.pkvmMemAbort(
        fault, slot: slot, vcpu: VCPUIndex(0), faultIn: .page(.page(.size4K)), isSwapBacked: false
      ).result, .ioError)
    // Notifiers take the lock, count, and change nothing.
    vm.mmuNotifierInvalidateRangeStart(slot.hva, slot.hva + page)
    check(vm.invalidateInProgress, 1)
    vm.mmuNotifierInvalidateRangeEnd(slot.hva, slot.hva + page)
    check(vm.invalidateSeq, 1)
    check(vm.mmuNotifierClearYoung(slot.hva, slot.hva + page), false)
    check(vm.stage2.walk(IPA(Self.ram)), .leaf(level: .l3, prot: .rwx, young: true))
    check(vm.stage2.hypercalls[.hostUnshareGuest], 0)
  }

  // MARK: Notifiers

  @Test func invalidationUnmapsThroughEverySlot() throws {
    var vm = try Self.traditional()
    let slot = vm.addSlot()
    // An alias: two slots over one host address.
    vm.addSlot(1, ipa: 0x8000_0000, hva: slot.hva.rawValue)
    vm.fault(Self.ram)
    vm.fault(0x8000_0000)
    vm.fault(0x8000_1000)
    check(vm.mmuNotifierInvalidateRangeStart(slot.hva, slot.hva + 1), true)
    check(vm.stage2.table.leaves().map(\.ipa), [IPA(0x8000_1000)])
    check(vm.invalidateInProgress, 1)
    check(vm.lastSection.mode, .write)
    vm.mmuNotifierInvalidateRangeEnd(slot.hva, slot.hva + 1)
    check(vm.invalidateInProgress, 0)
    check(vm.invalidateSeq, 1)
    check(vm.lockTotals(.invalidateRangeStart).acquisitions, 1)
    // Elsewhere: no lock, no counter.
    check(vm.mmuNotifierInvalidateRangeStart(HVA(0), HVA(page)), false)
    vm.mmuNotifierInvalidateRangeEnd(HVA(0), HVA(page))
    check(vm.invalidateSeq, 1)
    check(vm.lockTotals(.invalidateRangeEnd).acquisitions, 1)
  }

  @Test func theLockIsDroppedBetweenChunksOnly() throws {
    var vm = try Self.traditional()
    let slot = vm.addSlot(bytes: 4 * pud)
    vm.mmuNotifierInvalidateRangeStart(slot.hva, slot.hva + pud)
    check(vm.lastSection.reschedPoints, 0)
    vm.mmuNotifierInvalidateRangeStart(slot.hva, slot.hva + 4 * pud)
    check(vm.lastSection.reschedPoints, 3)
    vm.mmuNotifierInvalidateRangeStart(slot.hva, slot.hva + 4 * pud, mayBlock: false)
    check(vm.lastSection.reschedPoints, 0)
    // Aging is one call over everything.
    vm.mmuNotifierClearYoung(slot.hva, slot.hva + 4 * pud)
    check(vm.lastSection.reschedPoints, 0)
  }

  @Test func aging() throws {
    var vm = try Self.traditional()
    let slot = vm.addSlot()
    vm.fault(Self.ram)
    check(vm.mmuNotifierTestYoung(slot.hva), true)
    check(vm.mmuNotifierClearYoung(slot.hva, slot.hva + page), true)
    check(vm.mmuNotifierTestYoung(slot.hva), false)
    check(vm.stage2.counters.tlbiVMID, 0)
    vm.handleAccessFault(IPA(Self.ram))
    check(vm.lastSection.mode, .read)
    check(vm.mmuNotifierClearFlushYoung(slot.hva, slot.hva + page), true)
    check(vm.stage2.counters.tlbiVMID, 1)
    check(vm.mmuNotifierClearFlushYoung(slot.hva, slot.hva + page), false)
    check(vm.stage2.counters.tlbiVMID, 1)
    check(vm.mmuNotifierClearYoung(HVA(0), HVA(page)), false)
    check(vm.lockTotals(.age).acquisitions, 5)
  }

  // MARK: Dirty logging

  @Test func maskedWriteProtectionCoversTheGaps() throws {
    var vm = try Self.traditional()
    let slot = vm.addSlot(flags: .logDirtyPages)
    let before = vm.stage2.counters.tlbiVMID
    for index in 0..<70 as Range<UInt64> { vm.fault(Self.ram + index * page, write: true) }
    vm.clearDirtyLog(slot: slot, first: 0, masks: [0b101000, 0, 0])
    let readOnly = vm.stage2.table.leaves().filter { $0.descriptor.prot == .read }.map(\.ipa)
    check(readOnly, [3, 4, 5].map { IPA(Self.ram + $0 * page) })
    check(vm.stage2.counters.tlbiVMID, before + 1)
    vm.clearDirtyLog(slot: slot, first: 64, masks: [1 << 63 | 1])
    check(vm.stage2.table.leaves().filter { $0.descriptor.prot == .read }.count, 3 + 6)
    vm.clearDirtyLog(slot: slot, first: 0, masks: [0, 0])
    check(vm.stage2.counters.tlbiVMID, before + 2)
    check(vm.lockTotals(.dirtyLogMasks).acquisitions, 3)
    // What the ioctl refuses.
    check(vm.clearDirtyLog(slot: slot, first: 1, masks: [1]), .invalid)
    check(vm.clearDirtyLog(slot: slot, first: slot.pages, masks: [1]), .invalid)
    check(vm.clearDirtyLog(slot: slot, first: slot.pages, masks: []), .success)
    var other = slot
    other.flags = []
    check(vm.clearDirtyLog(slot: other, first: 0, masks: [1]), .noEntry)
    check(vm.stage2.counters.tlbiVMID, before + 2)
  }

  @Test func eagerSplitting() throws {
    var vm = try Self.traditional { $0.splitChunkBytes = 2 << 20 }
    vm.addSlot(bytes: 4 * pmd)
    for index in 0..<3 as Range<UInt64> { vm.fault(Self.ram + index * pmd, host: .transparentHuge(.size4K)) }
    check(vm.enableDirtyLog(slot: 0), .success)
    check(vm.stage2.table.leaves().count, 3 * 512)
    check(vm.stage2.table.leaves().allSatisfy { $0.descriptor.prot == .read }, true)
    // Two pages of cache, one for each block: the lock is dropped before each chunk to fill it.
    check(vm.lockTotals(.splitHugePages).reschedPoints, 4)
    check(vm.stage2.memory.pages(.splitCache).live, 2)
    check(vm.disableDirtyLog(slot: 0), .success)
    check(vm.stage2.memory.pages(.splitCache).live, 0)
    check(vm.stage2.checkInvariants(), [])
  }

  @Test func eagerSplittingWithTheBitmapSetAtFirst() throws {
    var vm = try Self.traditional { $0.splitChunkBytes = 2 << 20 }
    vm.addSlot(bytes: 4 * pmd)
    vm.fault(Self.ram, host: .transparentHuge(.size4K))
    check(vm.enableDirtyLog(slot: 0, initiallySet: true), .success)
    check(vm.stage2.walk(IPA(Self.ram)), .leaf(level: .l2, prot: .rw, young: true))
    let slot = vm.slots.slot(id: 0)!
    vm.clearDirtyLog(slot: slot, first: 0, masks: [1], initiallySet: true)
    check(vm.stage2.table.leaves().count, 512)
    check(vm.stage2.walk(IPA(Self.ram)), .leaf(level: .l3, prot: .read, young: true))
  }

  @Test func pkvmNeverSplits() throws {
    var vm = try KVM.pkvm(profile(.pkvm))
    vm.addSlot(bytes: 4 * pmd)
    vm.fault(Self.ram, host: .transparentHuge(.size4K))
    check(vm.enableDirtyLog(slot: 0), .success)
    check(vm.stage2.walk(IPA(Self.ram)), .leaf(level: .l2, prot: .read, young: true))
    check(vm.stage2.warnings.isEmpty, true)
    // The lock is taken for nothing.
    check(vm.lockTotals(.splitHugePages).acquisitions, 1)
    check(vm.lastSection.mode, .write)
  }

  // MARK: The rest

  @Test func gmem() throws {
    var vm = try Self.traditional { $0.hasDIC = true }
    let slot = vm.addSlot(flags: .guestMemfd)
    let translation = Stage2Fault(ipa: IPA(Self.ram), kind: .translation, level: .l1)
    var outcome = vm.gmemAbort(translation, slot: slot, vcpu: VCPUIndex(0), pfn: PFN(512), seq: 0)
    check(outcome.operation, .map(IPA(Self.ram), size: page, prot: .rwx))
    check(outcome.dirty, GFN(Self.ram >> 12))
    check(vm.wrprotectForTest(), .success)
    let permission = Stage2Fault(ipa: IPA(Self.ram), kind: .permission, level: .l3, isWrite: true)
    outcome = vm.gmemAbort(permission, slot: slot, vcpu: VCPUIndex(0), pfn: PFN(512), seq: 0)
    check(outcome.operation, .relaxPerms(IPA(Self.ram), prot: .rwx))
    check(vm.gmemAbort(permission, slot: slot, vcpu: VCPUIndex(0), pfn: nil, seq: 7).operation, .none)
    // No VM has such a slot; the function asks all the same.
    let readOnly = Memslot(
      id: 1, baseGFN: GFN(0x8_0000), pages: 1, hva: HVA(0), flags: [.guestMemfd, .readonly])
    let other = Stage2Fault(ipa: IPA(0x8000_0000), kind: .translation, level: .l1)
    outcome = vm.gmemAbort(other, slot: readOnly, vcpu: VCPUIndex(0), pfn: nil, seq: 0)
    check(outcome.operation, .map(IPA(0x8000_0000), size: page, prot: [.read, .execute]))
    check(outcome.dirty, nil)
    // The file had no page.
    let poison = vm.gmemAbort(other, slot: slot, vcpu: VCPUIndex(0), pfn: nil, error: .hwPoison, seq: 0)
    check(poison.result, .hwPoison)
    check(poison.operation, .none)
  }

  /// Before 7.1 a permission fault maps, which changes no rights of a leaf that is there; and it needs memory for that.
  @Test(arguments: [PKVMEra.v6_18, .v6_19, .v7_1, .v7_3]) func gmemPermission(era: PKVMEra) throws {
    var vm = try Self.traditional { $0.era = era }
    let slot = vm.addSlot(flags: .guestMemfd)
    let translation = Stage2Fault(ipa: IPA(Self.ram), kind: .translation, level: .l1)
    _ = vm.gmemAbort(translation, slot: slot, vcpu: VCPUIndex(0), pfn: PFN(512), seq: 0)
    let fetch = Stage2Fault(ipa: IPA(Self.ram), kind: .permission, level: .l3, isExec: true)
    let outcome = vm.gmemAbort(fetch, slot: slot, vcpu: VCPUIndex(1), pfn: PFN(512), seq: 0)
    let relaxes = era >= .v7_1
    check(outcome.stage2Result, relaxes ? .success : .again)
    check(
      outcome.operation,
      relaxes ? .relaxPerms(IPA(Self.ram), prot: .rwx) : .map(IPA(Self.ram), size: page, prot: .rwx))
    check(vm.stage2.memcachePages(vcpu: VCPUIndex(1)), relaxes ? 0 : 40)
    let fixed = vm.gmemAbort(
      fetch, slot: slot, vcpu: VCPUIndex(1), pfn: PFN(512), relaxesPerms: true, seq: 0)
    check(fixed.stage2Result, .success)
  }

  /// The bits of HPFAR_EL2 below a page reach the backend from these two paths in every kernel; under pKVM the
  /// next page's mapping is then in the way.
  @Test func addressesThatNobodyAligns() throws {
    func outcomes<B: Stage2Backend & ~Copyable>(
      _ vm: inout KVM<B>, _ body: (inout KVM<B>, Stage2Fault, Memslot) -> FaultOutcome
    ) -> [FaultOutcome] {
      let slot = vm.addSlot(flags: vm.profile.isProtected ? [] : .guestMemfd)
      return [0x4000, 0x1000].map { offset in
        body(&vm, Stage2Fault(ipa: IPA(Self.ram + offset), kind: .translation, level: .l3), slot)
      }
    }
    var pkvm = try KVM.pkvm(profile(.pkvm) { $0.pageSize = .size16K })
    let gmem = outcomes(&pkvm) { $0.gmemAbort($1, slot: $2, vcpu: VCPUIndex(0), pfn: nil, seq: 0) }
    check(gmem.map(\.stage2Result), [.success, .again])
    check(gmem[1].operation, .map(IPA(Self.ram + 0x1000), size: 1 << 14, prot: .rw))
    var traditional = try Self.traditional { $0.pageSize = .size16K }
    let rounded = outcomes(&traditional) { $0.gmemAbort($1, slot: $2, vcpu: VCPUIndex(0), pfn: nil, seq: 0) }
    check(rounded.map(\.stage2Result), [.success, .success])
    var protected = try KVM.pkvm(
      profile(.pkvm) {
        $0.pageSize = .size16K
        $0.isProtected = true
      })
    let donated = outcomes(&protected) {
      $0.pkvmMemAbort($1, slot: $2, vcpu: VCPUIndex(0), faultIn: .page(.page(.size16K)))
    }
    check(donated.map(\.stage2Result), [.success, .again])
    check(donated[1].operation, .map(IPA(Self.ram + 0x1000), size: 1 << 14, prot: .rwx))
  }

  @Test func ioremap() throws {
    var vm = try Self.traditional()
    check(vm.kvmPhysAddrIoremap(IPA(0x801_0000), pfn: PFN(0x2c020), size: 2 * page, writable: true), .success)
    check(vm.lockTotals(.ioremap).acquisitions, 2)
    check(vm.stage2.walk(IPA(0x801_1fff)), .leaf(level: .l3, prot: .rw, young: true))
    check(vm.stage2.table.leaf(IPA(0x801_1000)).descriptor.pfn, PFN(0x2c021))
    // Its cache goes with it.
    check(vm.stage2.memory.pages(.hostMemcache).live, 0)
    check(vm.kvmPhysAddrIoremap(IPA(0x801_1000), pfn: PFN(0x2c021), size: page, writable: true), .again)
    check(vm.stage2.checkInvariants(), [])
    var pkvm = try KVM.pkvm(profile(.pkvm))
    check(pkvm.kvmPhysAddrIoremap(IPA(0), pfn: PFN(0), size: page, writable: true), .notPermitted)
    check(pkvm.lockTotals(.ioremap).acquisitions, 0)
  }

  @Test func setWayAndToggle() throws {
    var vm = try Self.traditional()
    vm.addSlot()
    vm.fault(Self.ram)
    let before = vm.stage2.counters.dcachePages
    var trapsVM = false
    vm.kvmSetWayFlush(trapsVM: &trapsVM)
    vm.kvmSetWayFlush(trapsVM: &trapsVM)
    check(vm.stage2.counters.dcachePages, before + 1)
    vm.kvmToggleCache(was: false, now: true, trapsVM: &trapsVM)
    check(trapsVM, false)
    check(vm.stage2.counters.dcachePages, before + 2)
    vm.kvmToggleCache(was: true, now: true, trapsVM: &trapsVM)
    check(vm.lockTotals(.flushVM).acquisitions, 2)
    vm.stage2UnmapVM()
    check(vm.stage2.table.leaves().count, 0)
  }

  @Test func vcpuInit() throws {
    var vm = try Self.traditional()
    vm.addSlot()
    vm.fault(Self.ram)
    vm.kvmArchVCPUIoctlVCPUInit(hasRunOnce: false)
    check(vm.stage2.table.leaves().count, 1)
    vm.kvmArchVCPUIoctlVCPUInit(hasRunOnce: true)
    check(vm.stage2.table.leaves().count, 0)
    check(vm.lockTotals(.unmapVM).acquisitions, 1)
    var coherent = try Self.traditional { $0.hasFWB = true }
    coherent.addSlot()
    coherent.fault(Self.ram)
    coherent.kvmArchVCPUIoctlVCPUInit(hasRunOnce: true)
    check(coherent.stage2.table.leaves().count, 1)
  }

  @Test func theChunksOfTheEnd() throws {
    var vm = try Self.traditional()
    vm.addSlot()
    vm.fault(Self.ram)
    check(vm.kvmArchFlushShadowAll().destroyCalls, 1024)
    check(vm.stage2.memory.tables.live, 0)
    check(vm.stage2.memory.pages(.pgd).live, 0)
    check(vm.lastSection.mode, .none)
    // Only once, and what comes later finds no table.
    check(vm.kvmFreeStage2PGD().destroyCalls, 0)
    vm.mmuNotifierInvalidateRangeStart(HVA(0x7f00_0000_0000), HVA(0x7f00_0000_1000))
    check(vm.warnings.isEmpty, true)
    func calls(_ path: Profile.Path, _ era: PKVMEra, _ change: (inout Profile) -> Void) throws -> UInt64 {
      let profile = profile(path, era, change)
      if path == .pkvm {
        var vm = try KVM.pkvm(profile)
        return vm.kvmFreeStage2PGD().destroyCalls
      }
      var vm = try KVM.traditional(profile)
      return vm.kvmFreeStage2PGD().destroyCalls
    }
    // A VM that never ran, too.
    #expect(try calls(.pkvm, .v7_3) { _ in } == 16384)
    #expect(try calls(.pkvm, .v7_3) { $0.ipaBits = 52 } == 4_194_304)
    #expect(
      try calls(.pkvm, .v7_3) {
        $0.ipaBits = 52; $0.pageSize = .size16K
      } == 134_217_728)
    #expect(
      try calls(.traditional, .v7_3) {
        $0.ipaBits = 52; $0.pageSize = .size16K
      } == 134_217_728)
    #expect(try calls(.pkvm, .v6_16) { _ in } == 1)
  }

  @Test func theEndUnderPKVM() throws {
    var vm = try KVM.pkvm(profile(.pkvm))
    vm.addSlot()
    vm.fault(Self.ram)
    vm.fault(Self.ram + pmd, host: .transparentHuge(.size4K))
    vm.kvmArchFlushShadowAll()
    check(vm.stage2.hypercalls[.hostUnshareGuest], 2)
    check(vm.stage2.hypercalls[.startTeardownVM], 1)
    check(vm.stage2.mappingCount, 0)
    check(vm.stage2.warnings.isEmpty, true)
  }

  @Test func theLockOfEachEntryPoint() {
    let traditional = profile(.traditional)
    let pkvm = profile(.pkvm)
    let protected = profile(.pkvm) { $0.isProtected = true }
    let rows: [(MMUEntryPoint, LockMode, LockMode, LockMode)] = [
      (.userMemAbort, .read, .write, .none), (.gmemAbort, .read, .write, .none),
      (.pkvmMemAbort, .none, .none, .write), (.accessFault, .read, .read, .read),
      (.invalidateRangeStart, .write, .write, .write), (.invalidateRangeEnd, .write, .write, .write),
      (.age, .write, .write, .write), (.wpMemoryRegion, .write, .write, .none),
      (.dirtyLogMasks, .write, .write, .none), (.splitHugePages, .write, .write, .none),
      (.ioremap, .write, .none, .none), (.flushVM, .write, .write, .write),
      (.flushShadowMemslot, .write, .write, .write), (.unmapVM, .write, .write, .write),
      (.freePGD, .write, .write, .write), (.destroy, .none, .none, .none),
    ]
    #expect(rows.map(\.0) == MMUEntryPoint.allCases)
    for (entryPoint, first, second, third) in rows {
      #expect(entryPoint.lock(traditional) == first, "\(entryPoint.name)")
      #expect(entryPoint.lock(pkvm) == second, "\(entryPoint.name)")
      #expect(entryPoint.lock(protected) == third, "\(entryPoint.name)")
    }
  }
}

extension KVM where Backend: ~Copyable {
  /// Write-protects the first page of memory.
  fileprivate mutating func wrprotectForTest() -> KernelResult {
    stage2.wrprotect(IPA(0x4000_0000), size: 4096)
  }
}
