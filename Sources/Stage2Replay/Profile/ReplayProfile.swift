internal import KVMTrace
public import KVMTypes
public import Stage2Model

/// The profile that a trace is replayed under, and how each of its fields is known.
public struct ReplayProfile: Hashable, Sendable {
  /// The profile.
  public let profile: Profile
  /// How a field is known. One that is not here is the built-in profile's, which is an assumption about the host.
  public let basis: [ProfileField.ID: Basis]
  /// The release that is modelled as the era nearest to it, as `profiles` does not list it; nil where it does, and where the
  /// era is stated.
  public let unlistedRelease: String?
  let geometry: Stage2Geometry
  /// Whether the bits of an IPA are a guess: the start level of the table leaves several sizes.
  private let isIPASizeGuessed: Bool
  /// Whether the table may also begin above that level, or below it: nothing shows a first walk.
  private let isStartLevelGuessed: Bool
  /// Whether the type that a VM is created with sets the size of its table. It does not on a host in protected mode, where
  /// all VMs have the host's limit (`kvm_init_ipa_range`), also before 6.14 when their tables were traditional ones.
  private let typesSizeTables: Bool

  /// Whether the host runs pKVM: every VM then uses the tree of mappings and EL2's tables.
  public var isPKVM: Bool { profile.isPKVM }
  /// The host's page size.
  public var pageSize: PageSize { profile.pageSize }
  /// The host's page size, and how it is known.
  public var host: HostPageSize { HostPageSize(profile.pageSize, basis[.pageSize] ?? .assumed) }
  /// The bits of guest physical addresses.
  public var ipaBits: Int { profile.ipaBits }
  /// Whether the CPU sets access flags itself.
  public var hasHardwareAccessFlag: Bool { profile.hasHardwareAF }

  /// Tables below the PGD on the way to a page (`kvm_mmu_cache_min_pages`).
  var minPages: Int { geometry.minPages }

  /// Completes `request` with what the trace showed.
  ///
  /// - Parameter machine: the profile of the traced host, for another kernel on the same machine; nil for the traced kernel.
  /// - Throws: a `ProfileProblem` where the two contradict each other.
  init(
    _ request: ProfileRequest, _ trace: ProfileEvidence, on machine: ReplayProfile? = nil
  ) throws(ProfileProblem) {
    var made = try Self.make(request, trace, machine)
    if let problem = made.profile.problems().first { throw problem }
    made.basis[.pageSize] = trace.host.basis
    if made.profile.pageSize != trace.host.pageSize {
      throw ProfileProblem(
        "pageSize", "the trace is of a host with pages of \(trace.host.pageSize.bytes) bytes")
    }
    profile = made.profile
    basis = made.basis
    typesSizeTables = made.typesSizeTables
    unlistedRelease = trace.unlistedRelease(request)
    let isStated = request.profile != nil || request.fields["ipaBits"] != nil
    isIPASizeGuessed = !isStated && made.basis[.ipaBits] == .assumed
    isStartLevelGuessed = isIPASizeGuessed && trace.showsEmptyTable == false
    do {
      geometry = try made.profile.geometry()
    } catch {
      throw ProfileProblem("ipaBits", error.description)
    }
  }

  private typealias Made = (profile: Profile, basis: [ProfileField.ID: Basis], typesSizeTables: Bool)

  private static func make(
    _ request: ProfileRequest, _ trace: ProfileEvidence, _ machine: ReplayProfile?
  ) throws(ProfileProblem) -> Made {
    if let given = request.profile {
      var basis: [ProfileField.ID: Basis] = [:]
      for field in Profile.fields { basis[field.id] = .assumed }
      return (given, basis, !given.isPKVM)
    }
    let kernel = trace.kernel(request)
    var made: Made = (Profile(path: kernel.path, era: kernel.era), [:], false)
    if let machine {
      made.profile = made.profile.on(machine.profile)
      for field in Profile.fields where field.isMachine { made.basis[field.id] = machine.basis[field.id] }
      made.typesSizeTables = machine.typesSizeTables
    } else {
      made.typesSizeTables =
        kernel.path != .pkvm && request.kernel?.isProtectedMode != true && !trace.contradictsType
      trace.readMachine(&made.profile, &made.basis, typesSizeTables: made.typesSizeTables)
    }
    (made.basis[.path], made.basis[.era]) = (kernel.pathBasis, kernel.eraBasis)
    let unchanged = made.profile
    for (field, value) in request.otherFields {
      let known = made.profile[field]
      try made.profile.set(field.rawValue, to: value)
      // What the trace shows, it shows, whoever says the same.
      if made.profile[field] != known { made.basis[field] = .assumed }
    }
    if let name = request.name, kernel.isChanged || made.profile != unchanged { made.profile.name = name }
    return made
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

  /// The pages that the PGD may have: any size of IPA with the same start level, where the size is a guess, and with any where
  /// that is one, too.
  public var pgdPages: ClosedRange<Int> {
    guard isIPASizeGuessed else { return geometry.pgdPages...geometry.pgdPages }
    let possible = (Stage2Geometry.minimumIPABits...Stage2Geometry.maximumIPABits)
      .compactMap { try? Stage2Geometry(pageSize: pageSize, ipaBits: $0) }
      .filter { isStartLevelGuessed || $0.startLevel == geometry.startLevel }.map(\.pgdPages)
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
