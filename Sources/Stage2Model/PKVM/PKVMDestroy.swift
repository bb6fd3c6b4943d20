public import KVMTypes

/// The end of a VM's mappings: `pkvm_pgtable_stage2_{destroy_range, destroy_pgd}`, and `destroy` before 6.19.
///
/// None of them runs under `mmu_lock`: nobody finds the table any more.
extension PKVMStage2 {
  /// `pkvm_pgtable_stage2_destroy_range`: takes back every mapping that overlaps the range. From 7.1 on the
  /// first call ever starts the teardown at EL2. Nothing happens without a handle.
  ///
  /// A page that EL2 does not give back is warned of. A protected guest's mapping then stays and the walk goes
  /// on; a non-protected guest's ends the call.
  public mutating func destroyRange(_ ipa: IPA, size: UInt64) {
    guard hyp.handle != nil else { return }
    startTeardown()
    let (first, last) = rangeFrames(ipa, size)
    destroyMappings(first, last)
  }

  /// `stage2_destroy_range`: a call that EL2 ends early is followed by that for the next chunk.
  public mutating func destroyRange(_ ipa: IPA, size: UInt64, chunk: UInt64) {
    guard configuration.era.hasIntervalTree, !configuration.isProtected else {
      destroyRange(ipa, size: size)
      return
    }
    let end = ipa.rawValue + size
    var start = ipa.rawValue
    while start < end {
      let before = warnings.count(of: .unshareFailed)
      destroyRange(IPA(start), size: end - start)
      guard warnings.count(of: .unshareFailed) != before else { return }
      // What was refused is the first mapping that is left.
      let (first, last) = frames(IPA(start), end - start)
      guard let refused = firstMapping(first, last) else { return }
      start = ((refused.gfn.rawValue << pageShift) / chunk + 1) * chunk
    }
  }

  /// `pkvm_pgtable_stage2_destroy_pgd`: frees nothing, warns where mappings are left.
  public mutating func destroyPGD() {
    if mappingCount != 0 { warnings.record(.mappingsLeft) }
  }

  /// `pkvm_pgtable_stage2_destroy` of kernels before 6.19: everything in one call.
  public mutating func destroy() {
    guard hyp.handle != nil else { return }
    startTeardown()
    destroyMappings(GFN(0), GFN(.max >> pageShift))
  }

  /// `__pkvm_start_teardown_vm`, once. It fails while a vCPU is loaded.
  private mutating func startTeardown() {
    guard configuration.era.supportsProtectedGuests, hyp.state != .reserved, !isDying else { return }
    hypercalls.count(.startTeardownVM)
    if !hyp.startTeardownVM().isSuccess { warnings.record(.startTeardownFailed) }
    isDying = true
  }

  private mutating func destroyMappings(_ first: GFN, _ last: GFN) {
    if configuration.isProtected {
      reclaimMappings(first, last)
    } else if configuration.era.hasIntervalTree {
      _ = unshareMappings(first, last)
    } else {
      dropMappings(first, last)
    }
  }

  /// `__pkvm_pgtable_stage2_reclaim`: the pages of a protected guest, one hypercall each.
  private mutating func reclaimMappings(_ first: GFN, _ last: GFN) {
    var cursor = cursor(first, last)
    while let mapping = advance(&cursor) {
      count(.reclaimDyingGuestPage, cursor)
      if !hyp.reclaimDyingGuestPage(mapping.gfn).isSuccess {
        warnings.record(.reclaimFailed)
        continue
      }
      // unpin_user_pages_dirty_lock and account_locked_vm(-1).
      lockedPages.remove()
      removeMapping(mapping)
    }
  }

  /// The loop of 6.14 and 6.15: nobody looks at what EL2 answers, every mapping is freed.
  private mutating func dropMappings(_ first: GFN, _ last: GFN) {
    var cursor = cursor(first, last)
    while let mapping = advance(&cursor) {
      count(.hostUnshareGuest, cursor)
      _ = hyp.hostUnshareGuest(mapping.gfn, pages: mapping.pages)
      phantoms.remove(mapping.gfn)
      removeMapping(mapping)
    }
  }

  /// `pkvm_force_reclaim_guest_page`: the kernel itself touched a page that a protected guest of this VM owns.
  ///
  /// - Returns: whether the access can be tried again (EL2 answered 0 or -EAGAIN).
  public mutating func forceReclaimGuestPage(_ pfn: PFN) -> Bool {
    hypercalls.count(.forceReclaimGuestPage)
    let result = hyp.forceReclaimGuestPage(pfn)
    return result.isSuccess || result == .again
  }

  /// The same for a page whose host frame is not known, by its address in the guest.
  ///
  /// - Returns: whether the guest finds it poisoned now.
  public mutating func forceReclaimGuestPage(at ipa: IPA) -> Bool {
    let result = hyp.forceReclaimGuestPage(at: ipa)
    // A page that is the host's already is not taken twice.
    if result.isSuccess { hypercalls.count(.forceReclaimGuestPage) }
    return result.isSuccess || result == .hwPoison
  }

  /// The guest's MEM_SHARE call: a protected guest lets the host use a page of its own. It goes to EL2 directly,
  /// the host does not take part.
  ///
  /// - Returns: -EPERM for a page that the guest does not own alone; -ENOENT stands for a page that is not
  ///   mapped yet, on which EL2 fakes a translation fault so that the host maps it.
  @discardableResult
  public mutating func guestShareHost(_ ipa: IPA) -> KernelResult { hyp.guestShareHost(ipa) }

  /// The guest's MEM_UNSHARE call: the page is the guest's alone again. Results as for `guestShareHost`.
  @discardableResult
  public mutating func guestUnshareHost(_ ipa: IPA) -> KernelResult { hyp.guestUnshareHost(ipa) }
}

extension KernelWarning {
  /// Mappings are left when the table goes.
  public static var mappingsLeft: KernelWarning {
    KernelWarning("pkvm_pgtable_stage2_destroy_pgd", "the tree is not empty")
  }
  /// A vCPU is still loaded.
  public static var startTeardownFailed: KernelWarning {
    KernelWarning("pkvm_pgtable_stage2_destroy_range", "__pkvm_start_teardown_vm failed")
  }
  /// EL2 did not give a page back.
  public static var reclaimFailed: KernelWarning {
    KernelWarning("__pkvm_pgtable_stage2_reclaim", "__pkvm_reclaim_dying_guest_page failed")
  }
}
