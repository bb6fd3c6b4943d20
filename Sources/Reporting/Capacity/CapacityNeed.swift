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

  /// The need of a VM whose memory is contiguous and begins at a multiple of what a level-1 entry maps, as VMMs lay it
  /// out.
  ///
  /// - Parameters:
  ///   - touchedBytes: guest memory that is mapped.
  ///   - blockShare: the share of it that the host backs with huge pages, 0 to 1.
  ///
  /// The formulas are those of the tables themselves: one level-3 table for each region that is mapped by pages, one
  /// table above for each stretch that has any entry (`Stage2PageTable`, which the tests hold them against).
  public init(
    _ profile: Profile, touchedBytes: UInt64, blockShare: Double, vcpus: Int
  ) throws(Stage2Geometry.Failure) {
    let geometry = try profile.geometry()
    let pageSize = profile.pageSize
    let regions = Self.quotient(touchedBytes, pageSize.pmdBytes)
    let blocks = profile.mapsBlocks ? UInt64((blockShare * Double(regions)).rounded(.down)) : 0
    let pageRegions = regions - min(blocks, regions)
    let mappings = blocks + pageRegions * pageSize.pagesPerPMD
    mappingTreeBytes = profile.isPKVM ? mappings * UInt64(profile.bytesPerNode) : 0

    var tables = pageRegions
    var level = TranslationLevel.l2
    while level > geometry.startLevel {
      tables += Self.quotient(touchedBytes, pageSize.granule(TranslationLevel(level.rawValue - 1)))
      level = TranslationLevel(level.rawValue - 1)
    }
    tableBytes = tables << pageSize.shift
    pgdBytes = geometry.pgdBytes
    let structures = Self.structures(profile, geometry, vcpus: vcpus)
    memcacheBytes = structures.memcachePages << pageSize.shift
    hypBytes = structures.hypPages << pageSize.shift
  }

  private static func quotient(_ bytes: UInt64, _ unit: UInt64) -> UInt64 { (bytes + unit - 1) / unit }

  /// What a VM's vCPUs hold ready, and EL2's structures, in the steady state: the model's own, after some faults of each
  /// vCPU.
  private static func structures(
    _ profile: Profile, _ geometry: Stage2Geometry, vcpus: Int
  ) -> (memcachePages: UInt64, hypPages: UInt64) {
    let faultsToSteadyState = 8
    func pages<Backend: Stage2Backend & ~Copyable>(
      _ backend: inout Backend, _ memory: (borrowing Backend) -> MemoryAccounting
    ) -> (UInt64, UInt64) {
      for vcpu in 0..<vcpus {
        for fault in 0..<faultsToSteadyState {
          let page = UInt64(vcpu * faultsToSteadyState + fault) << profile.pageSize.shift
          backend.topUpMemcache(vcpu: VCPUIndex(vcpu), pages: geometry.minPages)
          _ = backend.map(
            IPA(page), size: profile.pageSize.bytes, pfn: nil, prot: [.read, .write], vcpu: VCPUIndex(vcpu))
        }
      }
      let use = memory(backend)
      return (
        UInt64(use.pages(.hostMemcache).live + use.pages(.hypMemcache).live),
        UInt64(use.pages(.hypVM).live + use.pages(.hypVCPU).live)
      )
    }
    if profile.isPKVM {
      var configuration = PKVMConfiguration(geometry: geometry, era: profile.era, isProtected: false)
      configuration.features = profile.features
      var backend = PKVMStage2(configuration)
      return pages(&backend) { $0.memory }
    }
    var backend = TraditionalStage2(geometry: geometry, features: profile.features)
    return pages(&backend) { $0.memory }
  }
}
