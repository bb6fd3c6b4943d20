public import Stage2Model

/// How a request wants `kvm->mmu_lock`.
@frozen
public enum LockUse: UInt8, Hashable, Sendable, CaseIterable {
  /// `read_lock`: beside other readers.
  case read
  /// `write_lock`: alone.
  case write
  /// `kvm_fault_lock`: as the simulation's policy says, so that one set of clients answers what the fault lock
  /// costs in either mode.
  case fault

  /// What `entryPoint` asks for under `profile`; nil where it does not take the lock.
  public init?(_ entryPoint: MMUEntryPoint, _ profile: Profile) {
    switch (entryPoint, entryPoint.lock(profile)) {
    case (_, .none): return nil
    case (.userMemAbort, _), (.gmemAbort, _): self = .fault
    case (_, .read): self = .read
    case (_, .write): self = .write
    }
  }
}

/// What the simulated kernel does where kernels differ.
@frozen
public struct LockPolicy: Hashable, Sendable {
  /// What `kvm_fault_lock` takes.
  public var faultLock: Profile.FaultLock
  /// Whether a section lets others in at its resched points: `cond_resched_rwlock_write` drops a contended
  /// lock on preemptible kernels only (`rwlock_needbreak`).
  public var dropsWhenContended: Bool

  /// The lock of faults, on a preemptible kernel unless told otherwise.
  public init(faultLock: Profile.FaultLock, dropsWhenContended: Bool = true) {
    self.faultLock = faultLock
    self.dropsWhenContended = dropsWhenContended
  }
}
