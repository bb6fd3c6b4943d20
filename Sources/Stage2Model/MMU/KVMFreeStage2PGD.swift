public import KVMTypes

/// How the end of a VM's stage 2 went.
@frozen
public struct Stage2Teardown: Hashable, Sendable {
  /// Calls of `*_pgtable_stage2_destroy_range`: one for each chunk of the whole IPA space, however empty;
  /// 1 in eras that destroy in one call; 0 without a table.
  public var destroyCalls: UInt64
  /// What the calls did.
  public var work: Stage2Work

  /// A teardown.
  @inlinable
  public init(destroyCalls: UInt64, work: Stage2Work) {
    self.destroyCalls = destroyCalls
    self.work = work
  }
}

extension KVM where Backend: ~Copyable {
  /// `kvm_free_stage2_pgd`: gives the table up under the write lock, then destroys it without
  /// (`kvm_stage2_destroy`, `stage2_destroy_range`).
  ///
  /// The kernel loops over the whole IPA space in chunks of the biggest block: 16384 calls at 44 bits and
  /// 4 KiB, 134217728 at 52 bits and 16 KiB, also for a VM that never ran. Only chunks that hold something are
  /// gone through here; the calls are computed.
  @inlinable
  @discardableResult
  public mutating func kvmFreeStage2PGD() -> Stage2Teardown {
    lock(.freePGD)
    let hadPageTable = hasPageTable
    hasPageTable = false
    unlock()
    guard hadPageTable else { return Stage2Teardown(destroyCalls: 0, work: Stage2Work()) }
    lock(.destroy)
    let chunk = profile.era.destroysInChunks ? geometry.chunkBytes : geometry.ipaLimit
    stage2.destroyRange(IPA(0), size: geometry.ipaLimit, chunk: chunk)
    stage2.destroyPGD()
    unlock()
    let calls = profile.era.destroysInChunks ? geometry.destroyChunks : 1
    return Stage2Teardown(destroyCalls: calls, work: lastSection.work)
  }

  /// `kvm_arch_flush_shadow_all`: the VM's memory or its last descriptor is gone; frees the table and the split
  /// cache (`kvm_uninit_stage2_mmu`).
  @inlinable
  @discardableResult
  public mutating func kvmArchFlushShadowAll() -> Stage2Teardown {
    let teardown = kvmFreeStage2PGD()
    stage2.freeSplitCache()
    return teardown
  }
}
