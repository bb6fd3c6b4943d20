public import KVMTypes
public import Stage2Model
public import Stage2Replay

/// How long the `mmu_lock` of one VM is held if it has the planned vCPUs: a simulation of the recorded sections. The lock is
/// the VM's own, so other VMs do not matter. `modelled`.
public struct MMULockUse: Sendable, Encodable {
  /// The recording.
  public let recording: String
  /// Its position, and the VM's number in it.
  public let input: Int
  /// The VM's number in it.
  public let vm: Int
  /// Whether it is a protected guest, whose faults take the lock to write on every host.
  public let isProtected: Bool
  /// The vCPUs that were recorded.
  public let recordedVCPUs: Int
  /// The vCPUs that were simulated.
  public let vcpus: Int
  /// How a fault takes the lock.
  public let faultLock: Profile.FaultLock
  /// The time from the first recorded section of a vCPU to the end of the last section.
  public let recordedNs: UInt64
  /// The share of the time of these sections, as simulated, in which it is held to read, 0 to 1; nil where that was not
  /// recorded.
  public let readUtilisation: Double?
  /// The share of it in which it is held to write, likewise.
  public let writeUtilisation: Double?
  /// The functions whose sections were not recorded, which are in no figure; nil for none.
  public let untimed: [OperationKind]?
  /// The mean wait of a section.
  public let meanWaitNs: Double
  /// How far simulated waits of the recorded vCPUs are from recorded ones; nil where that was not simulated or recorded.
  public let waitError: Double?
  /// How all of it is known.
  public let basis = Basis.modelled

  /// Simulates a VM; nil where no section was recorded, and where the recorded host changes its tables another way than
  /// the planned one, for what a section takes there is not known.
  public init?(
    _ recording: String, input: Int, _ vm: VMResult, recordedOn recorded: Profile,
    for request: CapacityRequest
  ) {
    guard recorded.path == request.profile.path,
      let study = ContentionStudy(vm, faultLock: recorded.faultLock, scales: [request.vcpus], seed: 1)
    else { return nil }
    let lock = vm.isProtected ? .write : request.profile.faultLock
    guard let found = study.cases.first(where: { $0.faultLock == lock }) else { return nil }
    self.recording = recording
    self.input = input
    self.vm = vm.id
    isProtected = vm.isProtected
    recordedVCPUs = study.recordedVCPUs
    vcpus = request.vcpus
    faultLock = lock
    recordedNs = study.recordedNs
    readUtilisation = found.readUtilisation
    writeUtilisation = found.writeUtilisation
    let missing = [LockMode.read, .write].flatMap { vm.lock?.missing($0) ?? [] }
    untimed = missing.isEmpty ? nil : missing.sorted { $0.rawValue < $1.rawValue }
    meanWaitNs = found.meanWaitNs
    waitError = study.waitError
  }

  /// "0:1 without unmap"; nil where nothing is missing.
  var lack: String? {
    untimed.map { "\(input):\(vm) without \($0.map(\.name).joined(separator: ", "))" }
  }

  private enum CodingKeys: String, CodingKey {
    case recording, input, vm, isProtected = "protected", recordedVCPUs, vcpus, faultLock, recordedNs
    case readUtilisation, writeUtilisation, untimed, meanWaitNs, waitError, basis
  }
}
