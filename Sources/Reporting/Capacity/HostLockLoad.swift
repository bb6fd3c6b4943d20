public import CostFit
internal import KVMTypes
internal import Stage2Model
public import Stage2Replay

/// What one recorded VM asks of EL2's host lock (`host_mmu.lock`), which is one for the whole machine: share, unshare,
/// donate and reclaim hold it, and so does each page that refills a memory cache at EL2. What only changes rights and
/// access flags (`relax_perms`, `wrprotect`, `test_clear_young`, `mkyoung`) takes the guest's own lock.
public struct HostLockLoad: Sendable, Encodable {
  /// The recording.
  public let recording: String
  /// Its position, and the VM's number in it.
  public let input: Int
  /// The VM's number in it.
  public let vm: Int
  /// Its vCPUs.
  public let vcpus: Int
  /// How often the lock is taken in the VM's time.
  public let acquisitions: Int
  /// The VM's time: from its appearance until a vCPU of it ran last.
  public let spanNs: UInt64
  /// What the costs say that EL2's work of these calls takes, the least time under the lock.
  public let heldLeastNs: Double
  /// What they say that the whole calls of the host take, of which the lock is a part: the most.
  public let heldMostNs: Double

  /// What `vm` asks for, nil for a VM without such calls or without time.
  public init?(_ recording: String, input: Int, _ vm: VMResult, _ costs: CostModel) {
    let span = vm.lastSeen.rawValue - min(vm.since.rawValue, vm.lastSeen.rawValue)
    let calls = Hypercall.allCases.filter(Self.countsOperations).reduce(0) { $0 + (vm.hypercalls?[$1] ?? 0) }
    let kinds = [OperationKind.map, .unmap]
    let work = kinds.compactMap { vm.work[$0] }.reduce(Stage2Work(), +)
    guard span > 0, calls > 0 else { return nil }
    self.recording = recording
    self.input = input
    self.vm = vm.id
    vcpus = max(vm.vcpus.count, 1)
    acquisitions = calls + work.memcachePages
    spanNs = span
    var inside = work
    // The way to EL2 and the search of the host's tree are outside.
    inside.hypercalls = 0
    inside.treeNodes = 0
    heldLeastNs = Double(costs.time(of: inside).rawValue)
    heldMostNs = kinds.reduce(Double(costs.time(of: work).rawValue)) { sum, kind in
      sum + Double(costs.constant(of: kind.name).rawValue) * Double(vm.operations[kind]?.count ?? 0)
    }
  }

  /// Calls that the life of a mapping takes; those of a VM's own beginning and end are few.
  private static func countsOperations(_ hypercall: Hypercall) -> Bool {
    switch hypercall {
    case .initVM, .initVCPU, .finalizeTeardownVM, .teardownVM: false
    default: hypercall.locks.contains(.host)
    }
  }
}
