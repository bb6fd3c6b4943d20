internal import KVMTypes
public import Stage2Model

/// The host memory that the stage 2 of one VM occupies once the guest has touched what it will, in bytes.
public struct CapacityNeed: Hashable, Sendable, Encodable {
  /// `struct pkvm_mapping` objects.
  public var mappingTreeBytes: UInt64
  /// Tables below the PGD.
  public var tableBytes: UInt64
  /// The PGD.
  public var pgdBytes: UInt64
  /// Spare pages in the caches of the vCPUs, of the host and of EL2.
  public var memcacheBytes: UInt64
  /// EL2's structures of the VM and its vCPUs.
  public var hypBytes: UInt64

  /// All of it.
  public var totalBytes: UInt64 { mappingTreeBytes + tableBytes + pgdBytes + memcacheBytes + hypBytes }

  /// The need of a VM with nothing mapped: what it has whatever the guest touches.
  init(_ overhead: VMOverhead) {
    mappingTreeBytes = 0
    tableBytes = 0
    pgdBytes = overhead.pgdBytes
    memcacheBytes = overhead.memcacheBytes
    hypBytes = overhead.hypBytes
  }

  /// The need of a VM whose memory is contiguous and begins at a multiple of what a level-1 entry maps, as VMMs lay it
  /// out.
  ///
  /// - Parameters:
  ///   - touchedBytes: guest memory that is mapped.
  ///   - blockShare: the share of it that the host backs with huge pages, 0 to 1. A protected guest has pages alone: each
  ///     of its faults donates one.
  ///
  /// The formulas are those of the tables themselves: one level-3 table for each region that is mapped by pages, one
  /// table above for each stretch that has any entry (`Stage2PageTable`, which the tests hold them against).
  public init(
    _ profile: Profile, touchedBytes: UInt64, blockShare: Double, vcpus: Int, isProtected: Bool = false
  ) throws(Stage2Geometry.Failure) {
    self.init(
      try VMOverhead(profile, vcpus: vcpus, isProtected: isProtected), touchedBytes: touchedBytes,
      blockShare: blockShare)
  }

  /// The same on top of what the VM has anyhow.
  init(_ overhead: VMOverhead, touchedBytes: UInt64, blockShare: Double) {
    self.init(overhead)
    let profile = overhead.profile
    let pageSize = profile.pageSize
    let regions = Self.quotient(touchedBytes, pageSize.pmdBytes)
    let blocks = overhead.mapsBlocks ? UInt64((blockShare * Double(regions)).rounded(.down)) : 0
    let pageRegions = regions - min(blocks, regions)
    // The last region may be one of which the memory has a part.
    let inPages = touchedBytes - min(blocks * pageSize.pmdBytes, touchedBytes)
    let mappings = blocks + Self.quotient(inPages, pageSize.bytes)
    mappingTreeBytes = profile.isPKVM ? mappings * UInt64(profile.bytesPerNode) : 0
    tableBytes = (pageRegions + overhead.upperTables(touchedBytes)) << pageSize.shift
  }

  /// The need of a VM all of whose memory the host backs with pages of PUD_SIZE: a block of that size needs no table below the
  /// one that it is in. What is left of the memory is in blocks of PMD_SIZE.
  init(_ overhead: VMOverhead, pudsOf touchedBytes: UInt64) {
    self.init(overhead, touchedBytes: touchedBytes, blockShare: 1)
    let pageSize = overhead.profile.pageSize
    tableBytes -= (touchedBytes / pageSize.granule(.l1)) << pageSize.shift
  }

  /// Further mappings and tables.
  mutating func add(_ more: (mappings: UInt64, tables: UInt64), _ profile: Profile) {
    if profile.isPKVM { mappingTreeBytes += more.mappings * UInt64(profile.bytesPerNode) }
    tableBytes += more.tables << profile.pageSize.shift
  }

  /// The greater of each figure.
  func most(_ other: CapacityNeed) -> CapacityNeed {
    var most = self
    most.mappingTreeBytes = max(mappingTreeBytes, other.mappingTreeBytes)
    most.tableBytes = max(tableBytes, other.tableBytes)
    most.pgdBytes = max(pgdBytes, other.pgdBytes)
    most.memcacheBytes = max(memcacheBytes, other.memcacheBytes)
    most.hypBytes = max(hypBytes, other.hypBytes)
    return most
  }

  static func quotient(_ bytes: UInt64, _ unit: UInt64) -> UInt64 { (bytes + unit - 1) / unit }
}

/// What one VM of a kind occupies whatever its guest touches, in bytes.
struct VMOverhead: Sendable {
  let profile: Profile
  let geometry: Stage2Geometry
  let vcpus: Int
  /// Whether faults may map blocks for such a VM.
  let mapsBlocks: Bool
  /// Whether they may map blocks of PUD_SIZE.
  var mapsPUDBlocks: Bool { mapsBlocks && profile.mapsPUDBlocks }
  /// The PGD.
  let pgdBytes: UInt64
  /// What the vCPUs hold ready.
  let memcacheBytes: UInt64
  /// EL2's structures.
  let hypBytes: UInt64
  /// What such a host counts as SecPageTables.
  let secPageTables: SecPageTablesRule

  /// The model's own figures, in the steady state: after some faults of each vCPU.
  init(_ profile: Profile, vcpus: Int, isProtected: Bool) throws(Stage2Geometry.Failure) {
    // Older kernels have no protected guests; what was one is an ordinary one there.
    let isProtected = isProtected && profile.isPKVM && profile.era.supportsProtectedGuests
    geometry = try profile.geometry()
    self.profile = profile
    self.vcpus = vcpus
    mapsBlocks = profile.mapsBlocks && !isProtected
    pgdBytes = geometry.pgdBytes
    let memory: MemoryAccounting
    if profile.isPKVM {
      var configuration = PKVMConfiguration(
        geometry: geometry, era: profile.era, isProtected: isProtected)
      configuration.features = profile.features
      var backend = PKVMStage2(configuration)
      Self.warmUp(&backend, profile, geometry, vcpus: vcpus)
      memory = backend.memory
    } else {
      var backend = TraditionalStage2(geometry: geometry, features: profile.features)
      Self.warmUp(&backend, profile, geometry, vcpus: vcpus)
      memory = backend.memory
    }
    func bytes(_ uses: [PageUse]) -> UInt64 {
      UInt64(uses.reduce(0) { $0 + memory.pages($1).live }) << profile.pageSize.shift
    }
    memcacheBytes = bytes([.hostMemcache, .hypMemcache])
    hypBytes = bytes([.hypVM, .hypVCPU])
    secPageTables = memory.secPageTablesRule
  }

  private static func warmUp<Backend: Stage2Backend & ~Copyable>(
    _ backend: inout Backend, _ profile: Profile, _ geometry: Stage2Geometry, vcpus: Int
  ) {
    let faultsToSteadyState = 8
    for fault in 0..<vcpus * faultsToSteadyState {
      let vcpu = VCPUIndex(fault / faultsToSteadyState)
      backend.topUpMemcache(vcpu: vcpu, pages: geometry.minPages)
      _ = backend.map(
        IPA(UInt64(fault) << profile.pageSize.shift), size: profile.pageSize.bytes, pfn: nil,
        prot: [.read, .write, .execute], vcpu: vcpu)
    }
  }

  /// How many bytes less and more the PGD may have than the profile says, where it may have so many pages.
  func pgdMargins(_ pages: ClosedRange<Int>?) -> (less: UInt64, more: UInt64) {
    guard let pages else { return (0, 0) }
    let shift = profile.pageSize.shift
    let (least, most) = (UInt64(pages.lowerBound) << shift, UInt64(pages.upperBound) << shift)
    return (pgdBytes - min(least, pgdBytes), max(most, pgdBytes) - pgdBytes)
  }

  /// Tables between the PGD and level 3 for `bytes` of contiguous memory that are mapped.
  func upperTables(_ bytes: UInt64) -> UInt64 {
    var tables: UInt64 = 0
    var level = TranslationLevel.l2
    while level > geometry.startLevel {
      let above = TranslationLevel(level.rawValue - 1)
      tables += CapacityNeed.quotient(bytes, profile.pageSize.granule(above))
      level = above
    }
    return tables
  }
}

extension Profile {
  /// Whether blocks of PUD_SIZE are mapped where the host has such pages: with 4 KiB pages (`KVM_PGTABLE_MIN_BLOCK_LEVEL`),
  /// and not under pKVM.
  var mapsPUDBlocks: Bool { mapsBlocks && !isPKVM && pageSize == .size4K }
}
