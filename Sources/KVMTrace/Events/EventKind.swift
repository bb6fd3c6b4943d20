/// The events that the replay understands. Everything else in a trace is counted and can be printed.
@frozen
public enum EventKind: UInt8, Hashable, Sendable, CaseIterable {
  /// Any event without a meaning here.
  case other
  /// Events were lost before the next event of this CPU; word 0 is their number, 0 where it is unknown.
  case lost

  /// `kvm_entry`: a vCPU thread enters the guest.
  case entry
  /// `kvm_exit`: it comes back.
  case exit
  /// `kvm_guest_fault`: a stage-2 abort, before its outcome is known.
  case guestFault
  /// `kvm_access_fault`: the abort was an access flag fault in a memslot.
  case accessFault
  /// `kvm_mmio_nisv`: an access outside memory whose syndrome is not valid.
  case mmioNISV
  /// `kvm_set_way_flush`.
  case setWayFlush
  /// `kvm_toggle_cache`.
  case toggleCache
  /// `kvm_userspace_exit`: KVM_RUN returns to the VMM.
  case userspaceExit
  /// `kvm_mmio`.
  case mmio
  /// `kvm_unmap_hva_range`: the MMU notifier is about to unmap a range.
  case unmapHVARange
  /// `kvm_age_hva`: the MMU notifier clears access flags.
  case ageHVA
  /// `kvm_test_age_hva`: the MMU notifier reads an access flag.
  case testAgeHVA
  /// `kvm_set_spte_hva` (before 6.10): one page's mapping changes, which arm64 answered by remapping it.
  case setSPTEHVA
  /// `kvm_dirty_ring_push`.
  case dirtyRingPush
  /// `kvm_nested_eret`: a guest hypervisor returns from its EL2, mostly into a guest of its own.
  case nestedERET
  /// `kvm_inject_nested_exception`: an exception takes a vCPU into its guest hypervisor.
  case nestedException
  /// `kvm_hvc_arm64`: the guest made a hypercall.
  case hypercall

  /// `contention_begin`: a thread starts to wait for a lock.
  case contentionBegin
  /// `contention_end`: it has the lock.
  case contentionEnd

  /// A probe on `kvm_arch_commit_memory_region`: a memslot was created, deleted, moved or changed flags.
  case commitMemoryRegion
  /// A probe on `kvm_set_memory_region`: the VMM asks for a memslot change.
  case setMemoryRegion
  /// Its return, which says whether the change was made.
  case setMemoryRegionReturn
  /// A probe on `kvm_arch_init_vm`: a VM is created.
  case initVM
  /// A probe on `kvm_arch_destroy_vm`: a VM is gone, its stage 2 with it.
  case destroyVM
  /// `ftrace:print`: text that a program wrote to `trace_marker`, perhaps a `TraceMarker`.
  case marker

  /// A probe on `*_pgtable_stage2_map`.
  case probeMap
  /// Its return.
  case probeMapReturn
  /// A probe on `*_pgtable_stage2_unmap`.
  case probeUnmap
  /// Its return.
  case probeUnmapReturn
  /// A probe on `*_pgtable_stage2_wrprotect`.
  case probeWrprotect
  /// Its return.
  case probeWrprotectReturn
  /// A probe on `*_pgtable_stage2_test_clear_young`.
  case probeTestClearYoung
  /// Its return.
  case probeTestClearYoungReturn
  /// A probe on `*_pgtable_stage2_relax_perms`.
  case probeRelaxPerms
  /// Its return.
  case probeRelaxPermsReturn
  /// A probe on `*_pgtable_stage2_mkyoung`, which returns nothing.
  case probeMkyoung
  /// A probe on the return of `kvm_handle_guest_abort`.
  case probeAbortReturn
  /// A probe on `kvm_age_gfn`.
  case probeAgeGFN
  /// A probe on `kvm_unmap_gfn_range`.
  case probeUnmapGFN

  /// Whether the event is a probe on the life of VMs and their memslots.
  @inlinable
  public var isLifeProbe: Bool {
    (EventKind.commitMemoryRegion.rawValue...EventKind.destroyVM.rawValue).contains(rawValue)
  }

  /// Whether the event is one of the kernel's own stage-2 operations: there to check a prediction, not to make it.
  @inlinable
  public var isOperationProbe: Bool { rawValue >= EventKind.probeMap.rawValue }
}
