internal import KVMTypes
package import Stage2Model

extension StageCall {
  /// Makes the call; nothing where it makes or ends a VM, or looks at one.
  ///
  /// - Parameter knowsFrame: whether the frame of a map is handed on, or is for the backend to make up.
  /// - Returns: what the function returned, 1 or 0 for a truth, 0 for nothing.
  package func perform(on backend: inout some Stage2Backend & ~Copyable, knowsFrame: Bool) -> Int64 {
    let (address, vcpu) = (IPA(ipa), VCPUIndex(Int(vcpu)))
    switch function {
    case .create, .look, .release: return 0
    case .map:
      let frame = knowsFrame ? PFN(pfn) : nil
      return Int64(
        backend.map(address, size: size, pfn: frame, prot: Stage2Prot(rawValue: prot), vcpu: vcpu).rawValue)
    case .unmap: return Int64(backend.unmap(address, size: size).rawValue)
    case .wrprotect: return Int64(backend.wrprotect(address, size: size).rawValue)
    case .testClearYoung: return backend.testClearYoung(address, size: size, markOld: markOld) ? 1 : 0
    case .relaxPerms:
      return Int64(backend.relaxPerms(address, prot: Stage2Prot(rawValue: prot)).rawValue)
    case .mkyoung: backend.mkyoung(address)
    case .flush: return Int64(backend.flush(address, size: size).rawValue)
    case .split: return Int64(backend.split(address, size: size, vcpu: vcpu).rawValue)
    case .destroyRange: backend.destroyRange(address, size: size)
    case .destroyPGD: backend.destroyPGD()
    case .topUpMemcache: backend.topUpMemcache(vcpu: vcpu, pages: Int(clamping: size))
    case .freeMemcache: backend.freeMemcache(vcpu: vcpu)
    case .topUpSplitCache: return Int64(backend.topUpSplitCache(pages: Int(clamping: size)))
    case .freeSplitCache: backend.freeSplitCache()
    case .loadVCPU: backend.loadVCPU(vcpu, cpu: Int(clamping: size))
    case .flushTLBs: backend.flushRemoteTLBs()
    case .flushTLBRange: backend.flushRemoteTLBs(address, size: size)
    case .gracePeriod: backend.passGracePeriod()
    case .takeByForce: return backend.takeByForce(address) ? 1 : 0
    }
    return 0
  }
}
