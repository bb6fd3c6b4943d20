internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

/// What a trace says of the kernel that made it and of the machine that it ran on.
struct ProfileEvidence {
  /// What the first pass found.
  let survey: TraceSurvey
  /// The traced kernel, nil where the trace does not say.
  let kernel: KernelRelease?
  /// The host's page size.
  let host: HostPageSize
  /// Whether a VM is created in the trace, so that its first walk stops where the table begins; nil where nothing tells.
  let showsEmptyTable: Bool?

  /// The kernel to model, and how it is known.
  struct Kernel {
    var path: Profile.Path
    var pathBasis: Basis
    var era: PKVMEra
    var eraBasis: Basis
    /// Whether single fields make it another one than its name says.
    var isChanged: Bool
  }

  /// The kernel that a request means, on this host. What the trace shows stays as certain as the trace makes it.
  func kernel(_ request: ProfileRequest) -> Kernel {
    let (traced, tracedBasis) = path
    let named = request.kernel.map { $0.path(isProtectedMode: isProtectedMode(under: $0, traced)) } ?? traced
    let path = request.path ?? named
    let isWordOfUser = request.path != nil || request.kernel?.isProtectedMode != nil
    // Whether the host is in protected mode decides about the path of kernels that keep tables alike.
    let isAlike = (request.kernel?.hasPKVMTables ?? hasPKVMTables) == hasPKVMTables
    let pathBasis = path == traced && (isWordOfUser || isAlike) ? tracedBasis : .assumed

    let tracedEra = kernel?.era ?? .v7_3
    let era = request.era ?? tracedEra
    let isKnownEra = kernel?.isEraKnown ?? false && unlistedRelease(request) == nil
    let isChanged = path != named || era != request.kernel?.era ?? tracedEra
    return Kernel(
      path: path, pathBasis: pathBasis, era: era,
      eraBasis: era == tracedEra && isKnownEra ? .derived : .assumed, isChanged: isChanged)
  }

  /// The release that a request means, where nothing is known of its era.
  func unlistedRelease(_ request: ProfileRequest) -> String? {
    guard request.profile == nil, request.fields["era"] == nil,
      let release = request.kernel.map(\.release) ?? kernel, !KernelRelease.known.contains(release)
    else { return nil }
    return release.name
  }

  /// Whether the traced kernel's pKVM keeps the tables of non-protected guests at EL2.
  private var hasPKVMTables: Bool { kernel?.hasPKVMTables ?? true }

  /// Whether the host is in protected mode when it runs `kernel`. A traced kernel that leaves tables to the host shows that
  /// only by the size of its tables.
  private func isProtectedMode(under kernel: NamedKernel, _ traced: Profile.Path) -> Bool {
    kernel.isProtectedMode ?? (traced == .pkvm || !hasPKVMTables && contradictsType)
  }

  /// The traced path.
  private var path: (Profile.Path, Basis) {
    // Only pKVM creates protected guests, and mapping objects.
    if survey.markers.types.contains(where: \.isProtected) || survey.markers.sawMappings {
      return (.pkvm, .derived)
    }
    // Guests have guests under VHE alone (kvm-arm.mode=nested).
    if survey.faults.nesting.isSeen { return (.traditional, .derived) }
    // Before 6.14, pKVM left the tables of non-protected guests to the host.
    if !hasPKVMTables { return (.traditional, .derived) }
    if let shown = pathOfWaits, shown.isUndisputed, survey.events.attributesWaits {
      return (shown.path, .derived)
    }
    // pKVM maps no block above level 2, and none at all before it had blocks.
    let highestBlock: TranslationLevel = (kernel?.era ?? .v7_3).hasIntervalTree ? .l2 : .l3
    if let leaf = survey.faults.lowestLeaf, leaf < highestBlock { return (.traditional, .derived) }
    // pKVM has a mapping object for whatever a vCPU faulted in.
    if survey.markers.mapped.lacksMappings { return (.traditional, .derived) }
    // All of the recording told it. What the part itself shows has come before: whoever cut it out may have been wrong.
    if let isPKVM = survey.markers.slice?.isPKVM { return (isPKVM ? .pkvm : .traditional, .recorded) }
    if let suggestsPKVM = survey.markers.slice?.suggestsPKVM {
      return (suggestsPKVM ? .pkvm : .traditional, .assumed)
    }
    if let shown = pathOfWaits { return (shown.path, .assumed) }
    // Faults that overlap and never wait for each other, in a trace that records waits, seldom take the lock for write.
    if survey.saw(.contentionBegin), survey.locks.overlappingFaults > 0 { return (.traditional, .assumed) }
    return (.pkvm, .assumed)
  }

  /// The path that what threads waited for within faults' windows shows, if the faults did: only pKVM takes a VM's lock to write in one
  /// (`kvm_fault_lock`). Where there are both, one kind is not what it seems, and the more frequent one decides.
  private var pathOfWaits: (path: Profile.Path, isUndisputed: Bool)? {
    let (writes, reads) = (survey.locks.faultWaitsForWrite, survey.locks.faultWaitsForRead)
    guard writes != reads else { return nil }
    return (writes > reads ? .pkvm : .traditional, min(writes, reads) == 0)
  }

  /// Puts down what the trace shows of the machine.
  ///
  /// - Parameter typesSizeTables: whether the type that a VM is created with sets the size of its table.
  func readMachine(_ profile: inout Profile, _ basis: inout [ProfileField.ID: Basis], typesSizeTables: Bool) {
    profile.pageSize = host.pageSize
    let slice = survey.markers.slice
    profile.hasHardwareAF = !survey.faults.sawAccessFlagFault && slice?.hasHardwareAF ?? true
    basis[.hardwareAF] = Self.basis(told: slice?.hasHardwareAF, isShown: survey.faults.sawAccessFlagFault)
    // Without DIC, and only then, a mapping made for data faults again when the guest executes it.
    profile.hasDIC = !survey.faults.sawExecPermissionFault && slice?.hasDIC ?? false
    basis[.dic] = Self.basis(told: slice?.hasDIC, isShown: survey.faults.sawExecPermissionFault)
    let toldOfPath = slice?.isPKVM == profile.isPKVM ? slice?.ipaBits : nil
    let told = toldOfPath ?? ipaBitsTold(byType: typesSizeTables)
    profile.ipaBits = told ?? ipaBits(isHostsLimit: !typesSizeTables)
    basis[.ipaBits] = told != nil ? .recorded : .assumed
    if profile.isPKVM, profile.era.supportsProtectedGuests, let type = survey.markers.onlyType {
      profile.isProtected = type.isProtected
      basis[.protected] = .recorded
    }
  }

  /// How a field is known that the marker of a slice may tell, or faults may show.
  private static func basis(told: Bool?, isShown: Bool) -> Basis {
    isShown ? .derived : told != nil ? .recorded : .assumed
  }

  /// The size of guest physical addresses that the faults suggest.
  ///
  /// The first walk in an empty table stops at its start level, which leaves several sizes, of which those that are
  /// common come first: on a host in protected mode its limit, else what `KVM_CREATE_VM` gives who asks for nothing. But the
  /// first walk may have been one of the guest's own table, whose level is not trusted, or before the trace: then the table may
  /// begin above. Of VMs that all ran before, levels say no more than that, and addresses how many bits there are at least;
  /// where nothing tells whether they did, levels do not speak for a size that is not common. What all of a recording suggests
  /// stands for a part of it that does not contradict it.
  private func ipaBits(isHostsLimit: Bool) -> Int {
    let needed = 64 - survey.faults.highestIPA.leadingZeroBitCount
    let common = isHostsLimit ? [48, 44, 52, 40, 36] : [40, 48, 44, 52, 36]
    let isFirstWalkKnown = showsEmptyTable == true && !survey.faults.sawStage1WalkFault
    let suggested = survey.markers.slice?.suggestedIPABits.map { [$0] } ?? []
    let sizes = (suggested + common + (isFirstWalkKnown ? Array(32...52) : [])).filter { $0 >= needed }
    func startLevel(_ bits: Int) -> TranslationLevel? {
      (try? Stage2Geometry(pageSize: host.pageSize, ipaBits: bits))?.startLevel
    }
    guard let lowest = survey.faults.lowestLevel else { return sizes.first ?? 52 }
    let likely =
      showsEmptyTable == false || !suggested.isEmpty ? nil : sizes.first { startLevel($0) == lowest }
    return likely
      ?? sizes.first { startLevel($0).map { $0 <= lowest } ?? false } ?? sizes.first ?? 52
  }

  /// The size of guest physical addresses that probes or markers tell, nil where they do not: under pKVM the host's limit,
  /// else what the VM was created with.
  private func ipaBitsTold(byType: Bool) -> Int? { byType ? ipaBitsOfType : survey.markers.ipaLimit }

  private var ipaBitsOfType: Int? {
    guard let type = survey.markers.onlyType, !type.isProtected else { return nil }
    let bits = type.ipaBits == 0 ? Stage2Geometry.defaultIPABits : type.ipaBits
    return (Stage2Geometry.minimumIPABits...Stage2Geometry.maximumIPABits).contains(bits) ? bits : nil
  }

  /// Whether a fault's walk stopped above where the table of a VM of the trace's type would begin.
  var contradictsType: Bool {
    guard let bits = ipaBitsOfType, let lowest = survey.faults.lowestLevel,
      let geometry = try? Stage2Geometry(pageSize: host.pageSize, ipaBits: bits)
    else { return false }
    return lowest < geometry.startLevel
  }
}
