public import KVMTypes
public import Stage2Model

/// How the traced host took `mmu_lock` in its stage-2 functions, whatever kernel a replay models in its place.
///
/// Only the faults of a guest that is not protected differ from kernel to kernel (`kvm_fault_lock`). How they took the lock
/// follows from the host's path, which the trace tells.
public struct RecordedLockModes: Hashable, Sendable {
  private let host: Profile
  private let pathBasis: Basis

  /// How a fault took the lock.
  public var faultLock: Profile.FaultLock { host.faultLock }

  /// What the trace says of its host; of what was requested only whether that is a pKVM host counts.
  init(_ request: ProfileRequest, _ evidence: ProfileEvidence) throws(ProfileProblem) {
    var known = ProfileRequest()
    known.path = request.path
    let traced = try ReplayProfile(known, evidence)
    self.init(of: traced.profile, pathBasis: traced.basis[.path] ?? .assumed)
  }

  /// Those of a host whose path is known so well.
  init(of host: Profile, pathBasis: Basis) {
    self.host = host
    self.pathBasis = pathBasis
  }

  /// How the lock was held while a function ran.
  public func mode(of kind: OperationKind) -> LockMode { kind.lockMode(host, isProtected: host.isProtected) }

  /// How that is known: no better than that it follows from the path.
  public func basis(of kind: OperationKind) -> Basis {
    kind == .map || kind == .relaxPerms ? max(pathBasis, .derived) : .derived
  }
}
