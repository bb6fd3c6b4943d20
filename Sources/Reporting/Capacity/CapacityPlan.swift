internal import KVMTypes
public import Stage2Model

/// The memory that a host must set aside for a plan, as the range that the recordings and the assumptions leave.
public struct CapacityPlan: Sendable, Encodable {
  /// One case: which part of the memory is touched, and how the host backs it.
  public struct Case: Sendable, Encodable {
    /// What distinguishes it.
    public let name: String
    /// The share of a VM's memory that is touched, and the share of that which is mapped by blocks.
    public let touchedShare: Double
    /// The share of the touched memory that blocks map.
    public let blockShare: Double
    /// What one VM needs.
    public let vm: CapacityNeed
    /// What one VM needs in all, for each GiB of its memory.
    public let vmTotalBytes: UInt64
    /// What one VM needs for each GiB of its memory.
    public let bytesPerGiB: UInt64
    /// What all of them need.
    public let allVMsBytes: UInt64
  }

  /// The version of this layout.
  public let schemaVersion = 1
  /// The program.
  public let tool = "pkvm-replay"
  /// What is planned.
  public let vms: Int
  /// The memory of each VM.
  public let memoryBytes: UInt64
  /// The vCPUs of each VM.
  public let vcpus: Int
  /// The name of the host's profile.
  public let profile: String
  /// From the least to the most.
  public let cases: [Case]
  /// `hyp_vmemmap`: EL2's word for each page of the host's memory, of which the VMs' is a part. Nothing without pKVM.
  public let hypVMemmapBytes: UInt64
  /// The share of the time in which a VM's lock is held to write, nil where no recording tells.
  public let lockLeast: Double?
  /// The highest of those shares.
  public let lockMost: Double?
  /// What the figures rest on.
  public let assumptions: [String]

  /// The plan for `request`, with what the recordings show.
  public init(
    _ request: CapacityRequest, _ observations: [WorkloadObservation]
  ) throws(Stage2Geometry.Failure) {
    vms = request.vms
    memoryBytes = request.memoryBytes
    vcpus = request.vcpus
    profile = request.profile.name
    let touched = observations.filter { $0.slotPages > 0 }.map {
      min(Double($0.touchedPages) / Double($0.slotPages), 1)
    }
    let shares = observations.compactMap(\.blockShare)
    var cases: [Case] = []
    func add(_ name: String, touched: Double, blocks: Double) throws(Stage2Geometry.Failure) {
      let bytes = UInt64((touched * Double(request.memoryBytes)).rounded(.up))
      let need = try CapacityNeed(
        request.profile, touchedBytes: bytes, blockShare: blocks, vcpus: request.vcpus)
      cases.append(
        Case(
          name: name, touchedShare: touched, blockShare: blocks, vm: need, vmTotalBytes: need.totalBytes,
          bytesPerGiB: UInt64(Double(need.totalBytes) / Double(request.memoryBytes) * Double(1 << 30)),
          allVMsBytes: need.totalBytes * UInt64(request.vms)))
    }
    if let least = touched.min(), let most = shares.max() {
      try add("least recorded", touched: least, blocks: most)
    }
    try add("all touched, all blocks", touched: 1, blocks: 1)
    if !shares.isEmpty {
      try add("all touched, mean mix", touched: 1, blocks: shares.reduce(0, +) / Double(shares.count))
    }
    try add("all touched, all pages", touched: 1, blocks: 0)
    self.cases = cases.sorted { $0.vmTotalBytes < $1.vmTotalBytes }
    hypVMemmapBytes =
      request.profile.isPKVM
      ? (UInt64(request.vms) * request.memoryBytes >> request.profile.pageSize.shift) * 8 : 0
    let lock = observations.compactMap { observation in
      observation.writeHeldShare.map { $0 / Double(observation.vcpus) * Double(request.vcpus) }
    }
    lockLeast = lock.min()
    lockMost = lock.max()
    assumptions = Self.assumptions(request, observations, hasLock: !lock.isEmpty)
  }

  private static func assumptions(
    _ request: CapacityRequest, _ observations: [WorkloadObservation], hasLock: Bool
  ) -> [String] {
    var lines = [
      "a VM's memory is contiguous and aligned; sparse memory needs more tables",
      "\(request.profile.bytesPerNode) bytes for each mapping (a kmalloc-64 object; 72 with the slab's memcg extension)",
      "vCPUs hold their memory caches as after their first faults",
    ]
    if !request.profile.isPKVM { lines[1] = "no object for each mapping on the traditional path" }
    if request.profile.isPKVM {
      lines.append(
        "hyp_vmemmap covers all of the host's memory: what is shown is the part of the VMs' memory")
    }
    if !request.profile.mapsBlocks {
      lines.append("\(request.profile.name) maps no blocks: every mix is pages")
    }
    if hasLock {
      lines.append(
        "a VM's lock is held in proportion to its vCPUs, as long as the recordings' hosts held it; where they were emulated, so is this"
      )
    } else {
      lines.append("no recording tells how long the lock is held")
    }
    if observations.isEmpty { lines.append("no recording: mixes are bounds alone") }
    return lines
  }
}
