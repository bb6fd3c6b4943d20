internal import Stage2Model
internal import Stage2Replay

extension ReplayReport {
  /// Something that the replay could not know.
  public struct NotKnownEntry: Encodable, Sendable {
    /// What it is.
    public var what: Subject
    /// How many of them there are, nil for what is not counted.
    public var count: Int?
    /// In words: "40 faults of nested guests, which are not replayed".
    public var words: String

    private init(_ what: Subject, _ count: Int?, _ detail: String = "") {
      (self.what, self.count) = (what, count)
      words = what.words(count ?? 0) + detail
    }

    /// So many kinds of information are missing, for one reason or another.
    private init(missing count: Int, _ entries: [MissingEntry]) {
      self.init(.notRecorded, count)
      guard entries.contains(where: { $0.why != nil }) else { return }
      words = "what \(Quantity.count(count, "missing kind")) of information would tell"
    }

    /// All that was not known of one input, nil for nothing.
    static func all(_ report: ReplayReport, _ result: ReplayResult) -> [Self]? {
      func faults(_ reason: NoOperationReason) -> Int {
        result.vms.reduce(0) { $0 + ($1.faultsWithoutOperation[reason] ?? 0) }
      }
      let notifiers = report.unattributedNotifiers
      let holds = report.unattributedHolds
      let losses = report.inputs.reduce(0) { $0 + $1.lossCount }
      let damage = report.inputs.reduce(0) { $0 + $1.damage.count }
      let missing = report.notRecorded?.reduce(0) { $0 + $1.events.count } ?? 0
      var all = [
        Self(.nestedFaults, result.nestedFaults), Self(.faultsInUnknownSlots, faults(.unknownSlots)),
        Self(.faultsCutOff, faults(.cutOff)),
        Self(.faultsOfNoVM, report.unattributedFaults ?? 0),
        Self(.notifiersInUnknownSlots, notifiers.total, " (\(notifiers.words))"),
        Self(.holdsOfNoVM, holds?.count ?? 0, holds.map { " (\(Quantity.duration($0.heldNs)))" } ?? ""),
        Self(.runningVMs, result.vms.count(where: \.wasRunning)), Self(.losses, losses),
        Self(.damage, damage),
        Self(missing: missing, report.notRecorded ?? []),
      ].filter { $0.count != 0 }
      if report.inputs.contains(where: { $0.window?.fromNs != nil }) { all.append(Self(.beforeWindow, nil)) }
      if result.events.isUnordered { all.append(Self(.unorderedClock, nil)) }
      if !result.events.tellsLosses { all.append(Self(.whetherEventsWereLost, nil)) }
      if !result.measuresTime { all.append(Self(.clockWithoutTime, nil)) }
      return all.isEmpty ? nil : all
    }

    /// What was not known of several inputs together. Of what is not counted the words say of how many of them it is true.
    static func sum(_ reports: [ReplayReport]) -> [Self]? {
      var subjects: [Subject] = []
      for entry in reports.flatMap({ $0.notKnown ?? [] }) where !subjects.contains(entry.what) {
        subjects.append(entry.what)
      }
      let sums = subjects.map { subject in
        let entries = reports.flatMap { $0.notKnown ?? [] }.filter { $0.what == subject }
        let counts = entries.compactMap(\.count)
        if counts.isEmpty {
          return Self(subject, nil, subject.detail(recordings: entries.count, of: reports.count))
        }
        return subject == .notRecorded
          ? Self(missing: kindsNotRecorded(reports), reports.flatMap { $0.notRecorded ?? [] })
          : Self(subject, counts.reduce(0, +))
      }
      return sums.isEmpty ? nil : sums
    }

    /// How many kinds of information some of the inputs lack.
    private static func kindsNotRecorded(_ reports: [ReplayReport]) -> Int {
      Set(reports.flatMap { $0.notRecorded ?? [] }.flatMap(\.events)).count
    }
  }
}

extension ReplayReport.NotKnownEntry {
  /// What a replay may not know.
  public enum Subject: String, CaseIterable, Encodable, Sendable {
    /// Faults of guests' guests, which are not replayed.
    case nestedFaults
    /// Faults in slots that the trace does not tell.
    case faultsInUnknownSlots
    /// Faults that were under way when the trace ended, or the part of it that is replayed.
    case faultsCutOff
    /// Faults of threads that belong to no VM.
    case faultsOfNoVM
    /// Notifiers on memory in no slot that is known.
    case notifiersInUnknownSlots
    /// Recorded holds of `mmu_lock` under page tables of no VM that is known.
    case holdsOfNoVM
    /// What VMs had that ran before the trace began.
    case runningVMs
    /// Places where events are missing.
    case losses
    /// Places where the file is damaged.
    case damage
    /// Kinds of information that were not recorded: of events, of fields of theirs, and memslots.
    case notRecorded
    /// What VMs had before the part that is replayed, where that does not begin with the trace.
    case beforeWindow
    /// The order of events of different CPUs.
    case unorderedClock
    /// Whether events were lost.
    case whetherEventsWereLost
    /// How long anything took.
    case clockWithoutTime

    /// So many of them.
    fileprivate func words(_ count: Int) -> String {
      func number(_ thing: String) -> String { Quantity.count(count, thing) }
      return switch self {
      case .nestedFaults: "\(number("fault")) of nested guests, which are not replayed"
      case .faultsInUnknownSlots: "\(number("fault")) in slots that no event tells"
      case .faultsCutOff: "\(number("fault")) under way at the end"
      case .faultsOfNoVM: "\(number("fault")) of no VM"
      case .notifiersInUnknownSlots: "\(number("notifier")) on memory in no known slot"
      case .holdsOfNoVM: "\(number("hold")) of mmu_lock under page tables of no known VM"
      case .runningVMs: "what \(number("VM")) had before the trace began"
      case .losses: "what happened where events are missing, in \(number("place"))"
      case .damage: "what \(number("damaged place")) of the file would tell"
      case .notRecorded:
        "what \(number("kind")) of information would tell that \(count == 1 ? "is" : "are") not recorded"
      case .beforeWindow: ReplayReport.windowCaveat
      case .unorderedClock:
        "the order of events of different CPUs inside a tick of the clock, so that all is assumed"
      case .whetherEventsWereLost: "whether events were lost, so that all is assumed"
      case .clockWithoutTime: "how long anything took, by the clock"
      }
    }

    /// Of how many recordings that is true which is not counted.
    fileprivate func detail(recordings: Int, of all: Int) -> String {
      let part = recordings == all ? "all recordings" : "\(recordings) of the \(all) recordings"
      return switch self {
      case .beforeWindow, .unorderedClock, .whetherEventsWereLost: " in \(part)"
      default: " of \(part)"
      }
    }
  }
}
