public import KVMTypes
public import Pictures
public import Stage2Model
public import Stage2Replay

extension ReplayReport {
  /// What was replayed of one of several inputs.
  public struct ReplayEntry: Encodable, Sendable {
    /// The position in `inputs`.
    public var input: Int
    /// The kernel and machine that were modelled.
    public var profile: ProfileEntry
    /// How each field of the profile is known.
    public var profileBasis: [ProfileField.ID: Basis]
    /// The length of the intervals in which its series count.
    public var seriesIntervalNs: UInt64?
    /// "ticks" where its clock does not count nanoseconds.
    public var seriesUnit: String?
    /// How the predicted operations agree with the recorded ones; nil without probes.
    public var agreement: AgreementTable?
    /// Events that contradict the model.
    public var divergences: CountsEntry
    /// Faults of threads that belong to no VM; nil where faults were not recorded.
    public var unattributedFaults: Int?
    /// Notifiers on memory in no slot that is known.
    public var unattributedNotifiers: NotifiersEntry
    /// Recorded holds of the lock of no VM that is known; nil where there are none.
    public var unattributedHolds: UnattributedHoldsEntry?
    /// The events that the trace does not record, and what that costs; nil where it has all.
    public var notRecorded: [MissingEntry]?
  }

  /// How many events contradict the model.
  public struct CountsEntry: Encodable, Sendable {
    /// Events that nothing accounts for.
    public var unexplained: Int
    /// Events for which an exception accounts.
    public var explained: Int
    /// Events of which the state before was not known.
    public var unknown: Int
    /// Why they do not tell that nothing contradicts the model; nil where they do.
    public var uncheckedWhy: String?
  }

  /// Sums over all VMs of several inputs; nil where that of some VM is not known. There is none of memory: the recordings are not
  /// of one moment of one host.
  public struct TotalsEntry: Encodable, Sendable {
    /// All events.
    public var events: UInt64
    /// Events known to be lost.
    public var lostEvents: UInt64
    /// How many VMs there are.
    public var vms: Int
    /// Faults.
    public var faults: FaultsEntry?
    /// Calls of stage-2 functions, without those of which some VM does not tell all calls.
    public var operations: [OperationKind: OperationEntry]
    /// Those that are left out for that; nil for none.
    public var partialOperations: [OperationKind]?
    /// Faults that led to none.
    public var faultsWithoutOperation: [NoOperationReason: Int]?
    /// Hypercalls that the operations took; of VMs on the traditional path there are none.
    public var hypercalls: [Hypercall: Int]?
    /// All of them; nil where some of a VM are not known.
    public var hypercallsTotal: Int?
    /// How they are known: as the least certain VM's; nil where there are none, or where they are not known.
    public var hypercallsBasis: Basis?
  }

  /// The report of several recordings, each replayed by itself. A VM is told from others by the position of its input
  /// and its number there. The profile is what all inputs have in common, as certain as it is for the least certain of them.
  public init(_ reports: [ReplayReport]) {
    self = reports[0]
    guard reports.count > 1 else { return }
    inputs = reports.flatMap(\.inputs)
    profile = reports[1...].reduce(profile) { $0.common(with: $1.profile) }
    profileBasis = profileBasis.filter { profile[$0.key] != nil }
    for field in profileBasis.keys {
      profileBasis[field] = reports.compactMap { $0.profileBasis[field] }.max()
    }
    if reports.contains(where: {
      ($0.seriesIntervalNs, $0.seriesUnit) != (seriesIntervalNs, seriesUnit)
    }) {
      (seriesIntervalNs, seriesUnit) = (nil, nil)
    }
    backend = BackendEntry.sum(reports.map(\.backend))
    vms = reports.enumerated().flatMap { position, report in
      report.vms.map { vm in
        var vm = vm
        vm.input = position
        vm.divergences.setInput(position)
        return vm
      }
    }
    agreement = Self.sum(reports)
    divergences.items = []
    for (position, report) in reports.enumerated() {
      var own = report.divergences
      own.setInput(position)
      divergences.items += own.items
    }
    divergences.unexplained = reports.reduce(0) { $0 + $1.divergences.unexplained }
    divergences.explained = reports.reduce(0) { $0 + $1.divergences.explained }
    divergences.unknown = reports.reduce(0) { $0 + $1.divergences.unknown }
    divergences.uncheckedWhy = UncheckedDivergences.why(reports)
    unattributedFaults = reports.reduce(0) { $0.adding($1.unattributedFaults) }
    unattributedNotifiers = reports[1...].reduce(into: unattributedNotifiers) {
      $0 += $1.unattributedNotifiers
    }
    let holds = reports.compactMap(\.unattributedHolds)
    unattributedHolds = holds.isEmpty ? nil : holds.reduce(into: UnattributedHoldsEntry()) { $0 += $1 }
    notRecorded = nil
    notKnown = NotKnownEntry.sum(reports)
    replays = reports.enumerated().map { position, report in
      ReplayEntry(
        input: position, profile: report.profile, profileBasis: report.profileBasis,
        seriesIntervalNs: report.seriesIntervalNs, seriesUnit: report.seriesUnit, agreement: report.agreement,
        divergences: CountsEntry(
          unexplained: report.divergences.unexplained, explained: report.divergences.explained,
          unknown: report.divergences.unknown, uncheckedWhy: report.divergences.uncheckedWhy),
        unattributedFaults: report.unattributedFaults,
        unattributedNotifiers: report.unattributedNotifiers, unattributedHolds: report.unattributedHolds,
        notRecorded: report.notRecorded)
    }
    totals = TotalsEntry(reports)
  }

  /// The agreement over all reports that have one.
  private static func sum(_ reports: [ReplayReport]) -> AgreementTable? {
    .sum(
      reports.enumerated().compactMap { position, report in
        var agreement = report.agreement
        agreement?.setInput(position)
        return agreement
      })
  }

  /// The pages of several reports, one after the other, and the sums behind them.
  ///
  /// - Parameter heat: for each report, maps of the memory of its VMs.
  public static func text(
    _ reports: [ReplayReport], in form: PageForm = .filed, heat: [[HeatMap]] = []
  ) -> String {
    let pages = reports.enumerated().map { position, report in
      report.text(in: form, heat: position < heat.count ? heat[position] : [])
    }
    let sums = reports.count > 1 ? ReplayReport(reports).totalsText(in: form) : ""
    return pages.joined(separator: "\n") + (sums.isEmpty ? "" : "\n" + sums) + nextCommands(reports, in: form)
  }

  private func totalsText(in form: PageForm) -> String {
    guard let totals else { return "" }
    var page = TextPage(form)
    page.title("all \(inputs.count) recordings")
    page.row(
      "traces",
      "\(Quantity.count(totals.events, "event")), \(Quantity.count(totals.vms, "VM"))" + unknownRest()
    )
    page.row("faults", faultWords)
    let idle = vms.compactMap(\.faultsWithoutOperation).reduce(into: [:]) {
      $0.merge($1, uniquingKeysWith: +)
    }
    if let idle = Self.words(idle) { page.row("", idle) }
    if let notKnown { page.row("unknown", notKnown.map(\.words).joined(separator: "; "), .doubt) }
    page.row("divergences", divergences.words)
    if !totals.operations.isEmpty { Self.write(totals.operations, &page) }
    if let partial = totals.partialOperations {
      page.line("  left out: \(Self.names(partial)), of which some recording does not tell all calls")
    }
    if let agreement { Self.write(agreement, of: "these traces", &page) }
    return page.rendered
  }
}

extension ReplayReport.TotalsEntry {
  init(_ reports: [ReplayReport]) {
    let inputs = reports.flatMap(\.inputs)
    let all = reports.flatMap(\.vms)
    events = inputs.reduce(0) { $0 + $1.events }
    lostEvents = inputs.reduce(0) { $0 + $1.lostEvents }
    vms = all.count
    let known = all.compactMap(\.faults)
    let tellsAllVMs = reports.allSatisfy(\.tellsAllVMs)
    faults = known.count < all.count || !tellsAllVMs ? nil : .sum(known)
    operations = [:]
    let partial = Set(all.compactMap(\.partialOperations).joined())
    partialOperations = partial.isEmpty ? nil : OperationKind.allCases.filter(partial.contains)
    faultsWithoutOperation = tellsAllVMs ? [:] : nil
    for vm in all {
      operations.merge(vm.operations, uniquingKeysWith: +)
      faultsWithoutOperation = faultsWithoutOperation.adding(vm.faultsWithoutOperation)
    }
    operations = operations.filter { !partial.contains($0.key) }
    hypercalls = tellsAllVMs ? [:] : nil
    // What makes no hypercalls makes none, whatever else is unknown of it.
    for report in reports where report.isPKVM {
      for vm in report.vms { hypercalls = hypercalls.adding(vm.hypercalls) }
    }
    // Where one VM does not tell of all, what it does not tell of is in no sum.
    let untold = all.filter { $0.hypercalls != nil && $0.hypercallsTotal == nil }.compactMap(\.hypercalls)
    hypercalls = hypercalls?.filter { call in untold.allSatisfy { $0[call.key] != nil } }
    hypercallsTotal = untold.isEmpty ? hypercalls.map { $0.values.reduce(0, +) } : nil
    hypercallsBasis = hypercalls == nil ? nil : all.compactMap(\.hypercallsBasis).max()
  }
}

extension ReplayReport.FaultsEntry {
  /// The sum of several.
  static func sum(_ all: [Self]) -> Self {
    all.dropFirst().reduce(into: all.first ?? .init(FaultCounts())) { $0 += $1 }
  }

  fileprivate static func += (sum: inout Self, other: Self) {
    sum.total += other.total
    sum.translation += other.translation
    sum.permission += other.permission
    sum.accessFlag += other.accessFlag
    sum.mmio = sum.mmio.adding(other.mmio)
    sum.other += other.other
    sum.byLevel.merge(other.byLevel, uniquingKeysWith: +)
    if let unknown = other.unknownLevel { sum.unknownLevel = (sum.unknownLevel ?? 0) + unknown }
    if let nested = other.nested { sum.nested = (sum.nested ?? 0) + nested }
  }
}

extension ReplayReport.OperationEntry {
  fileprivate static func + (a: Self, b: Self) -> Self {
    Self(
      count: a.count + b.count, eagain: a.eagain + b.eagain, errors: a.errors + b.errors,
      pages: a.pages + b.pages, basis: a.basis.merging(b.basis, uniquingKeysWith: +))
  }
}

extension DivergencesEntry {
  /// Marks everything as found in one of several inputs.
  mutating func setInput(_ position: Int) {
    for index in items.indices { items[index].input = position }
  }
}
