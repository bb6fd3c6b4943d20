internal import KVMTypes
public import Stage2Model
public import Stage2Replay

/// What is planned: so many VMs of one kind on one host.
public struct CapacityRequest: Hashable, Sendable {
  /// How many VMs.
  public var vms: Int
  /// The memory of each, in bytes.
  public var memoryBytes: UInt64
  /// The vCPUs of each.
  public var vcpus: Int
  /// The host.
  public var profile: Profile

  /// A plan.
  public init(vms: Int, memoryBytes: UInt64, vcpus: Int, profile: Profile) {
    self.vms = vms
    self.memoryBytes = memoryBytes
    self.vcpus = vcpus
    self.profile = profile
  }
}

/// What a recording tells a planner.
public struct WorkloadObservation: Hashable, Sendable {
  /// The recording.
  public var name: String
  /// Pages of the host's size in the slots of the busiest VM, and those that faults showed in use.
  public var slotPages: UInt64
  /// Those of them that faults showed in use.
  public var touchedPages: UInt64
  /// The share of the touched pages that blocks mapped, 0 to 1; nil where nothing was touched.
  public var blockShare: Double?
  /// The vCPUs of that VM.
  public var vcpus: Int
  /// The share of the time in which its lock was held to write, where that was recorded.
  public var writeHeldShare: Double?

  /// What `result` tells, nil for a recording without a VM that touched memory.
  public init?(_ name: String, _ result: ReplayResult, spanNs: UInt64) {
    guard let vm = result.vms.max(by: { $0.workingSet.pages < $1.workingSet.pages }), vm.workingSet.pages > 0
    else { return nil }
    self.name = name
    slotPages = vm.slots.reduce(0) { $0 + $1.pages }
    touchedPages = UInt64(vm.workingSet.pages)
    blockShare = Double(vm.workingSet.blockPages) / Double(vm.workingSet.pages)
    vcpus = max(vm.vcpus.count, 1)
    writeHeldShare = vm.lock?.writeHold.flatMap { held in
      spanNs > 0 ? Double(held.total.rawValue) / Double(spanNs) : nil
    }
  }
}
