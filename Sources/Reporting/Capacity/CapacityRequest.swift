public import KVMTypes
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
  /// How the host's page size is known.
  public var pageSizeBasis = Basis.assumed
  /// How the bits of guest physical addresses are known.
  public var ipaBasis = Basis.assumed
  /// The bits that were assumed before they were found too few for the memory, nil where they were enough.
  public private(set) var ipaBitsTooFew: Int?

  /// A plan.
  public init(vms: Int, memoryBytes: UInt64, vcpus: Int, profile: Profile, pgdPages: ClosedRange<Int>? = nil)
  {
    self.vms = vms
    self.memoryBytes = memoryBytes
    self.vcpus = vcpus
    self.profile = profile
    self.pgdPages = pgdPages
  }
  /// Takes the fewest bits of guest physical addresses that the memory fits into, where those of the profile are too few. For
  /// bits that are an assumption.
  public mutating func growIPA() {
    let bits = profile.ipaBits
    func fits(_ bits: Int) -> Bool {
      (try? Stage2Geometry(pageSize: profile.pageSize, ipaBits: bits)).map { memoryBytes <= $0.ipaLimit }
        ?? false
    }
    guard !fits(bits), bits < Stage2Geometry.maximumIPABits,
      let enough = (bits...Stage2Geometry.maximumIPABits).first(where: fits)
    else { return }
    profile.ipaBits = enough
    ipaBitsTooFew = bits
    pgdPages = nil
  }
}
