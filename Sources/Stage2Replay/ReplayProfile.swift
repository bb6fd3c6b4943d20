internal import KVMTrace
public import KVMTypes
public import Stage2Model

/// What a user says about the kernel to model; what stays nil is read off the trace.
public struct ProfileRequest: Hashable, Sendable {
  /// The whole profile. Its page size must be the trace's.
  public var profile: Profile?
  /// Whether the host runs pKVM.
  public var isPKVM: Bool?
  /// The bits of guest physical addresses, 32 to 52.
  public var ipaBits: Int?
  /// Whether the CPU sets access flags itself.
  public var hasHardwareAccessFlag: Bool?

  /// Everything is left to the trace.
  public init() {}
}

/// The profile that a trace is replayed under, and how each of its fields is known.
public struct ReplayProfile: Hashable, Sendable {
  /// The profile.
  public let profile: Profile
  /// How a field is known, by the name that `Profile.fields` gives it. A field that is not here is the built-in
  /// profile's, which is an assumption about the host.
  public let basis: [String: Basis]
  let geometry: Stage2Geometry
  /// Whether the bits of an IPA are a guess: the start level of the table leaves several sizes.
  let isIPASizeGuessed: Bool
  /// Whether the type that a VM is created with sets the size of its table. It does not on a host in protected mode, where
  /// all VMs have the host's limit (`kvm_init_ipa_range`), also before 6.14 when their tables were traditional ones.
  private let typesSizeTables: Bool

  /// Whether the host runs pKVM: every VM then uses the tree of mappings and EL2's tables.
  public var isPKVM: Bool { profile.isPKVM }
  /// The host's page size.
  public var pageSize: PageSize { profile.pageSize }
  /// The bits of guest physical addresses.
  public var ipaBits: Int { profile.ipaBits }
  /// Whether the CPU sets access flags itself.
  public var hasHardwareAccessFlag: Bool { profile.hasHardwareAF }

  /// Tables below the PGD on the way to a page (`kvm_mmu_cache_min_pages`).
  var minPages: Int { geometry.minPages }
  /// The bytes that one call of a range operation covers at most (`__stage2_range_addr_end`).
  var chunkBytes: UInt64 { geometry.chunkBytes }

  /// Completes `request` with what the trace showed.
  init(_ request: ProfileRequest, survey: TraceSurvey, kernel: KernelRelease?, pageSize: PageSize) {
    var basis: [String: Basis] = ["pageSize": .recorded]
    if let given = request.profile {
      profile = given
      typesSizeTables = !given.isPKVM
      for field in Profile.fields where field.name != "pageSize" { basis[field.name] = .assumed }
    } else {
      let (path, pathBasis) = Self.path(request, survey, kernel)
      basis["path"] = pathBasis
      var read = Profile(path: path, era: kernel?.era ?? .v7_3)
      // A kernel older than the oldest era is counted with that one: its traditional path is much the same.
      let isKnownEra = kernel.map { $0 >= KernelRelease(major: 6, minor: 14) } ?? false
      basis["era"] = isKnownEra ? .derived : .assumed
      read.pageSize = pageSize
      read.hasHardwareAF = request.hasHardwareAccessFlag ?? !survey.sawAccessFlagFault
      basis["hardwareAF"] =
        request.hasHardwareAccessFlag == nil && survey.sawAccessFlagFault ? .derived : .assumed
      // Without DIC, and only then, a mapping made for data faults again when the guest executes it.
      read.hasDIC = false
      basis["dic"] = survey.sawExecPermissionFault ? .derived : .assumed
      typesSizeTables = path != .pkvm && !Self.contradictsType(survey, pageSize: pageSize)
      let told = Self.ipaBits(told: survey, byType: typesSizeTables)
      read.ipaBits =
        request.ipaBits ?? told ?? Self.ipaBits(survey, pageSize: pageSize, isHostsLimit: !typesSizeTables)
      basis["ipaBits"] = request.ipaBits == nil && told != nil ? .recorded : .assumed
      if path == .pkvm, read.era.supportsProtectedGuests, let type = survey.markers.onlyType {
        read.isProtected = type.isProtected
        basis["protected"] = .recorded
      }
      profile = read
    }
    isIPASizeGuessed = request.profile == nil && request.ipaBits == nil && basis["ipaBits"] == .assumed
    self.basis = basis
    guard let geometry = try? profile.geometry() else {
      preconditionFailure("a profile was not checked with problems()")
    }
    self.geometry = geometry
  }

  private static func path(
    _ request: ProfileRequest, _ survey: TraceSurvey, _ kernel: KernelRelease?
  ) -> (Profile.Path, Basis) {
    if let isPKVM = request.isPKVM { return (isPKVM ? .pkvm : .traditional, .assumed) }
    // Only pKVM creates protected guests, and mapping objects.
    if survey.markers.types.contains(where: \.isProtected) || survey.markers.sawMappings {
      return (.pkvm, .derived)
    }
    // Before 6.14, pKVM left the tables of non-protected guests to the host.
    if let kernel, kernel < KernelRelease(major: 6, minor: 14) { return (.traditional, .derived) }
    // kvm_fault_lock: only pKVM takes a VM's lock for write in a fault.
    if survey.faultWaitsForWrite != survey.faultWaitsForRead {
      return (survey.faultWaitsForWrite > 0 ? .pkvm : .traditional, .derived)
    }
    // pKVM has a mapping object for whatever a vCPU faulted in.
    if survey.markers.mapped.lacksMappings { return (.traditional, .derived) }
    // Faults that overlap and never wait for each other, in a trace that records waits, seldom take the lock for write.
    if survey.sawContention, survey.overlappingFaults > 0 { return (.traditional, .assumed) }
    return (.pkvm, .assumed)
  }

  /// The size of guest physical addresses that the faults suggest.
  ///
  /// The first walk in an empty table stops at its start level, which leaves several sizes, of which those that are
  /// common come first: on a host in protected mode its limit, else what `KVM_CREATE_VM` gives who asks for nothing. But the
  /// first walk may have been one of the guest's own table, whose level is not trusted: then the table may begin above.
  private static func ipaBits(_ survey: TraceSurvey, pageSize: PageSize, isHostsLimit: Bool) -> Int {
    let needed = 64 - survey.highestIPA.leadingZeroBitCount
    let common = isHostsLimit ? [48, 44, 52, 40, 36] : [40, 48, 44, 52, 36]
    let sizes = (common + (survey.sawStage1WalkFault ? [] : Array(32...52))).filter { $0 >= needed }
    func startLevel(_ bits: Int) -> TranslationLevel? {
      (try? Stage2Geometry(pageSize: pageSize, ipaBits: bits))?.startLevel
    }
    guard let lowest = survey.lowestLevel else { return sizes.first ?? 52 }
    return sizes.first { startLevel($0) == lowest }
      ?? sizes.first { startLevel($0).map { $0 <= lowest } ?? false } ?? sizes.first ?? 52
  }

  /// The size of guest physical addresses that probes or markers tell, nil where they do not: under pKVM the host's limit,
  /// else what the VM was created with.
  private static func ipaBits(told survey: TraceSurvey, byType: Bool) -> Int? {
    byType ? ipaBitsOfType(survey) : survey.markers.ipaLimit
  }

  private static func ipaBitsOfType(_ survey: TraceSurvey) -> Int? {
    guard let type = survey.markers.onlyType, !type.isProtected else { return nil }
    let bits = type.ipaBits == 0 ? Stage2Geometry.defaultIPABits : type.ipaBits
    return (Stage2Geometry.minimumIPABits...Stage2Geometry.maximumIPABits).contains(bits) ? bits : nil
  }

  /// Whether a fault's walk stopped above where the table of a VM of the trace's type would begin.
  private static func contradictsType(_ survey: TraceSurvey, pageSize: PageSize) -> Bool {
    guard let bits = ipaBitsOfType(survey), let lowest = survey.lowestLevel,
      let geometry = try? Stage2Geometry(pageSize: pageSize, ipaBits: bits)
    else { return false }
    return lowest < geometry.startLevel
  }

  /// Whether a VM of `type` has the table that is modelled.
  func fits(_ type: VMType) -> Bool {
    !typesSizeTables || (type.ipaBits == 0 ? Stage2Geometry.defaultIPABits : type.ipaBits) == ipaBits
  }

  /// The pages of the PGD of a VM of `type` on the traditional path.
  func pgdPages(of type: VMType) -> Int {
    guard typesSizeTables else { return geometry.pgdPages }
    let geometry = try? Stage2Geometry.forVM(
      type: type.ipaBits, pageSize: pageSize, hostLimit: Stage2Geometry.maximumIPABits, isPKVM: false)
    return geometry?.pgdPages ?? 0
  }

  /// The pages that the PGD may have: any size of IPA with the same start level, where the size is a guess.
  var pgdPages: ClosedRange<Int> {
    guard isIPASizeGuessed else { return geometry.pgdPages...geometry.pgdPages }
    let possible = (Stage2Geometry.minimumIPABits...Stage2Geometry.maximumIPABits)
      .compactMap { try? Stage2Geometry(pageSize: pageSize, ipaBits: $0) }
      .filter { $0.startLevel == geometry.startLevel }.map(\.pgdPages)
    return (possible.min() ?? geometry.pgdPages)...(possible.max() ?? geometry.pgdPages)
  }

  /// Whether a VM is modelled as a protected guest: all are if the profile says so, and those that the trace knows to be
  /// protected, where the modelled kernel can have such guests.
  func modelsProtected(_ isProtected: Bool) -> Bool {
    profile.isProtected || isProtected && isPKVM && profile.era.supportsProtectedGuests
  }

  /// A VM under pKVM, protected or not.
  ///
  /// - Parameter keepsMappingTree: whether the kernel's own tree is kept beside the model's faster index, for its depth and
  ///   the nodes that searches visit.
  func makePKVM(isProtected: Bool, keepsMappingTree: Bool) -> PKVMStage2 {
    var configuration = PKVMConfiguration(
      geometry: geometry, era: profile.era, isProtected: isProtected)
    configuration.features = profile.features
    configuration.bytesPerMapping = profile.bytesPerNode
    configuration.hypercallBatch = profile.hypercallBatch
    configuration.keepsMappingTree = keepsMappingTree
    return PKVMStage2(configuration)
  }

  func makeTraditional() -> TraditionalStage2 {
    TraditionalStage2(geometry: geometry, features: profile.features)
  }
}

/// A kernel's version, as far as it decides an era.
struct KernelRelease: Comparable {
  var major: Int
  var minor: Int

  init(major: Int, minor: Int) {
    self.major = major
    self.minor = minor
  }

  /// Reads "Linux HOST 7.3.4+deb13 aarch64", the words of `uname`; nil for anything else.
  init?(uname: String) {
    let words = uname.split(separator: " ")
    guard words.count >= 3 else { return nil }
    let parts = words[2].split(separator: ".", maxSplits: 2)
    guard parts.count >= 2, let major = Int(parts[0]), let minor = Int(parts[1].prefix(while: \.isNumber))
    else {
      return nil
    }
    self.init(major: major, minor: minor)
  }

  static func < (a: KernelRelease, b: KernelRelease) -> Bool { (a.major, a.minor) < (b.major, b.minor) }

  /// The era of the pKVM code that this kernel has.
  var era: PKVMEra {
    if self >= KernelRelease(major: 7, minor: 3) { return .v7_3 }
    if self >= KernelRelease(major: 7, minor: 2) { return .v7_2 }
    if self >= KernelRelease(major: 7, minor: 1) { return .v7_1 }
    if self >= KernelRelease(major: 6, minor: 19) { return .v6_19 }
    if self == KernelRelease(major: 6, minor: 18) { return .v6_18 }
    if self >= KernelRelease(major: 6, minor: 16) { return .v6_16 }
    return self == KernelRelease(major: 6, minor: 15) ? .v6_15 : .v6_14
  }
}
