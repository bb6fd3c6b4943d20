public import Stage2Model

/// What is planned: so many VMs of one kind on one host.
public struct CapacityRequest: Hashable, Sendable {
  /// How many VMs.
  public var vms: Int
  /// The RAM of each, in bytes.
  public var memoryBytes: UInt64
  /// The vCPUs of each.
  public var vcpus: Int
  /// The host.
  public var profile: Profile

  /// The pages that the PGD of a VM may have, where the size of guest physical addresses is a guess; nil where it is the
  /// profile's.
  public var pgdPages: ClosedRange<Int>?

  /// A plan.
  public init(vms: Int, memoryBytes: UInt64, vcpus: Int, profile: Profile, pgdPages: ClosedRange<Int>? = nil)
  {
    self.vms = vms
    self.memoryBytes = memoryBytes
    self.vcpus = vcpus
    self.profile = profile
    self.pgdPages = pgdPages
  }
}
