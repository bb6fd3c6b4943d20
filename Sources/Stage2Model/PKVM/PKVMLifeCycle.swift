public import KVMTypes

/// A vCPU's memory cache on the host's side: `struct kvm_hyp_memcache`.
struct HypMemcache {
  /// Free pages, linked through themselves in the kernel (`nr_pages`).
  var pages = 0
  /// A mapping object is ready (`mapping`).
  var hasMapping = false
  /// The vCPU has run, or whether it has is the caller's affair: nothing is left to be done before its first fault.
  var isPrepared = false
}

/// The memory caches, and the life of VM and vCPUs as the host drives it (`arch/arm64/kvm/pkvm.c`).
extension PKVMStage2 {
  // MARK: Memory caches

  /// `topup_hyp_memcache`: allocates a mapping object if the vCPU has none ready, and single pages until its
  /// cache holds `pages`.
  public mutating func topUpMemcache(vcpu: VCPUIndex, pages: Int) {
    prepare(vcpu)
    let index = vcpu.rawValue
    if !memcaches[index].hasMapping {
      memcaches[index].hasMapping = true
      hyp.memory.addSpareMapping()
    }
    let missing = pages - memcaches[index].pages
    if missing > 0 {
      memcaches[index].pages = pages
      hyp.memory.allocate(.hostMemcache, pages: missing)
    }
  }

  /// The pages that a fault of this VM tops up to (`kvm_mmu_cache_min_pages`).
  public var minPages: Int { configuration.geometry.minPages }

  /// Pages in the memory cache of a vCPU on the host's side (`nr_pages`).
  public func memcachePages(_ vcpu: VCPUIndex) -> Int {
    memcaches.has(vcpu) ? memcaches[vcpu.rawValue].pages : 0
  }

  /// `free_hyp_memcache`, for a vCPU that is destroyed.
  public mutating func freeMemcache(vcpu: VCPUIndex) {
    guard memcaches.has(vcpu) else { return }
    let index = vcpu.rawValue
    hyp.memory.release(.hostMemcache, pages: memcaches[index].pages)
    if memcaches[index].hasMapping { hyp.memory.removeSpareMapping() }
    memcaches[index].pages = 0
    memcaches[index].hasMapping = false
  }

  /// The next refill of EL2's cache fails, as where a page of the host's cache cannot be donated: for tests.
  package mutating func failNextRefill() { hyp.failingRefills += 1 }

  // MARK: vCPUs

  /// Makes room for `vcpu`, and lets it run where running is not modelled.
  @inline(__always)
  mutating func prepare(_ vcpu: VCPUIndex) {
    if memcaches.has(vcpu), memcaches[vcpu.rawValue].isPrepared { return }
    prepareSlowly(vcpu)
  }

  @inline(never)
  private mutating func prepareSlowly(_ vcpu: VCPUIndex) {
    memcaches.extend(to: vcpu, with: HypMemcache())
    let hasRun = configuration.requiresLoadedVCPU || firstRun(vcpu).isSuccess
    memcaches[vcpu.rawValue].isPrepared = hasRun
  }

  /// The first vCPU that has run, 0 before.
  var anyVCPU: VCPUIndex { VCPUIndex(hyp.vcpus.indices.first { hyp.vcpus[$0].isCreated } ?? 0) }

  /// The first run of a vCPU (`kvm_arch_vcpu_run_pid_change`): creates the VM at EL2 if no vCPU ran before
  /// (`pkvm_create_hyp_vm`: the PGD and `struct pkvm_hyp_vm` are donated) and the vCPU
  /// (`pkvm_create_hyp_vcpu`). Before 6.15, the VM's creation creates all its vCPUs.
  ///
  /// - Returns: 0, also for a vCPU that ran before; else the error of EL2.
  @discardableResult
  public mutating func firstRun(_ vcpu: VCPUIndex) -> KernelResult {
    memcaches.extend(to: vcpu, with: HypMemcache())
    if hyp.state == .reserved {
      if hyp.handle == nil {
        if configuration.era.reservesHandle { hypercalls.count(.reserveVM) }
        hyp.reserveVM()
      }
      hypercalls.count(.initVM)
      let result = hyp.initVM()
      if !result.isSuccess { return result }
      hyp.memory.allocate(.pgd, pages: configuration.geometry.pgdPages)
      hyp.memory.allocate(.hypVM, pages: configuration.hypVMPages)
      if configuration.era.createsAllVCPUs {
        for index in 0..<configuration.createdVCPUs {
          let result = createHypVCPU(VCPUIndex(index))
          if !result.isSuccess { return result }
        }
      }
    }
    if hyp.vcpus.has(vcpu), hyp.vcpus[vcpu.rawValue].isCreated { return .success }
    return createHypVCPU(vcpu)
  }

  /// `__pkvm_create_hyp_vcpu`.
  private mutating func createHypVCPU(_ vcpu: VCPUIndex) -> KernelResult {
    hypercalls.count(.initVCPU)
    let result = hyp.initVCPU(vcpu)
    if result.isSuccess { hyp.memory.allocate(.hypVCPU, pages: configuration.hypVCPUPages) }
    return result
  }

  /// `kvm_arch_vcpu_load`: makes `vcpu` the one that hypercalls of its CPU act on. The host skips the part that cares
  /// for the VMID and for what another vCPU left in the TLBs. EL2 has given the VM a VMID for its life and does
  /// not invalidate either.
  ///
  /// - Returns: whether EL2 loaded it.
  @discardableResult
  public mutating func loadVCPU(_ vcpu: VCPUIndex) -> Bool {
    hypercalls.count(.vcpuLoad)
    return hyp.vcpuLoad(vcpu)
  }

  /// The same, from whichever CPU: nothing depends on it.
  public mutating func loadVCPU(_ vcpu: VCPUIndex, cpu: Int) { _ = loadVCPU(vcpu) }

  /// `kvm_arch_vcpu_put`.
  public mutating func putVCPU(_ vcpu: VCPUIndex) {
    hypercalls.count(.vcpuPut)
    hyp.vcpuPut(vcpu)
  }

  /// The vCPU trapped: with the address of a stage-2 translation abort, or with anything else. Only
  /// `__pkvm_vcpu_in_poison_fault` asks for it.
  public mutating func recordTrap(_ vcpu: VCPUIndex, translationAbort ipa: IPA?) {
    guard hyp.vcpus.has(vcpu), hyp.vcpus[vcpu.rawValue].isCreated else { return }
    hyp.vcpus[vcpu.rawValue].translationAbort = ipa
  }

  // MARK: The VM

  /// The end of the VM: `pkvm_destroy_hyp_vm`, after the tables were destroyed, and `kvm_arch_vcpu_destroy` of
  /// its vCPUs. Every page of the VM is free afterwards.
  ///
  /// - Returns: what EL2 answered; on an error its memory stays donated.
  @discardableResult
  public mutating func destroyVM() -> KernelResult {
    for index in memcaches.indices { freeMemcache(vcpu: VCPUIndex(index)) }
    var result = KernelResult.success
    switch hyp.state {
    case .reserved:
      if let handle = hyp.handle {
        hypercalls.count(.unreserveVM)
        hyp.vmemmap.releaseHandle(handle)
        hyp.handle = nil
      }
      hyp.state = .gone
    case .created, .dying:
      if configuration.era.supportsProtectedGuests {
        hypercalls.count(.finalizeTeardownVM)
        result = hyp.finalizeTeardownVM()
      } else {
        hypercalls.count(.teardownVM)
        result = hyp.teardownVM()
      }
      if !result.isSuccess { warnings.record(.teardownFailed) }
    case .gone: return .success
    }
    isDestroyed = result.isSuccess
    return result
  }
}

extension KernelWarning {
  /// EL2 refused the end of the teardown.
  public static var teardownFailed: KernelWarning {
    KernelWarning("__pkvm_destroy_hyp_vm", "the VM could not be torn down")
  }
}
