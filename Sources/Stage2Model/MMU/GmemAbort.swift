public import KVMTypes

extension KVM where Backend: ~Copyable {
  /// `gmem_abort`: a page of a guest_memfd is mapped. Pages only, never blocks; writable unless the slot is
  /// read-only. A permission fault relaxes, and needs no memory; in older kernels it maps, which changes no rights
  /// (`PKVMEra.relaxesGuestMemfd`).
  ///
  /// The address goes to the backend as HPFAR_EL2 gives it, with the bits below a page of 16 KiB or 64 KiB: under
  /// pKVM a map then finds the next page's mapping in the way, and the fault comes back for ever.
  ///
  /// - Parameters:
  ///   - pfn: the page in the file, nil where it is unknown.
  ///   - error: what `kvm_gmem_get_pfn` returned, which ends the fault.
  ///   - relaxesPerms: whether a permission fault relaxes, nil for what the era does.
  ///   - seq: `invalidateSeq` as it was before the page was looked up. Holes punched into the file count.
  @inlinable
  public mutating func gmemAbort(
    _ fault: Stage2Fault, slot: Memslot, vcpu: VCPUIndex, pfn: PFN?, error: KernelResult = .success,
    relaxesPerms: Bool? = nil, seq: UInt64
  ) -> FaultOutcome {
    hasRun = true
    let relaxes = fault.kind == .permission && (relaxesPerms ?? profile.era.relaxesGuestMemfd)
    if !relaxes { stage2.topUpMemcache(vcpu: vcpu, pages: geometry.minPages) }
    if !error.isSuccess { return .ended(error) }
    var prot = Stage2Prot.read
    if !slot.flags.contains(.readonly) { prot.insert(.write) }
    if fault.isExec || profile.hasDIC { prot.formUnion(.execute) }
    lock(.gmemAbort)
    defer { unlock() }
    if mmuInvalidateRetry(seq) { return .ended(.again) }
    let ipa = fault.ipa
    let operation: FaultOutcome.Operation
    let result: KernelResult
    if relaxes {
      operation = .relaxPerms(ipa, prot: prot)
      result = stage2.relaxPerms(ipa, prot: prot)
    } else {
      operation = .map(ipa, size: pageBytes, prot: prot)
      result = stage2.map(ipa, size: pageBytes, pfn: pfn, prot: prot, vcpu: vcpu)
    }
    let isDirty = prot.contains(.write) && result.isSuccess
    return FaultOutcome(operation, result, dirty: isDirty ? ipa.gfn(pageSize) : nil)
  }

  /// `pkvm_mem_abort`: a page is pinned for good and donated to a protected guest, with all rights. Nothing
  /// is retried: the pin keeps the page. Where the map does not succeed, the pin is undone. For the address see
  /// `gmemAbort`.
  ///
  /// - Returns: -EFAULT without a page, -EIO for a page of a file: only memory that swap backs can be given away.
  @inlinable
  public mutating func pkvmMemAbort(
    _ fault: Stage2Fault, slot: Memslot, vcpu: VCPUIndex, faultIn: FaultIn, isSwapBacked: Bool = true
  ) -> FaultOutcome {
    hasRun = true
    stage2.topUpMemcache(vcpu: vcpu, pages: geometry.minPages)
    let host: HostPage
    switch faultIn {
    case .page(let page): host = page
    case .hwPoison: return .ended(.success)
    case .failed: return .ended(.badAddress)
    }
    if !isSwapBacked { return .ended(.ioError) }
    let ipa = fault.ipa
    lock(.pkvmMemAbort)
    let result = stage2.map(ipa, size: pageBytes, pfn: host.pfn, prot: .rwx, vcpu: vcpu)
    unlock()
    return FaultOutcome(.map(ipa, size: pageBytes, prot: .rwx), result)
  }
}
