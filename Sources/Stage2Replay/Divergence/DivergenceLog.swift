internal import KVMTypes

/// Collects divergences: counts all, and keeps the first event of each cause.
struct DivergenceLog {
  /// How many causes are kept for each verdict.
  static let causesMax = 100

  private struct Cause: Hashable {
    var rule: DivergenceRule
    var verdict: DivergenceVerdict
    var exception: DivergenceException?
    var vm: Int?
    /// Of an unexplained one, the region: what goes wrong in two places may have two causes.
    var block: UInt64?
  }

  /// What the trace records: what it lacks contradicts nothing.
  private let events: RecordedEvents
  private var report = DivergenceReport()
  private var positions: [Cause: Int] = [:]
  private var kept = [0, 0, 0]

  init(_ events: RecordedEvents) { self.events = events }

  /// A rule was broken.
  ///
  /// - Parameters:
  ///   - block: the region of guest memory.
  ///   - describe: the divergence, asked for when it is the first of its cause.
  mutating func note(
    _ judgement: Judgement, vm: Int?, block: UInt64?, _ describe: (Judgement) -> Divergence
  ) {
    let judgement =
      judgement.verdict == .unexplained && !events.allows(judgement.rule)
      ? .unknown(judgement.rule, .notRecorded) : judgement
    count(judgement.verdict, vm: vm)
    let cause = Cause(
      rule: judgement.rule, verdict: judgement.verdict, exception: judgement.exception, vm: vm,
      block: judgement.verdict == .unexplained ? block : nil)
    if let position = positions[cause] {
      report.items[position].count += 1
      return
    }
    let verdict = Int(judgement.verdict.rawValue)
    guard kept[verdict] < Self.causesMax else { return }
    kept[verdict] += 1
    positions[cause] = report.items.count
    report.items.append(describe(judgement))
  }

  private mutating func count(_ verdict: DivergenceVerdict, vm: Int?) {
    switch verdict {
    case .unexplained: report.unexplained += 1
    case .explained: report.explained += 1
    case .unknown: report.unknown += 1
    }
    guard let vm else { return }
    switch verdict {
    case .unexplained: report.byVM[vm, default: DivergenceCounts()].unexplained += 1
    case .explained: report.byVM[vm, default: DivergenceCounts()].explained += 1
    case .unknown: report.byVM[vm, default: DivergenceCounts()].unknown += 1
    }
  }

  /// What was found so far, in the order of the report.
  var result: DivergenceReport {
    var result = report
    result.items.sort { ($0.verdict.rawValue, $0.time) < ($1.verdict.rawValue, $1.time) }
    return result
  }
}
