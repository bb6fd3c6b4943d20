public import KVMTypes

/// One VM: its stage 2, its memslots, and what `arch/arm64/kvm/mmu.c` and `virt/kvm/kvm_main.c` keep beside.
///
/// The functions of those files that use stage 2 are methods here, one file each, named for the kernel
/// function. They are generic over the backend, so a patched backend runs under the same callers. Nothing
/// is concurrent: what another CPU does in between is expressed by the order of calls and by
/// `invalidateSeq` and `invalidateInProgress`.
///
/// Each function that takes `mmu_lock` leaves the section in `lastSection` and adds it to `locks`, if `KVMRecords.sections` are
/// kept.
@frozen
public struct KVM<Backend: Stage2Backend & ~Copyable>: ~Copyable {
  /// The kernel and the host.
  public let profile: Profile
  /// The shape of the stage-2 table.
  public let geometry: Stage2Geometry
  /// What `user_mem_abort` decides without looking at the table.
  public let rules: FaultRules
  /// The stage-2 table.
  public var stage2: Backend
  /// Guest memory.
  public var slots = Memslots()
  /// `mmu_invalidate_seq`: invalidations that ended.
  public var invalidateSeq: UInt64 = 0
  /// `mmu_invalidate_in_progress`: invalidations that began and did not end.
  public var invalidateInProgress = 0
  /// `kvm->arch.mmu.pgt` is set: the table was not given up yet.
  public var hasPageTable = true
  /// A vCPU ran. Under pKVM the VM then exists at EL2.
  public var hasRun = false
  /// What functions of these files would have warned of; the backend has its own.
  public var warnings = KernelWarnings()
  /// The calls of range operations since `takeRangeCalls(into:)`, for who wants to see them.
  @usableFromInline var rangeCalls: [RangeCall] = []
  /// Whether the sections under `mmu_lock` and the calls are kept count of.
  @usableFromInline let keeps: KVMRecords
  /// The last section under `mmu_lock`.
  public var lastSection = LockSection(.freePGD, mode: .none)
  /// All sections, one total for each `MMUEntryPoint`.
  @usableFromInline let lockModes: [LockMode]
  @usableFromInline var locks = [LockTotals](repeating: LockTotals(), count: MMUEntryPoint.allCases.count)

  /// A VM without memslots.
  ///
  /// - Parameter keeps: what is written down of its functions.
  public init(
    profile: Profile, geometry: Stage2Geometry, stage2: consuming Backend, keeps: KVMRecords = .sections
  ) {
    self.profile = profile
    self.keeps = keeps
    self.geometry = geometry
    self.stage2 = stage2
    rules = FaultRules(profile)
    lockModes = MMUEntryPoint.allCases.map { $0.lock(profile) }
  }

  /// The host's page size.
  @inlinable
  public var pageSize: PageSize { geometry.pageSize }

  /// All sections of `entryPoint`.
  @inlinable
  public func lockTotals(_ entryPoint: MMUEntryPoint) -> LockTotals { locks[Int(entryPoint.rawValue)] }

  /// `mmu_invalidate_retry`: an invalidation is in progress anywhere in the VM, or one ended since `seq` was
  /// sampled. The addresses do not matter.
  @inlinable
  @inline(__always)
  public func mmuInvalidateRetry(_ seq: UInt64) -> Bool {
    invalidateInProgress != 0 || invalidateSeq != seq
  }

  /// `PAGE_SHIFT`.
  @inlinable
  var pageShift: UInt64 { rules.pageShift }

  /// `PAGE_SIZE`.
  @inlinable
  var pageBytes: UInt64 { 1 &<< pageShift }

  // MARK: Sections under mmu_lock

  /// Takes `mmu_lock` for `entryPoint`.
  @inlinable
  @inline(__always)
  mutating func lock(_ entryPoint: MMUEntryPoint) {
    if keeps.contains(.sections) { beginSection(entryPoint) }
  }

  @inlinable
  mutating func beginSection(_ entryPoint: MMUEntryPoint) {
    lastSection = LockSection(entryPoint, mode: lockModes[Int(entryPoint.rawValue)])
    lastSection.work = stage2.work
  }

  /// Releases it.
  @inlinable
  @inline(__always)
  mutating func unlock() {
    if keeps.contains(.sections) { endSection() }
  }

  @inlinable
  mutating func endSection() {
    lastSection.work = stage2.work - lastSection.work
    locks[Int(lastSection.entryPoint.rawValue)].add(lastSection)
  }

  // MARK: Range calls

  /// The calls of range operations since the last time, in place of what `calls` has; its storage is used for the next ones.
  @inlinable
  public mutating func takeRangeCalls(into calls: inout [RangeCall]) {
    calls.removeAll(keepingCapacity: true)
    swap(&calls, &rangeCalls)
  }
}

/// What a `KVM` writes down of what its functions do.
@frozen
public struct KVMRecords: OptionSet, Hashable, Sendable {
  /// The bits.
  public var rawValue: UInt8

  /// The bits `rawValue`.
  @inlinable
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// The sections under `mmu_lock`.
  @inlinable
  public static var sections: KVMRecords { KVMRecords(rawValue: 1) }
  /// The calls of range operations, until somebody takes them.
  @inlinable
  public static var rangeCalls: KVMRecords { KVMRecords(rawValue: 2) }
}

/// One call of a stage-2 function that takes a range.
@frozen
public struct RangeCall: Hashable, Sendable {
  /// Which function.
  public var operation: RangeOperation
  /// `addr`.
  public var address: IPA
  /// `size`, in bytes.
  public var size: UInt64
  /// What it returned.
  public var result: KernelResult

  /// A call.
  @inlinable
  public init(operation: RangeOperation, address: IPA, size: UInt64, result: KernelResult) {
    self.operation = operation
    self.address = address
    self.size = size
    self.result = result
  }
}
