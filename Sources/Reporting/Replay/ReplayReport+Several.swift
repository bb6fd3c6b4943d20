internal import KVMTypes
internal import Stage2Replay

extension ReplayReport {
  /// What was replayed of one of several inputs.
  public struct ReplayEntry: Encodable, Sendable {
    /// The position in `inputs`.
    var input: Int
    var profile: [String: ProfileFieldValue]
    var profileBasis: [String: String]
    var seriesIntervalNs: UInt64?
    var agreement: [String: AgreementEntry]?
    var divergences: CountsEntry
    var unattributedFaults: Int
    var unattributedNotifiers: NotifiersEntry
    var notRecorded: [MissingEntry]?
  }

  /// How many events contradict the model.
  public struct CountsEntry: Encodable, Sendable {
    var unexplained: Int
    var explained: Int
    var unknown: Int
  }

  /// Sums over all VMs of several inputs. There is none of memory: the recordings are not of one moment of one host.
  public struct TotalsEntry: Encodable, Sendable {
    var events: UInt64
    var lostEvents: UInt64
    var vms: Int
    /// Of the VMs whose faults were recorded; nil where those of none were.
    var faults: FaultsEntry?
    var operations: [String: OperationEntry]
    var faultsWithoutOperation: [String: Int]
    var hypercalls: [String: Int]
    var hypercallsTotal: Int
  }

  /// The report of several recordings, each replayed by itself. A VM is told from others by the position of its input
  /// and its number there. The profile is what all inputs have in common, as certain as it is for the least certain of them.
  public init(_ reports: [ReplayReport]) {
    self = reports[0]
    guard reports.count > 1 else { return }
    inputs = reports.flatMap(\.inputs)
    profile = profile.filter { field in reports.allSatisfy { $0.profile[field.key] == field.value } }
    profileBasis = profileBasis.filter { profile[$0.key] != nil }
    for field in profileBasis.keys {
      profileBasis[field] = reports.compactMap { $0.profileBasis[field] }.max {
        Self.rank($0) < Self.rank($1)
      }
    }
    if reports.contains(where: { $0.seriesIntervalNs != seriesIntervalNs }) { seriesIntervalNs = nil }
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
    unattributedFaults = reports.reduce(0) { $0 + $1.unattributedFaults }
    unattributedNotifiers = reports[1...].reduce(into: unattributedNotifiers) {
      $0 += $1.unattributedNotifiers
    }
    notRecorded = nil
    replays = reports.enumerated().map { position, report in
      ReplayEntry(
        input: position, profile: report.profile, profileBasis: report.profileBasis,
        seriesIntervalNs: report.seriesIntervalNs, agreement: report.agreement,
        divergences: CountsEntry(
          unexplained: report.divergences.unexplained, explained: report.divergences.explained,
          unknown: report.divergences.unknown), unattributedFaults: report.unattributedFaults,
        unattributedNotifiers: report.unattributedNotifiers, notRecorded: report.notRecorded)
    }
    totals = TotalsEntry(inputs, vms)
  }

  private static func rank(_ basis: String) -> UInt8 {
    Basis.allCases.first { $0.name == basis }?.rawValue ?? .max
  }

  /// The agreement over all reports that have one.
  private static func sum(_ reports: [ReplayReport]) -> [String: AgreementEntry]? {
    var sum: [String: AgreementEntry]?
    for (position, report) in reports.enumerated() {
      for (name, entry) in report.agreement ?? [:] {
        var entry = entry
        for index in entry.mismatches.indices { entry.mismatches[index].input = position }
        if let known = sum?[name] { entry = known + entry }
        sum = sum ?? [:]
        sum![name] = entry
      }
    }
    return sum
  }

  /// The pages of several reports, one after the other, and the sums behind them.
  public static func text(_ reports: [ReplayReport]) -> String {
    guard reports.count > 1 else { return reports.map(\.text).joined() }
    return reports.map { $0.text + "\n" }.joined() + ReplayReport(reports).totalsText
  }

  private var totalsText: String {
    guard let totals else { return "" }
    var page = TextPage()
    page.title("all \(inputs.count) recordings")
    page.row(
      "traces",
      "\(Quantity.count(totals.events)) events, \(Quantity.count(totals.vms)) VM\(totals.vms == 1 ? "" : "s")"
    )
    page.row("faults", totals.faults?.words ?? "unknown")
    if unattributedFaults > 0 {
      page.row("", "\(Quantity.count(unattributedFaults)) faults belong to no VM and are left out")
    }
    page.row(
      "divergences",
      "\(Quantity.count(divergences.unexplained)) unexplained, \(Quantity.count(divergences.explained)) explained, "
        + "\(Quantity.count(divergences.unknown)) where the state was not known")
    if !totals.operations.isEmpty { Self.write(totals.operations, &page) }
    if let agreement { Self.write(agreement, of: "these traces", &page) }
    return page.text
  }
}

extension ReplayReport.TotalsEntry {
  init(_ inputs: [TraceInfo], _ all: [ReplayReport.VMEntry]) {
    events = inputs.reduce(0) { $0 + $1.events }
    lostEvents = inputs.reduce(0) { $0 + $1.lostEvents }
    vms = all.count
    let known = all.compactMap(\.faults)
    faults = known.isEmpty && !all.isEmpty ? nil : known.reduce(into: .init(FaultCounts())) { $0 += $1 }
    operations = [:]
    faultsWithoutOperation = [:]
    hypercalls = [:]
    for vm in all {
      for (name, entry) in vm.operations {
        operations[name] = operations[name].map { $0 + entry } ?? entry
      }
      faultsWithoutOperation.merge(vm.faultsWithoutOperation ?? [:], uniquingKeysWith: +)
      hypercalls.merge(vm.hypercalls ?? [:], uniquingKeysWith: +)
    }
    hypercallsTotal = hypercalls.values.reduce(0, +)
  }
}

extension ReplayReport.FaultsEntry {
  fileprivate static func += (sum: inout Self, other: Self) {
    sum.total += other.total
    sum.translation += other.translation
    sum.permission += other.permission
    sum.accessFlag += other.accessFlag
    sum.mmio += other.mmio
    sum.other += other.other
    sum.byLevel.merge(other.byLevel, uniquingKeysWith: +)
  }
}

extension ReplayReport.OperationEntry {
  fileprivate static func + (a: Self, b: Self) -> Self {
    Self(
      count: a.count + b.count, eagain: a.eagain + b.eagain, errors: a.errors + b.errors,
      pages: a.pages + b.pages, basis: a.basis.merging(b.basis, uniquingKeysWith: +))
  }
}

extension ReplayReport.AgreementEntry {
  fileprivate static func + (a: Self, b: Self) -> Self {
    var sum = a
    sum.recorded += b.recorded
    sum.predicted += b.predicted
    sum.matched += b.matched
    sum.derivedWrong += b.derivedWrong
    for field in [
      \Self.answersMatched, \.protCompared, \.protMatched, \.protDerived, \.protDerivedMatched,
    ] {
      if let more = b[keyPath: field] { sum[keyPath: field] = (a[keyPath: field] ?? 0) + more }
    }
    sum.mismatches += b.mismatches
    return sum
  }
}

extension DivergencesEntry {
  /// Marks everything as found in one of several inputs.
  mutating func setInput(_ position: Int) {
    for index in items.indices { items[index].input = position }
  }
}
