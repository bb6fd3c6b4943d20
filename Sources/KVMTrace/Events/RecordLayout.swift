/// One field of an event, and where in a record it stands.
@frozen
public struct RecordField: Sendable {
  /// The name that the event's format file gives it.
  public let name: StaticString
  /// The word of the record.
  public let word: Int
  /// Where in the word, for fields that share one.
  public let bit: UInt64
  /// How many bits of the word the field may fill, 64 where it has the word for itself.
  public let bits: UInt64
  /// Whether the event may come without it.
  public let isOptional: Bool

  @inlinable @inline(__always)
  init(_ name: StaticString, _ word: Int, bit: UInt64 = 0, bits: UInt64 = 64, isOptional: Bool = false) {
    self.name = name
    self.word = word
    self.bit = bit
    self.bits = bits
    self.isOptional = isOptional
  }

  /// The bits of the field, at the word's low end.
  @inlinable @inline(__always)
  public var mask: UInt64 { bits == 64 ? .max : (1 << bits) - 1 }
}

/// Which field of each event stands in which word of its record: the one place that says so. `EventSchema` decodes by it,
/// the payloads of `TraceRecord` read by it, and whoever makes records up writes by it.
///
/// Every field is a constant that is known where it is used, so that reading one is a load from a fixed place.
public enum RecordLayout {
  /// `kvm_entry`.
  public enum Entry {
    /// The guest's program counter.
    @inlinable public static var pc: RecordField { RecordField("vcpu_pc", 0) }
  }

  /// `kvm_exit`.
  public enum Exit {
    /// `ARM_EXCEPTION_*`.
    @inlinable public static var reason: RecordField { RecordField("ret", 0) }
    /// The exception class of a trap.
    @inlinable public static var exceptionClass: RecordField { RecordField("esr_ec", 1) }
    /// The guest's program counter.
    @inlinable public static var pc: RecordField { RecordField("vcpu_pc", 2) }
  }

  /// `kvm_guest_fault`.
  public enum GuestFault {
    /// The address that faulted.
    @inlinable public static var ipa: RecordField { RecordField("ipa", 0) }
    /// The syndrome.
    @inlinable public static var esr: RecordField { RecordField("hsr", 1) }
    /// The guest's virtual address.
    @inlinable public static var far: RecordField { RecordField("hxfar", 2) }
    /// The guest's program counter.
    @inlinable public static var pc: RecordField { RecordField("vcpu_pc", 3) }
  }

  /// `kvm_access_fault`.
  public enum AccessFault {
    /// The address that faulted.
    @inlinable public static var ipa: RecordField { RecordField("ipa", 0) }
  }

  /// `kvm_mmio_nisv`.
  public enum MMIONISV {
    /// The address that faulted.
    @inlinable public static var ipa: RecordField { RecordField("ipa", 0) }
    /// The syndrome.
    @inlinable public static var esr: RecordField { RecordField("esr", 1) }
    /// The guest's virtual address.
    @inlinable public static var far: RecordField { RecordField("far", 2) }
    /// The guest's program counter.
    @inlinable public static var pc: RecordField { RecordField("vcpu_pc", 3) }
  }

  /// `kvm_set_way_flush`.
  public enum SetWayFlush {
    /// The guest's program counter.
    @inlinable public static var pc: RecordField { RecordField("vcpu_pc", 0) }
    /// Whether the cache is on.
    @inlinable public static var cache: RecordField { RecordField("cache", 1) }
  }

  /// `kvm_toggle_cache`.
  public enum ToggleCache {
    /// The guest's program counter.
    @inlinable public static var pc: RecordField { RecordField("vcpu_pc", 0) }
    /// Whether the cache was on.
    @inlinable public static var was: RecordField { RecordField("was", 1) }
    /// Whether it is now.
    @inlinable public static var now: RecordField { RecordField("now", 2) }
  }

  /// `kvm_userspace_exit`.
  public enum UserspaceExit {
    /// `KVM_EXIT_*`.
    @inlinable public static var reason: RecordField { RecordField("reason", 0) }
    /// What KVM_RUN returns. Perfetto's events lack it.
    @inlinable public static var errno: RecordField { RecordField("errno", 1, isOptional: true) }
  }

  /// `kvm_mmio`.
  public enum MMIO {
    /// `KVM_TRACE_MMIO_*`.
    @inlinable public static var type: RecordField { RecordField("type", 0) }
    /// The access size in bytes.
    @inlinable public static var length: RecordField { RecordField("len", 1) }
    /// The guest physical address.
    @inlinable public static var address: RecordField { RecordField("gpa", 2) }
    /// The value read or written.
    @inlinable public static var value: RecordField { RecordField("val", 3) }
  }

  /// `kvm_unmap_hva_range` and `kvm_age_hva`.
  public enum HVARange {
    /// The first byte.
    @inlinable public static var start: RecordField { RecordField("start", 0) }
    /// The byte behind the last one.
    @inlinable public static var end: RecordField { RecordField("end", 1) }
  }

  /// `kvm_test_age_hva` and `kvm_set_spte_hva`.
  public enum HVA {
    /// The address.
    @inlinable public static var hva: RecordField { RecordField("hva", 0) }
  }

  /// `kvm_dirty_ring_push`.
  public enum DirtyRingPush {
    /// The ring's vCPU.
    @inlinable public static var index: RecordField { RecordField("index", 0) }
    /// Where the ring is filled.
    @inlinable public static var dirtyIndex: RecordField { RecordField("dirty_index", 1) }
    /// Where it is harvested.
    @inlinable public static var resetIndex: RecordField { RecordField("reset_index", 2) }
    /// The memslot.
    @inlinable public static var slot: RecordField { RecordField("slot", 3) }
    /// The page in it.
    @inlinable public static var offset: RecordField { RecordField("offset", 4) }
  }

  /// `kvm_nested_eret`.
  public enum NestedERET {
    /// `PSR_MODE_MASK` and `PSR_MODE32_BIT` of the guest's `SPSR_EL2`: where it returns to.
    @inlinable public static var mode: RecordField { RecordField("target_mode", 0) }
    /// The guest's `HCR_EL2`.
    @inlinable public static var hcr: RecordField { RecordField("hcr_el2", 1) }
  }

  /// `kvm_inject_nested_exception`.
  public enum NestedException {
    /// The same bits of `PSTATE`: where the exception is taken from.
    @inlinable public static var mode: RecordField { RecordField("source_mode", 0) }
    /// The guest's `HCR_EL2`.
    @inlinable public static var hcr: RecordField { RecordField("hcr_el2", 1) }
  }

  /// `kvm_hvc_arm64`.
  public enum Hypercall {
    /// The guest's program counter.
    @inlinable public static var pc: RecordField { RecordField("vcpu_pc", 0) }
    /// The function's number.
    @inlinable public static var r0: RecordField { RecordField("r0", 1) }
    /// The immediate of the instruction.
    @inlinable public static var immediate: RecordField { RecordField("imm", 2) }
  }

  /// `contention_begin`.
  public enum ContentionBegin {
    /// The lock.
    @inlinable public static var lock: RecordField { RecordField("lock_addr", 0) }
    /// `LCB_F_*`.
    @inlinable public static var flags: RecordField { RecordField("flags", 1) }
  }

  /// `contention_end`.
  public enum ContentionEnd {
    /// The lock.
    @inlinable public static var lock: RecordField { RecordField("lock_addr", 0) }
    /// Whether it was got.
    @inlinable public static var result: RecordField { RecordField("ret", 1) }
  }

  /// A probe on `kvm_arch_commit_memory_region`.
  public enum CommitMemoryRegion {
    /// The VM's `struct kvm`.
    @inlinable public static var kvm: RecordField { RecordField("kvm", 0) }
    /// `new->base_gfn`.
    @inlinable public static var gfn: RecordField { RecordField("gfn", 1) }
    /// `new->npages`.
    @inlinable public static var pages: RecordField { RecordField("npages", 2) }
    /// `new->userspace_addr`.
    @inlinable public static var hva: RecordField { RecordField("hva", 3) }
    /// `old->base_gfn`.
    @inlinable public static var oldGFN: RecordField { RecordField("ogfn", 4) }
    /// `old->npages`.
    @inlinable public static var oldPages: RecordField { RecordField("onpages", 5) }
    /// `new->flags`.
    @inlinable public static var flags: RecordField { RecordField("flags", 6, bit: 0, bits: 32) }
    /// `new->id`.
    @inlinable public static var id: RecordField { RecordField("id", 6, bit: 32, bits: 16) }
    /// `enum kvm_mr_change`.
    @inlinable public static var change: RecordField { RecordField("change", 6, bit: 48, bits: 8) }
  }

  /// A probe on `kvm_set_memory_region`.
  public enum SetMemoryRegion {
    /// The VM's `struct kvm`.
    @inlinable public static var kvm: RecordField { RecordField("kvm", 0) }
    /// `guest_phys_addr`.
    @inlinable public static var address: RecordField { RecordField("gpa", 1) }
    /// `memory_size`.
    @inlinable public static var bytes: RecordField { RecordField("size", 2) }
    /// `userspace_addr`.
    @inlinable public static var hva: RecordField { RecordField("hva", 3) }
    /// `guest_memfd`.
    @inlinable public static var guestMemfd: RecordField { RecordField("gmem", 4, isOptional: true) }
    /// `flags`.
    @inlinable public static var flags: RecordField { RecordField("flags", 6, bit: 0, bits: 32) }
    /// `slot`, with the address space in its upper half.
    @inlinable public static var slot: RecordField { RecordField("slot", 6, bit: 32, bits: 32) }
  }

  /// A probe on `kvm_arch_init_vm`.
  public enum InitVM {
    /// The VM's `struct kvm`.
    @inlinable public static var kvm: RecordField { RecordField("kvm", 0) }
    /// The argument of `KVM_CREATE_VM`.
    @inlinable public static var type: RecordField { RecordField("type", 1) }
  }

  /// A probe on `kvm_arch_destroy_vm`.
  public enum DestroyVM {
    /// The VM's `struct kvm`.
    @inlinable public static var kvm: RecordField { RecordField("kvm", 0) }
  }

  /// `ftrace:print`.
  public enum Marker {
    /// Who printed.
    @inlinable public static var ip: RecordField { RecordField("ip", 0) }
    /// Of a record that lies in no page, the marker's place in the run's list. No format has it.
    @inlinable public static var index: RecordField { RecordField("", 1) }
  }

  /// A probe on a function's return.
  public enum Return {
    /// What it returned.
    @inlinable public static var value: RecordField { RecordField("ret", 0) }
  }

  /// A probe on the entry of one of the stage-2 functions.
  public enum Stage2Call {
    /// `pgt`.
    @inlinable public static var pageTable: RecordField { RecordField("pgt", 0) }
    /// `addr`.
    @inlinable public static var address: RecordField { RecordField("addr", 1) }
    /// `size`, of functions that take a range.
    @inlinable public static var size: RecordField { RecordField("size", 2) }
    /// `phys` of map.
    @inlinable public static var physical: RecordField { RecordField("phys", 3) }
    /// `prot` of map.
    @inlinable public static var mapProt: RecordField { RecordField("prot", 4) }
    /// `prot` of relax_perms.
    @inlinable public static var relaxProt: RecordField { RecordField("prot", 2) }
    /// `mkold` of test_clear_young.
    @inlinable public static var markOld: RecordField { RecordField("mkold", 3) }
  }

  /// A probe on `kvm_age_gfn` or `kvm_unmap_gfn_range`.
  public enum GFNRange {
    /// The VM's `struct kvm`.
    @inlinable public static var kvm: RecordField { RecordField("kvm", 0) }
    /// The first frame.
    @inlinable public static var start: RecordField { RecordField("start", 1) }
    /// The frame behind the last one.
    @inlinable public static var end: RecordField { RecordField("end", 2) }
  }

  /// A loss, which is no event of the kernel and has no format.
  public enum Lost {
    /// How many events are missing, 0 where that is not known.
    @inlinable public static var count: RecordField { RecordField("", 0) }
    /// 1 where damage took them, 0 where the kernel lost them.
    @inlinable package static var isDamage: RecordField { RecordField("", 1) }
  }
}
