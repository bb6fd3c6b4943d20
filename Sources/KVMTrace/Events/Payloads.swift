public import KVMTypes

// What a record says, by the kind of its event.

extension TraceRecord {
  /// `kvm_entry`, `vcpu_pc`.
  @inlinable @inline(__always)
  public var entryPC: GuestVA { GuestVA(self[RecordLayout.Entry.pc]) }

  /// `kvm_exit`.
  @inlinable @inline(__always)
  public var vcpuExit: VCPUExit {
    typealias Field = RecordLayout.Exit
    return VCPUExit(
      reason: Int32(truncatingIfNeeded: self[Field.reason]),
      exceptionClass: UInt8(truncatingIfNeeded: self[Field.exceptionClass]),
      pc: GuestVA(self[Field.pc]))
  }

  /// `kvm_guest_fault`.
  @inlinable @inline(__always)
  public var guestFault: GuestFault {
    typealias Field = RecordLayout.GuestFault
    return GuestFault(
      ipa: IPA(self[Field.ipa]), esr: ESR(self[Field.esr]), far: GuestVA(self[Field.far]),
      pc: GuestVA(self[Field.pc]))
  }

  /// `kvm_access_fault`, `ipa`.
  @inlinable @inline(__always)
  public var accessFaultIPA: IPA { IPA(self[RecordLayout.AccessFault.ipa]) }

  /// `kvm_mmio_nisv`.
  @inlinable @inline(__always)
  public var mmioNISV: GuestFault {
    typealias Field = RecordLayout.MMIONISV
    return GuestFault(
      ipa: IPA(self[Field.ipa]), esr: ESR(self[Field.esr]), far: GuestVA(self[Field.far]),
      pc: GuestVA(self[Field.pc]))
  }

  /// `kvm_userspace_exit`.
  @inlinable @inline(__always)
  public var userspaceExit: UserspaceExit {
    typealias Field = RecordLayout.UserspaceExit
    return UserspaceExit(
      reason: UInt32(truncatingIfNeeded: self[Field.reason]),
      errno: Int32(truncatingIfNeeded: self[Field.errno]))
  }

  /// `kvm_mmio`.
  @inlinable @inline(__always)
  public var mmio: MMIO {
    typealias Field = RecordLayout.MMIO
    return MMIO(
      type: UInt32(truncatingIfNeeded: self[Field.type]),
      length: UInt32(truncatingIfNeeded: self[Field.length]),
      address: IPA(self[Field.address]), value: self[Field.value])
  }

  /// The range of `kvm_unmap_hva_range` or `kvm_age_hva`; for `kvm_test_age_hva` and `kvm_set_spte_hva`,
  /// which name an address, `[hva, hva + 1)`, as their handlers ask for.
  @inlinable @inline(__always)
  public var hvaRange: HVARange {
    switch kind {
    case .testAgeHVA, .setSPTEHVA:
      let hva = self[RecordLayout.HVA.hva]
      return HVARange(start: HVA(hva), end: HVA(hva &+ 1))
    default:
      typealias Field = RecordLayout.HVARange
      return HVARange(start: HVA(self[Field.start]), end: HVA(self[Field.end]))
    }
  }

  /// `kvm_nested_eret`: what runs after it; `kvm_inject_nested_exception`: what ran before it.
  @inlinable
  public var nestedRegime: NestedRegime {
    switch kind {
    case .nestedERET:
      NestedRegime(mode: self[RecordLayout.NestedERET.mode], hcr: self[RecordLayout.NestedERET.hcr])
    default:
      NestedRegime(mode: self[RecordLayout.NestedException.mode], hcr: self[RecordLayout.NestedException.hcr])
    }
  }

  /// The lock of `contention_begin` and `contention_end`, which have it in the same place.
  @inlinable @inline(__always)
  public var contendedLock: KernelAddress { KernelAddress(self[RecordLayout.ContentionBegin.lock]) }

  /// The flags of `contention_begin`.
  @inlinable @inline(__always)
  public var contentionFlags: ContentionFlags {
    ContentionFlags(rawValue: UInt32(truncatingIfNeeded: self[RecordLayout.ContentionBegin.flags]))
  }

  /// A probe on `kvm_arch_commit_memory_region`.
  ///
  /// Its argument `old` is NULL on creation and `new` on deletion, so the fields that were read through them are
  /// worthless then: `ogfn` and `onpages` on creation, everything but `kvm`, `ogfn` and `onpages` on deletion.
  @inlinable
  public var memslotCommit: MemslotCommit {
    typealias Field = RecordLayout.CommitMemoryRegion
    let change = MemslotChange(rawValue: UInt8(truncatingIfNeeded: self[Field.change])) ?? .unknown
    let isDelete = change == .delete
    let isCreate = change == .create
    return MemslotCommit(
      kvm: KernelAddress(self[Field.kvm]), change: change,
      base: GFN(isDelete ? self[Field.oldGFN] : self[Field.gfn]),
      pages: isDelete ? self[Field.oldPages] : self[Field.pages],
      hva: HVA(isDelete ? 0 : self[Field.hva]),
      flags: isDelete ? [] : MemslotFlags(ofSlot: self[Field.flags]),
      id: isDelete ? nil : Int16(truncatingIfNeeded: self[Field.id]),
      oldBase: isCreate ? nil : GFN(self[Field.oldGFN]), oldPages: isCreate ? nil : self[Field.oldPages])
  }

  /// A probe on `kvm_set_memory_region`.
  @inlinable
  public var memslotRequest: MemslotRequest {
    typealias Field = RecordLayout.SetMemoryRegion
    return MemslotRequest(
      kvm: KernelAddress(self[Field.kvm]), slot: UInt32(truncatingIfNeeded: self[Field.slot]),
      flags: MemslotFlags(ofSlot: self[Field.flags]),
      address: IPA(self[Field.address]), bytes: self[Field.bytes], hva: HVA(self[Field.hva]))
  }

  /// A probe on `kvm_arch_init_vm`.
  @inlinable
  public var vmCreation: VMCreation {
    typealias Field = RecordLayout.InitVM
    return VMCreation(kvm: KernelAddress(self[Field.kvm]), type: VMType(rawValue: self[Field.type]))
  }

  /// The VM's `struct kvm` of a probe on `kvm_arch_destroy_vm`.
  @inlinable
  public var destroyedVM: KernelAddress { KernelAddress(self[RecordLayout.DestroyVM.kvm]) }

  /// A probe on the entry of one of the stage-2 functions that take an address.
  @inlinable
  public var probedOperation: ProbedOperation {
    typealias Field = RecordLayout.Stage2Call
    var operation = ProbedOperation(
      pageTable: KernelAddress(self[Field.pageTable]), address: IPA(self[Field.address]))
    switch kind {
    case .probeMap:
      operation.size = self[Field.size]
      operation.physical = self[Field.physical]
      operation.prot = Stage2Prot(rawValue: self[Field.mapProt])
    case .probeUnmap, .probeWrprotect: operation.size = self[Field.size]
    case .probeTestClearYoung:
      operation.size = self[Field.size]
      operation.markOld = self[Field.markOld] & 0xff != 0
    case .probeRelaxPerms: operation.prot = Stage2Prot(rawValue: self[Field.relaxProt])
    default: break
    }
    return operation
  }

  /// What a return probe saw returned.
  @inlinable
  public var probedReturn: Int64 { Int64(bitPattern: self[RecordLayout.Return.value]) }

  /// A probe on `kvm_age_gfn` or `kvm_unmap_gfn_range`.
  @inlinable
  public var probedRange: ProbedRange {
    typealias Field = RecordLayout.GFNRange
    return ProbedRange(
      kvm: KernelAddress(self[Field.kvm]), start: GFN(self[Field.start]), end: GFN(self[Field.end]))
  }

  /// How many events a `.lost` record stands for, nil where the kernel did not say.
  @inlinable
  public var lostCount: UInt64? {
    let count = self[RecordLayout.Lost.count]
    return count == 0 ? nil : count
  }
}

/// The fields of `kvm_exit`.
@frozen
public struct VCPUExit: Hashable, Sendable {
  /// `ARM_EXCEPTION_*`: 0 IRQ, 1 SError, 2 trap, 0xbadca11 hypervisor gone.
  public var reason: Int32
  /// The exception class of a trap, 0 for anything else.
  public var exceptionClass: UInt8
  /// The guest's program counter.
  public var pc: GuestVA

  /// `ESR_ELx_EC_ERET`: a guest hypervisor's return from its EL2 was trapped.
  @inlinable
  public var isERET: Bool { isTrap && exceptionClass == 0x1a }
  /// `ARM_EXCEPTION_IRQ`: an interrupt of the host, which says nothing of what the guest did.
  @inlinable
  public var isInterrupt: Bool { reason == 0 }
  /// `ARM_EXCEPTION_TRAP`.
  @inlinable
  public var isTrap: Bool { reason == 2 }

  @inlinable
  init(reason: Int32, exceptionClass: UInt8, pc: GuestVA) {
    self.reason = reason
    self.exceptionClass = exceptionClass
    self.pc = pc
  }
}

/// What of a guest hypervisor runs, as `kvm_nested_eret` and `kvm_inject_nested_exception` say.
@frozen
public struct NestedRegime: Hashable, Sendable {
  /// `PSR_MODE_MASK` and `PSR_MODE32_BIT`.
  public var mode: UInt64
  /// The guest's `HCR_EL2`.
  public var hcr: UInt64

  @inlinable
  init(mode: UInt64, hcr: UInt64) {
    self.mode = mode
    self.hcr = hcr
  }

  /// `is_hyp_ctxt`: the guest hypervisor itself, at its EL2 or in its user space (`HCR_EL2.TGE`), which KVM runs on the VM's own
  /// stage 2. All else has a shadow stage 2.
  @inlinable
  public var isHypervisor: Bool { mode & 0x1f == 0x8 || mode & 0x1f == 0x9 || hcr & 1 << 27 != 0 }
}

/// The fields of `kvm_guest_fault`.
@frozen
public struct GuestFault: Hashable, Sendable {
  /// The address that faulted, with bits 11:0 clear.
  public var ipa: IPA
  /// The syndrome (`hsr`).
  public var esr: ESR
  /// The guest's virtual address (`hxfar`).
  public var far: GuestVA
  /// The guest's program counter.
  public var pc: GuestVA

  /// A fault with these fields.
  @inlinable
  public init(ipa: IPA, esr: ESR, far: GuestVA, pc: GuestVA) {
    self.ipa = ipa
    self.esr = esr
    self.far = far
    self.pc = pc
  }

  /// Whether it looks like the fault that EL2 raises where a protected guest shares a page with the host that it does not have yet
  /// (`__pkvm_memshare_page_req`): a write fault of level 3, whatever the table has, at virtual address 0. Before 7.2 the
  /// syndrome lacks IL.
  @inlinable
  public var isMemShare: Bool { esr.rawValue | 1 << 25 == 0x9200_0047 && far.rawValue == 0 }
}

/// The fields of `kvm_userspace_exit`.
@frozen
public struct UserspaceExit: Hashable, Sendable {
  /// `KVM_EXIT_*`, valid where `errno` is not negative.
  public var reason: UInt32
  /// What KVM_RUN returns: 0, or a negative errno; 0 also where the recording lacks it.
  public var errno: Int32

  /// `KVM_EXIT_ARM_SEA`.
  private static let externalAbort: UInt32 = 41

  /// `KVM_EXIT_SYSTEM_EVENT`.
  private static let systemEvent: UInt32 = 24

  /// Whether the guest asked for its reset or its end.
  public var isSystemEvent: Bool { errno >= 0 && reason == Self.systemEvent }

  /// Whether it hands an external abort of the guest to the VMM, or KVM_RUN fails with -EFAULT, as it does for an abort whose
  /// address is not known.
  public var takesAbort: Bool {
    errno == 0 ? reason == Self.externalAbort : errno == KernelResult.badAddress.rawValue
  }

  @inlinable
  init(reason: UInt32, errno: Int32) {
    self.reason = reason
    self.errno = errno
  }
}

/// The fields of `kvm_mmio`.
@frozen
public struct MMIO: Hashable, Sendable {
  /// 0 a read that is not answered yet, 1 a read that is, 2 a write.
  public var type: UInt32
  /// The access size in bytes.
  public var length: UInt32
  /// The guest physical address.
  public var address: IPA
  /// The value read or written.
  public var value: UInt64

  @inlinable
  init(type: UInt32, length: UInt32, address: IPA, value: UInt64) {
    self.type = type
    self.length = length
    self.address = address
    self.value = value
  }
}

/// The range of host addresses that a notifier speaks of.
@frozen
public struct HVARange: Hashable, Sendable {
  /// The first byte.
  public var start: HVA
  /// The byte behind the last one.
  public var end: HVA

  /// The range `start ..< end`.
  @inlinable
  public init(start: HVA, end: HVA) {
    self.start = start
    self.end = end
  }
}

/// The flags of `contention_begin` (`LCB_F_*`).
@frozen
public struct ContentionFlags: OptionSet, Hashable, Sendable {
  /// The bits.
  public var rawValue: UInt32

  /// The flags `rawValue`.
  @inlinable
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// `LCB_F_SPIN`.
  @inlinable
  public static var spin: ContentionFlags { ContentionFlags(rawValue: 1) }
  /// `LCB_F_READ`.
  @inlinable
  public static var read: ContentionFlags { ContentionFlags(rawValue: 2) }
  /// `LCB_F_WRITE`.
  @inlinable
  public static var write: ContentionFlags { ContentionFlags(rawValue: 4) }
}

/// `enum kvm_mr_change`.
@frozen
public enum MemslotChange: UInt8, Hashable, Sendable {
  /// `KVM_MR_CREATE`.
  case create = 0
  /// `KVM_MR_DELETE`.
  case delete = 1
  /// `KVM_MR_MOVE`.
  case move = 2
  /// `KVM_MR_FLAGS_ONLY`.
  case flagsOnly = 3
  /// A value that the kernel does not define.
  case unknown = 255
}

/// The flags of a memslot (`KVM_MEM_*`).
@frozen
public struct MemslotFlags: OptionSet, Hashable, Sendable {
  /// The bits.
  public var rawValue: UInt32

  /// The flags `rawValue`.
  @inlinable
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// The flags of a slot as the kernel has them. From bit 16 on are its own, such as `KVM_MEMSLOT_GMEM_ONLY`, which no VMM gives.
  @inlinable
  init(ofSlot flags: UInt64) { rawValue = UInt32(truncatingIfNeeded: flags) & 0xffff }

  /// `KVM_MEM_LOG_DIRTY_PAGES`.
  @inlinable
  public static var logDirtyPages: MemslotFlags { MemslotFlags(rawValue: 1) }
  /// `KVM_MEM_READONLY`.
  @inlinable
  public static var readOnly: MemslotFlags { MemslotFlags(rawValue: 2) }
  /// `KVM_MEM_GUEST_MEMFD`.
  @inlinable
  public static var guestMemfd: MemslotFlags { MemslotFlags(rawValue: 4) }
}

/// A change of a memslot that has taken effect (`kvm_arch_commit_memory_region`).
@frozen
public struct MemslotCommit: Hashable, Sendable {
  /// The VM's `struct kvm`. The kernel uses the address again for another VM later.
  public var kvm: KernelAddress
  /// What happened.
  public var change: MemslotChange
  /// The slot's first frame: after the change, or before it for a deletion.
  public var base: GFN
  /// The slot's pages.
  public var pages: UInt64
  /// Where the slot's memory lies in the VMM, 0 for a deletion.
  public var hva: HVA
  /// The slot's flags, none for a deletion.
  public var flags: MemslotFlags
  /// The slot's number, nil for a deletion, which the probe cannot read.
  public var id: Int16?
  /// The first frame before the change, nil for a creation.
  public var oldBase: GFN?
  /// The pages before the change, nil for a creation.
  public var oldPages: UInt64?

  @inlinable
  init(
    kvm: KernelAddress, change: MemslotChange, base: GFN, pages: UInt64, hva: HVA, flags: MemslotFlags,
    id: Int16?, oldBase: GFN?, oldPages: UInt64?
  ) {
    self.kvm = kvm
    self.change = change
    self.base = base
    self.pages = pages
    self.hva = hva
    self.flags = flags
    self.id = id
    self.oldBase = oldBase
    self.oldPages = oldPages
  }
}

/// What a VMM asks of a memslot (`struct kvm_userspace_memory_region2`).
@frozen
public struct MemslotRequest: Hashable, Sendable {
  /// The VM's `struct kvm`.
  public var kvm: KernelAddress
  /// The slot's number; the upper half is the address space.
  public var slot: UInt32
  /// The slot's flags.
  public var flags: MemslotFlags
  /// The slot's first address.
  public var address: IPA
  /// The slot's size, 0 to delete it.
  public var bytes: UInt64
  /// Where the slot's memory lies in the VMM.
  public var hva: HVA

  @inlinable
  init(kvm: KernelAddress, slot: UInt32, flags: MemslotFlags, address: IPA, bytes: UInt64, hva: HVA) {
    self.kvm = kvm
    self.slot = slot
    self.flags = flags
    self.address = address
    self.bytes = bytes
    self.hva = hva
  }
}

/// The arguments of a stage-2 function, as a probe recorded them.
@frozen
public struct ProbedOperation: Hashable, Sendable {
  /// The VM's `struct kvm_pgtable`.
  public var pageTable: KernelAddress
  /// `addr`.
  public var address: IPA
  /// `size`, 0 for functions without one.
  public var size: UInt64 = 0
  /// `phys`, 0 for functions without one.
  public var physical: UInt64 = 0
  /// `prot`, nil for functions without one.
  public var prot: Stage2Prot?
  /// `mkold` of test_clear_young.
  public var markOld = false

  @inlinable
  init(pageTable: KernelAddress, address: IPA) {
    self.pageTable = pageTable
    self.address = address
  }
}

/// The range of frames that a notifier handler was called with.
@frozen
public struct ProbedRange: Hashable, Sendable {
  /// The VM's `struct kvm`.
  public var kvm: KernelAddress
  /// The first frame.
  public var start: GFN
  /// The frame behind the last one.
  public var end: GFN

  @inlinable
  init(kvm: KernelAddress, start: GFN, end: GFN) {
    self.kvm = kvm
    self.start = start
    self.end = end
  }
}
