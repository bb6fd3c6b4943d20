internal import KVMTypes

/// Collects divergences of one VM, or of the threads' events: counts all, and keeps the first event of each cause.
///
/// Several logs make one report. `order` says which event was first, whoever found it. The counts of the causes add up to all.
struct DivergenceLog: Sendable {
  /// So many unexplained causes are told apart by region; of a VM that has more, the others that break one rule are one.
  static let regionsMax = 100

  fileprivate struct Cause: Hashable {
    var rule: DivergenceRule
    var verdict: DivergenceVerdict
    var exception: DivergenceException?
    var vm: Int?
    /// Of an unexplained one, the region: what goes wrong in two places may have two causes. Nil for all others, of which there are no
    /// more than VMs times rules and exceptions.
    var block: UInt64?

    /// The same, wherever it is.
    var anywhere: Cause {
      var cause = self
      cause.block = nil
      return cause
    }
  }

  fileprivate struct Item {
    var cause: Cause
    /// The place of its first event among all steps of the replay.
    var order: UInt64
    var divergence: Divergence
  }

  /// What the trace records: what it lacks contradicts nothing.
  private let events: RecordedEvents
  /// Whether nothing is known any more of what is held against the events: nothing contradicts that either.
  var isOfUnknownState = false
  fileprivate private(set) var counts = DivergenceReport()
  fileprivate private(set) var items: [Item] = []
  private var positions: [Cause: Int] = [:]
  private var regions = 0
  /// Each event since they were taken last, if somebody looks at them one by one.
  private var observed: [ObservedDivergence] = []
  private let isObserved: Bool

  init(_ context: ReplayContext) {
    events = context.events
    isObserved = context.options.observed.contains(.divergences)
  }

  /// A rule was broken.
  ///
  /// - Parameters:
  ///   - block: the region of guest memory.
  ///   - place: where.
  ///   - describe: the divergence, asked for when it is the first of its cause.
  mutating func note(
    _ judgement: Judgement, vm: VMIndex?, block: UInt64?, order: UInt64, at place: DivergencePlace,
    _ describe: (Judgement) -> Divergence
  ) {
    guard let first = count(judgement, vm: vm, block: block, at: place) else { return }
    append(first, order: order, describe(first.judgement))
  }

  /// The first divergence of a cause, as the log takes it: what the trace does not record, or order, contradicts nothing.
  struct First {
    let judgement: Judgement
    fileprivate let cause: Cause
  }

  /// Counts a broken rule. What it returns wants a description: `append`.
  mutating func count(
    _ judgement: Judgement, vm: VMIndex?, block: UInt64?, at place: DivergencePlace
  ) -> First? {
    var judgement = judgement
    if judgement.verdict == .unexplained {
      if !events.allows(judgement.rule) {
        judgement = .unknown(judgement.rule, events.reasonNotAllowed)
      } else if isOfUnknownState {
        judgement = .unknown(judgement.rule)
      }
    }
    counts.count(judgement.verdict, vm: vm?.position)
    if isObserved {
      observed.append(
        ObservedDivergence(
          rule: judgement.rule, verdict: judgement.verdict, exception: judgement.exception, vm: vm?.position,
          place: place))
    }
    var cause = Cause(
      rule: judgement.rule, verdict: judgement.verdict, exception: judgement.exception, vm: vm?.position,
      block: judgement.verdict == .unexplained ? block : nil)
    if positions[cause] == nil, regions >= Self.regionsMax { cause = cause.anywhere }
    if let position = positions[cause] {
      items[position].divergence.count += 1
      return nil
    }
    return First(judgement: judgement, cause: cause)
  }

  /// Each event since the last call, if somebody looks at them one by one.
  mutating func takeObserved() -> [ObservedDivergence] {
    if observed.isEmpty { return [] }
    defer { observed = [] }
    return observed
  }

  /// Describes what was counted last.
  mutating func append(_ first: First, order: UInt64, _ divergence: Divergence) {
    if first.cause.block != nil { regions += 1 }
    positions[first.cause] = items.count
    items.append(Item(cause: first.cause, order: order, divergence: divergence))
  }
}

extension DivergenceReport {
  /// What several logs found together, in the order of the report.
  init(_ logs: [DivergenceLog]) {
    self.init()
    var positions: [DivergenceLog.Cause: Int] = [:]
    var regions = 0
    for log in logs { add(log.counts) }
    for item in logs.flatMap(\.items).sorted(by: { $0.order < $1.order }) {
      var cause = item.cause
      if positions[cause] == nil, regions >= DivergenceLog.regionsMax { cause = cause.anywhere }
      if let position = positions[cause] {
        items[position].count += item.divergence.count
        continue
      }
      if cause.block != nil { regions += 1 }
      positions[cause] = items.count
      items.append(item.divergence)
    }
    items.sort { ($0.verdict.rawValue, $0.time) < ($1.verdict.rawValue, $1.time) }
  }

  fileprivate mutating func count(_ verdict: DivergenceVerdict, vm: Int?) {
    var one = DivergenceCounts()
    switch verdict {
    case .unexplained: one.unexplained = 1
    case .explained: one.explained = 1
    case .unknown: one.unknown = 1
    }
    add(one, vm: vm)
  }

  private mutating func add(_ other: DivergenceReport) {
    unexplained += other.unexplained
    explained += other.explained
    unknown += other.unknown
    for (vm, counts) in other.byVM {
      byVM[vm, default: DivergenceCounts()].unexplained += counts.unexplained
      byVM[vm, default: DivergenceCounts()].explained += counts.explained
      byVM[vm, default: DivergenceCounts()].unknown += counts.unknown
    }
  }

  private mutating func add(_ counts: DivergenceCounts, vm: Int?) {
    unexplained += counts.unexplained
    explained += counts.explained
    unknown += counts.unknown
    guard let vm else { return }
    byVM[vm, default: DivergenceCounts()].unexplained += counts.unexplained
    byVM[vm, default: DivergenceCounts()].explained += counts.explained
    byVM[vm, default: DivergenceCounts()].unknown += counts.unknown
  }
}
