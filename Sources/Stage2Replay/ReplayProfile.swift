public import KVMTypes
internal import Stage2Model

/// What a user says about the traced host; nil leaves a field to the trace.
public struct ProfileRequest: Hashable, Sendable {
  /// Whether the host runs pKVM.
  public var isPKVM: Bool?
  /// The bits of guest physical addresses.
  public var ipaBits: Int?
  /// Whether the CPU sets access flags itself.
  public var hasHardwareAccessFlag: Bool?

  /// Everything is left to the trace.
  public init() {}
}

/// The facts about the traced host that the rules and the models need, each with its basis.
public struct ReplayProfile: Hashable, Sendable {
  /// Whether the host runs pKVM: every VM then uses the tree of mappings and EL2's tables.
  public let isPKVM: Bool
  /// The host's page size.
  public let pageSize: PageSize
  /// The bits of guest physical addresses.
  public let ipaBits: Int
  /// Whether the CPU sets access flags itself.
  public let hasHardwareAccessFlag: Bool
  /// How each of these is known, by the name of its field.
  public let basis: [String: Basis]
  let geometry: Stage2Geometry

  /// Tables below the PGD on the way to a page (`kvm_mmu_cache_min_pages`).
  var minPages: Int { geometry.minPages }
  /// The bytes that one call of a range operation covers at most (`__stage2_range_addr_end`).
  var chunkBytes: UInt64 { geometry.chunkBytes }

  /// Completes `request` with what the trace showed.
  init(_ request: ProfileRequest, survey: TraceSurvey, pageSize: PageSize) {
    var basis: [String: Basis] = ["pageSize": .recorded]
    self.pageSize = pageSize

    if let isPKVM = request.isPKVM {
      self.isPKVM = isPKVM
      basis["path"] = .recorded
    } else if survey.faultWaitsForWrite != survey.faultWaitsForRead {
      // kvm_fault_lock: only pKVM takes a VM's lock for write in a fault.
      isPKVM = survey.faultWaitsForWrite > 0
      basis["path"] = .derived
    } else {
      isPKVM = true
      basis["path"] = .assumed
    }

    if let hasHardwareAccessFlag = request.hasHardwareAccessFlag {
      self.hasHardwareAccessFlag = hasHardwareAccessFlag
      basis["hardwareAccessFlag"] = .recorded
    } else {
      hasHardwareAccessFlag = !survey.sawAccessFault
      basis["hardwareAccessFlag"] = survey.sawAccessFault ? .derived : .assumed
    }

    ipaBits = request.ipaBits ?? Self.likelyIPABits(survey, pageSize: pageSize, isPKVM: isPKVM)
    basis["ipaBits"] = request.ipaBits == nil ? .assumed : .recorded
    geometry = (try? Stage2Geometry(pageSize: pageSize, ipaBits: ipaBits)) ?? Self.fallback
    self.basis = basis
  }

  /// The size of guest physical addresses that the faults suggest.
  ///
  /// The first walk in an empty table stops at its start level, which leaves several sizes, of which those that are
  /// common come first: under pKVM the host's limit, else what `KVM_CREATE_VM` gives who asks for nothing. But the
  /// first walk may have been one of the guest's own table, whose level is not trusted: then the table may begin above.
  private static func likelyIPABits(_ survey: TraceSurvey, pageSize: PageSize, isPKVM: Bool) -> Int {
    let needed = 64 - survey.highestIPA.leadingZeroBitCount
    let common = isPKVM ? [48, 44, 52, 40, 36] : [40, 48, 44, 52, 36]
    let sizes = (common + (survey.sawStage1WalkFault ? [] : Array(32...52))).filter { $0 >= needed }
    func startLevel(_ bits: Int) -> TranslationLevel? {
      (try? Stage2Geometry(pageSize: pageSize, ipaBits: bits))?.startLevel
    }
    guard let lowest = survey.lowestLevel else { return sizes.first ?? 52 }
    return sizes.first { startLevel($0) == lowest }
      ?? sizes.first { startLevel($0).map { $0 <= lowest } ?? false } ?? sizes.first ?? 52
  }

  private static let fallback: Stage2Geometry = {
    guard let geometry = try? Stage2Geometry(pageSize: .size4K, ipaBits: 48) else {
      preconditionFailure("48 bits with 4 KiB pages are a geometry")
    }
    return geometry
  }()

  func makePKVM() -> PKVMStage2 {
    var configuration = PKVMConfiguration(geometry: geometry)
    configuration.keepsMappingTree = false
    return PKVMStage2(configuration)
  }

  func makeTraditional() -> TraditionalStage2 { TraditionalStage2(geometry: geometry) }
}
