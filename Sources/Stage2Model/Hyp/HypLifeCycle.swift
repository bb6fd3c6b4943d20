import KVMTypes

/// Creation and teardown of a VM at EL2 (`arch/arm64/kvm/hyp/nvhe/pkvm.c`).
extension HypVM {
  /// `__pkvm_reserve_vm`, at the creation of the VM or, in older kernels, at its first run: gives the VM its
  /// handle, none where all are taken.
  mutating func reserveVM() { handle = vmemmap.reserveHandle() }

  /// `__pkvm_init_vm`: takes over the PGD and the pages of `struct pkvm_hyp_vm`. -EINVAL without a handle or
  /// for a VM that exists already.
  mutating func initVM() -> KernelResult {
    guard handle != nil, state == .reserved else { return .invalid }
    state = .created
    return .success
  }

  /// `__pkvm_init_vcpu`: -ENOENT unless the VM exists, which it also does while it dies; -EINVAL for a vCPU that
  /// exists already.
  mutating func initVCPU(_ vcpu: VCPUIndex) -> KernelResult {
    guard state == .created || state == .dying else { return .noEntry }
    vcpus.extend(to: vcpu, with: VCPU())
    guard !vcpus[vcpu.rawValue].isCreated else { return .invalid }
    vcpus[vcpu.rawValue].isCreated = true
    return .success
  }

  /// `__pkvm_vcpu_load` (`pkvm_load_hyp_vcpu`): nothing happens for a vCPU that does not exist, is loaded
  /// elsewhere, or belongs to a dying VM.
  ///
  /// - Returns: whether the vCPU is loaded now.
  mutating func vcpuLoad(_ vcpu: VCPUIndex) -> Bool {
    guard state == .created, vcpus.has(vcpu), vcpus[vcpu.rawValue].isCreated,
      !vcpus[vcpu.rawValue].isLoaded
    else { return false }
    vcpus[vcpu.rawValue].isLoaded = true
    return true
  }

  /// `__pkvm_vcpu_put` (`pkvm_put_hyp_vcpu`).
  mutating func vcpuPut(_ vcpu: VCPUIndex) {
    guard vcpus.has(vcpu) else { return }
    vcpus[vcpu.rawValue].isLoaded = false
  }

  /// Whether any vCPU holds a reference to the VM.
  private var isReferenced: Bool { vcpus.indices.contains { vcpus[$0].isLoaded } }

  /// `__pkvm_start_teardown_vm`: -EINVAL for an unknown VM, one that has a vCPU loaded, and one that dies
  /// already.
  mutating func startTeardownVM() -> KernelResult {
    guard state == .created, !isReferenced else { return .invalid }
    state = .dying
    return .success
  }

  /// `__pkvm_finalize_teardown_vm`: invalidates the VMID and pushes every page that the VM has at EL2 to the
  /// host's teardown caches, which the host frees: tables, PGD, pool and memory caches, and the structures.
  /// -EINVAL unless the VM is dying and unreferenced.
  mutating func finalizeTeardownVM() -> KernelResult {
    guard state == .dying, !isReferenced else { return .invalid }
    table.flushVMID()
    table.destroyRange(IPA(0), size: table.geometry.ipaLimit)
    table.destroyPGD()
    table.pages.pool = 0
    for index in vcpus.indices { vcpus[index].memcache = 0 }
    for use in [PageUse.pgd, .pool, .hypMemcache, .hypVM, .hypVCPU] {
      memory.release(use, pages: memory.pages(use).live)
    }
    state = .gone
    if let handle { vmemmap.releaseHandle(handle) }
    handle = nil
    return .success
  }

  /// `__pkvm_teardown_vm`: the whole of it in one call, before 7.1. -ENOENT for an unknown VM, -EBUSY with a warning
  /// at EL2, which is a panic, for one that has a vCPU loaded.
  mutating func teardownVM() -> KernelResult {
    guard state == .created else { return .noEntry }
    if isReferenced {
      warnings.record(.teardownOfReferencedVM)
      return .busy
    }
    state = .dying
    return finalizeTeardownVM()
  }
}

extension KernelWarning {
  /// A vCPU is still loaded: `WARN_ON` in the hypervisor, which panics.
  public static var teardownOfReferencedVM: KernelWarning {
    KernelWarning("__pkvm_teardown_vm", "a vCPU is loaded: hypervisor panic")
  }
}
