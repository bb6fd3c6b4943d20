public import KVMTypes

/// What becomes of a memslot (`enum kvm_mr_change`).
@frozen
public enum MemslotChange: UInt8, Hashable, Sendable {
  /// It did not exist.
  case create
  /// It goes.
  case delete
  /// It gets other guest frames.
  case move
  /// It gets other flags.
  case flagsOnly
}

/// Memslots that come, go and change. No tracepoint shows them.
extension KVM where Backend: ~Copyable {
  /// `kvm_set_memory_region` (`KVM_SET_USER_MEMORY_REGION2`): `region` is created, or the slot of its number moved
  /// or given other flags; without pages the slot is deleted.
  ///
  /// A slot that is deleted or moved is unmapped before anything of the architecture is checked, so a move that
  /// is refused with -EFAULT or -EPERM leaves the old slot in place and unmapped.
  ///
  /// - Parameter initiallySet: `KVM_DIRTY_LOG_INITIALLY_SET` of the VM.
  /// - Returns: -EINVAL for flags that do not exist or exclude each other, a slot number or size out of range,
  ///   a host address within a page, the deletion of no slot, a change of size, host address or
  ///   `KVM_MEM_READONLY`, any change of a guest_memfd slot but its deletion; -EEXIST for frames of another slot;
  ///   -EPERM and -EFAULT as for `kvmArchPrepareMemoryRegion`; 0 where nothing is to be changed.
  @inlinable
  @discardableResult
  public mutating func kvmSetMemoryRegion(_ region: Memslot, initiallySet: Bool = false) -> KernelResult {
    let check = region.checkRegion(pageSize)
    if !check.isSuccess { return check }
    let old = slots.slot(id: region.id)
    if region.pages == 0 {
      guard let old else { return .invalid }
      return kvmSetMemslot(old, nil, .delete, initiallySet: initiallySet)
    }
    let change: MemslotChange
    if let old {
      if region.flags.contains(.guestMemfd) { return .invalid }
      let immutable: Memslot.Flags = [.readonly, .guestMemfd]
      if region.hva != old.hva || region.pages != old.pages
        || region.flags.intersection(immutable) != old.flags.intersection(immutable)
      {
        return .invalid
      }
      if region.baseGFN != old.baseGFN {
        change = .move
      } else if region.flags != old.flags {
        change = .flagsOnly
      } else {
        return .success
      }
    } else {
      change = .create
    }
    if change != .flagsOnly, slots.overlaps(region) { return .exists }
    return kvmSetMemslot(old, region, change, initiallySet: initiallySet)
  }

  /// `kvm_set_memslot`: unmaps what goes (`kvm_invalidate_memslot`), asks the architecture, makes the change.
  @inlinable
  mutating func kvmSetMemslot(
    _ old: Memslot?, _ new: Memslot?, _ change: MemslotChange, initiallySet: Bool
  ) -> KernelResult {
    if change == .delete || change == .move, let old { kvmArchFlushShadowMemslot(old) }
    let prepared = kvmArchPrepareMemoryRegion(new, change)
    if !prepared.isSuccess { return prepared }
    if let new {
      slots.set(new)
    } else if let old {
      slots.remove(id: old.id)
    }
    kvmArchCommitMemoryRegion(new, change, initiallySet: initiallySet)
    return .success
  }

  /// `kvm_arch_prepare_memory_region`, as far as it does not look at the VMM's VMAs.
  ///
  /// - Returns: -EPERM for the deletion or the move of a slot of a protected guest that ran, and for a slot of a
  ///   protected guest that logs dirty pages or is read-only; -EFAULT for frames beyond the IPA space.
  @inlinable
  func kvmArchPrepareMemoryRegion(_ new: Memslot?, _ change: MemslotChange) -> KernelResult {
    if profile.isProtected {
      if hasRun && (change == .delete || change == .move) { return .notPermitted }
      if let new, !new.flags.isDisjoint(with: [.logDirtyPages, .readonly]) { return .notPermitted }
    }
    if let new, new.endGFN.rawValue > geometry.ipaLimit >> pageShift { return .badAddress }
    return .success
  }

  /// `kvm_arch_commit_memory_region`: a slot that logs dirty pages, new, moved or changed, is write-protected and
  /// split, unless its bitmap starts out set; any other change frees the split cache, whatever other slots do.
  @inlinable
  mutating func kvmArchCommitMemoryRegion(_ new: Memslot?, _ change: MemslotChange, initiallySet: Bool) {
    guard let new, new.flags.contains(.logDirtyPages) else {
      stage2.freeSplitCache()
      return
    }
    if change == .delete || initiallySet { return }
    kvmMMUWPMemoryRegion(new)
    kvmMMUSplitMemoryRegion(new)
  }

  // MARK: The same by name

  /// A slot is created: stage 2 stays as it is, faults fill it. Results as for `kvmSetMemoryRegion`.
  @inlinable
  public mutating func createMemslot(_ slot: Memslot) -> KernelResult { kvmSetMemoryRegion(slot) }

  /// A slot is deleted: what it maps is unmapped. -EPERM for a protected guest that ran, -EINVAL for no slot.
  @inlinable
  public mutating func deleteMemslot(_ id: UInt32) -> KernelResult {
    kvmSetMemoryRegion(Memslot(id: id, baseGFN: GFN(0), pages: 0, hva: HVA(0)))
  }

  /// A slot moves to other guest frames: what the old place maps is unmapped. Results as for `kvmSetMemoryRegion`,
  /// -EINVAL for no slot.
  @inlinable
  public mutating func moveMemslot(_ id: UInt32, to gfn: GFN) -> KernelResult {
    guard var slot = slots.slot(id: id) else { return .invalid }
    slot.baseGFN = gfn
    return kvmSetMemoryRegion(slot)
  }
}

extension Memslot {
  /// `check_memory_region_flags` and the general checks of `kvm_set_memory_region`: 0 or -EINVAL.
  @usableFromInline
  func checkRegion(_ pageSize: PageSize) -> KernelResult {
    var valid: Flags = [.logDirtyPages, .readonly, .guestMemfd]
    if flags.contains(.guestMemfd) { valid.subtract([.logDirtyPages, .readonly]) }
    let number = id & 0xffff
    let bytes = pages.multipliedReportingOverflow(by: pageSize.bytes)
    let start = baseGFN.rawValue.multipliedReportingOverflow(by: pageSize.bytes)
    // KVM_MEM_SLOTS_NUM, one address space, KVM_MEM_MAX_NR_PAGES.
    let isValid =
      flags.isSubset(of: valid) && hva.rawValue & (pageSize.bytes - 1) == 0 && id >> 16 == 0
      && number < 32767 && pages < 1 << 31 && !bytes.overflow && !start.overflow
      && !start.partialValue.addingReportingOverflow(bytes.partialValue).overflow
    return isValid ? .success : .invalid
  }
}
