public import KVMTypes
public import Stage2Model

/// The memory that a host must set aside for a plan, as the range that the recordings and the assumptions leave, and the
/// locks that its VMs hold.
public struct CapacityPlan: Sendable, Encodable {
  /// One case: which part of the memory is touched, and how the host backs it.
  public struct Case: Sendable, Encodable {
    /// What distinguishes it.
    public let name: String
    /// Whether the VMs are protected guests.
    public let isProtected: Bool
    /// The recording of the VM that it is taken from, nil for a bound or a mean.
    public let recording: String?
    /// The recording's position.
    public let input: Int?
    /// The number of that VM in it.
    public let vm: Int?
    /// The share of a VM's memory that is touched, of a recorded case that of its VM; nil for a mean.
    public let touchedShare: Double?
    /// The share of the touched memory that blocks map, of a recorded case that of its VM; nil for a mean, and where nothing is
    /// touched.
    public let blockShare: Double?
    /// What one VM needs.
    public let need: CapacityNeed
    /// What one VM needs in all.
    public let vmTotalBytes: UInt64
    /// What one VM needs for each GiB of its memory.
    public let bytesPerGiB: UInt64
    /// What all of them need.
    public let allVMsBytes: UInt64
    /// How that is known, as the weakest of what it consists of: mappings and tables are modelled, the rest is assumed, or by what the page
    /// size and the bits of an IPA are.
    public let basis: Basis

    private enum CodingKeys: String, CodingKey {
      case name, isProtected = "protected", recording, input, vm = "recordedVM", touchedShare, blockShare
      case need = "vm", vmTotalBytes, bytesPerGiB, allVMsBytes, basis
    }
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
  /// The host's page size.
  public let pageSizeBytes: UInt64
  /// How it is known.
  public let pageSizeBasis: Basis
  /// The bits of guest physical addresses.
  public let ipaBits: Int
  /// How they are known.
  public let ipaBasis: Basis
  /// From the least to the most.
  public let cases: [Case]
  /// What the recordings have of VMs that are not protected, and of protected ones.
  public let groups: [CapacityGroup]
  /// Every VM of every recording.
  public let samples: [VMSample]
  /// `hyp_vmemmap`: EL2's word for each page of the host's memory, of which the VMs' is a part. Nothing without pKVM.
  public let hypVMemmapBytes: UInt64
  /// How they are known.
  public let hypVMemmapBasis = Basis.modelled
  /// The share of the time of its recorded sections, as simulated, in which a VM's lock is held to write; nil where no
  /// recording tells.
  public let lockLeast: Double?
  /// The highest of those shares.
  public let lockMost: Double?
  /// The lock of each recorded VM, with the planned vCPUs.
  public let mmuLock: [MMULockUse]
  /// EL2's host lock, nil without pKVM and where no recording tells.
  public let hostLock: HostLockPlan?
  /// What the figures rest on.
  public let assumptions: [String]
  /// What a reader must know of the recordings, a sentence each.
  public var notes: [String] = []

  /// The plan for `request`, with what the recordings show.
  public init(
    _ request: CapacityRequest, _ samples: [VMSample], mmuLock: [MMULockUse] = [],
    hostLock: HostLockPlan? = nil
  ) throws(Stage2Geometry.Failure) {
    vms = request.vms
    memoryBytes = request.memoryBytes
    vcpus = request.vcpus
    profile = request.profile.name
    pageSizeBytes = request.profile.pageSize.bytes
    pageSizeBasis = request.pageSizeBasis
    ipaBits = request.profile.ipaBits
    ipaBasis = request.ipaBasis
    self.samples = samples
    self.mmuLock = mmuLock
    self.hostLock = hostLock
    var cases: [Case] = []
    var groups: [CapacityGroup] = []
    let recorded = Set(samples.map(\.isProtected))
    for isProtected in [false, true]
    where recorded.contains(isProtected) || recorded.isEmpty && isProtected == request.profile.isProtected {
      let overhead = try VMOverhead(request.profile, vcpus: request.vcpus, isProtected: isProtected)
      let needs = samples.filter { $0.isProtected == isProtected }.map {
        SampleNeed($0, overhead, memoryBytes: request.memoryBytes)
      }
      let builder = CaseBuilder(request, overhead, isProtected: isProtected)
      cases += builder.recorded(needs) + builder.bounds(needs)
      groups.append(
        CapacityGroup(needs, overhead, request, isProtected: isProtected))
    }
    self.cases = cases.sorted { $0.vmTotalBytes < $1.vmTotalBytes }
    self.groups = groups
    hypVMemmapBytes =
      request.profile.isPKVM
      ? (UInt64(request.vms) * request.memoryBytes >> request.profile.pageSize.shift) * 8 : 0
    lockLeast = mmuLock.compactMap(\.writeUtilisation).min()
    lockMost = mmuLock.compactMap(\.writeUtilisation).max()
    assumptions = CapacityAssumptions(request, samples, mmuLock, hostLock).lines
  }
}

/// Makes the cases of a plan for VMs that are all protected, or all not.
private struct CaseBuilder {
  let request: CapacityRequest
  let overhead: VMOverhead
  let isProtected: Bool

  init(_ request: CapacityRequest, _ overhead: VMOverhead, isProtected: Bool) {
    self.request = request
    self.overhead = overhead
    self.isProtected = isProtected
  }

  private func item(
    _ name: String, _ need: CapacityNeed, _ sample: VMSample? = nil, touched: Double?, blocks: Double?
  ) -> CapacityPlan.Case {
    let total = need.totalBytes
    return CapacityPlan.Case(
      name: name, isProtected: isProtected, recording: sample?.recording, input: sample?.input,
      vm: sample?.vm, touchedShare: touched, blockShare: blocks, need: need, vmTotalBytes: total,
      bytesPerGiB: UInt64(Double(total) / Double(request.memoryBytes) * Double(1 << 30)),
      allVMsBytes: total.multipliedSaturated(by: UInt64(request.vms)),
      basis: need.mappingTreeBytes + need.tableBytes > 0
        ? .modelled : max(.assumed, request.pageSizeBasis, request.ipaBasis))
  }

  /// VMs that touch as much as the recorded ones: those of the planned kind, where there are any. Of the others only the share of
  /// RAM that they touched is known to hold.
  func recorded(_ all: [SampleNeed]) -> [CapacityPlan.Case] {
    let planned = all.filter(\.isOfPlannedKind)
    let needs = planned.isEmpty ? all : planned
    guard let least = needs.min(by: { $0.least.totalBytes < $1.least.totalBytes }),
      let most = needs.max(by: { $0.most.totalBytes < $1.most.totalBytes })
    else { return [] }
    let sorted = needs.sorted { $0.middle.totalBytes < $1.middle.totalBytes }
    let median = sorted[(sorted.count - 1) / 2]
    func own(_ name: String, _ need: SampleNeed, _ value: CapacityNeed) -> CapacityPlan.Case {
      item(name, value, need.sample, touched: need.sample.touchedShare, blocks: need.sample.blockShare)
    }
    return [
      own("least recorded", least, least.least), own("median recorded", median, median.middle),
      item("mean recorded", Self.mean(needs.map(\.middle), overhead), touched: nil, blocks: nil),
      own("most recorded", most, most.most),
    ]
  }

  /// What is possible if nothing is touched, and if everything is. They have the spare pages of the samples where these
  /// make them wider, and the least and the most PGD where its size is a guess, so each other case and each prediction lies
  /// between the first and the last.
  func bounds(_ needs: [SampleNeed]) -> [CapacityPlan.Case] {
    let pgd = overhead.pgdMargins(request.pgdPages)
    var nothing = CapacityNeed(overhead)
    nothing.pgdBytes -= pgd.less
    var cases = [item("nothing touched", nothing, touched: 0, blocks: nil)]
    if overhead.mapsPUDBlocks {
      let puds = CapacityNeed(overhead, pudsOf: request.memoryBytes)
      cases.append(item("all touched, 1 GiB blocks", puds, touched: 1, blocks: 1))
    }
    let blocks = CapacityNeed(overhead, touchedBytes: request.memoryBytes, blockShare: 1)
    if overhead.mapsBlocks { cases.append(item("all touched, all blocks", blocks, touched: 1, blocks: 1)) }
    // A VM that gave memory back had fewer mappings at a time than blocks of all that it touched.
    let mixes = needs.compactMap {
      SampleNeed.allTouched($0.sample, overhead, memoryBytes: request.memoryBytes)?.most(blocks)
    }
    if overhead.mapsBlocks, !mixes.isEmpty {
      cases.append(
        item("all touched, mean mix", Self.mean(mixes, overhead), touched: 1, blocks: nil))
    }
    var pages = SampleNeed.everything(needs, overhead, memoryBytes: request.memoryBytes)
    pages.pgdBytes += pgd.more
    return cases + [item("all touched, all pages", pages, touched: 1, blocks: 0)]
  }

  private static func mean(_ needs: [CapacityNeed], _ overhead: VMOverhead) -> CapacityNeed {
    var mean = CapacityNeed(overhead)
    func average(_ figure: (CapacityNeed) -> UInt64) -> UInt64 {
      UInt64((needs.reduce(0) { $0 + Double(figure($1)) } / Double(needs.count)).rounded())
    }
    mean.mappingTreeBytes = average(\.mappingTreeBytes)
    mean.tableBytes = average(\.tableBytes)
    mean.memcacheBytes = average(\.memcacheBytes)
    return mean
  }
}
