public import KVMTypes

extension KVM where Backend: ~Copyable {
  /// `kvm_phys_addr_ioremap`: maps device memory that the guest never faults on (the GICv2 CPU interface),
  /// page by page, each under the write lock, with a memory cache of its own.
  ///
  /// - Returns: -EPERM under pKVM; else the first result of a map that is not 0.
  @inlinable
  public mutating func kvmPhysAddrIoremap(_ ipa: IPA, pfn: PFN, size: UInt64, writable: Bool) -> KernelResult
  {
    if profile.isPKVM { return .notPermitted }
    let start = ipa.alignedDown(to: pageBytes)
    let end = start.rawValue + size + (ipa.rawValue - start.rawValue)
    let prot: Stage2Prot = writable ? [.read, .write, .device] : [.read, .device]
    var address = start
    var frame = pfn
    var result = KernelResult.success
    while address.rawValue < end, result.isSuccess {
      stage2.topUpMemcache(vcpu: .ioremap, pages: geometry.minPages)
      lock(.ioremap)
      result = stage2.map(address, size: pageBytes, pfn: frame, prot: prot, vcpu: .ioremap)
      unlock()
      address = address + pageBytes
      frame = frame + 1
    }
    stage2.freeMemcache(vcpu: .ioremap)
    return result
  }
}
