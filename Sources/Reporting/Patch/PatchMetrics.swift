internal import ForeignStage2
internal import KVMTypes
internal import Stage2Model

/// The figures of one side of `patch`, over all recordings.
enum PatchMetrics {
  /// The figures by the names that thresholds use.
  ///
  /// - Parameters:
  ///   - replays: what a side did in the replay of each recording.
  ///   - certainty: how the calls of all of them are known.
  ///   - isModel: whether it is a model's side, which tells nothing of warnings and TLBs.
  static func metrics(_ replays: [SideTotals], _ certainty: CallCertainty, isModel: Bool) -> [Metric] {
    var metrics: [Metric] = []
    func add(_ name: String, _ value: some BinaryInteger, _ unit: Metric.Unit, _ basis: Basis?) {
      let place = metrics.firstIndex { $0.name == name } ?? metrics.count
      if place == metrics.count {
        metrics.append(
          basis.map { Metric(name: name, unit: unit, least: 0, most: 0, basis: $0) } ?? .unknown(name))
      }
      // No two recordings are of the same moment.
      let sum = metrics[place].least + Double(value)
      metrics[place].least = name.hasSuffix(peak) ? max(metrics[place].least, Double(value)) : sum
      metrics[place].most = metrics[place].least
    }
    for side in replays {
      for function in StageCall.Function.allCases where function != .look {
        let results = side.results[Int(function.rawValue)]
        if results.calls > 0 { addCalls(of: function, results, certainty, add) }
      }
      add("hypercallsTotal", 0, .count, certainty.hypercallsTotal)
      for name in isModel ? [] : ["warningsTotal", "tlbInvalidations"] {
        add(name, 0, .count, certainty.effects)
      }
      for (name, total) in side.effects {
        note(name, total) {
          add($0, $1, $2, $0 == "hypercallsTotal" ? certainty.hypercallsTotal : certainty.effect(name))
        }
      }
    }
    // That there was none of what nothing tells is unknown, too.
    for function in certainty.untoldFunctions {
      addCalls(of: function, SideTotals.Results(), certainty, add)
    }
    for call in certainty.untoldHypercalls { add("hypercalls.\(call.word)", 0, .count, nil) }
    return metrics
  }

  /// How often a function was called, and what it returned.
  private static func addCalls(
    of function: StageCall.Function, _ results: SideTotals.Results, _ certainty: CallCertainty,
    _ add: (String, UInt64, Metric.Unit, Basis?) -> Void
  ) {
    let name = "operations.\(camel(function.name))"
    let basis = certainty.results(of: function)
    add("\(name).count", results.calls, .count, certainty.calls(of: function))
    add("\(name).eagain", results.again, .count, basis)
    add("\(name).errors", results.errors, .count, basis)
    if function == .testClearYoung { add("\(name).young", results.truths, .count, basis) }
  }

  /// The most that there was of something when all of a VM was compared.
  private static let peak = ".peak"

  /// The figures of `others` that a side does not tell: how much there was at once, if its backend does not say; of a model all but what
  /// functions returned and which hypercalls they made. Of anything else it would have told.
  static func untold(_ metrics: [Metric], others: [Metric], isModel: Bool) -> [Metric] {
    let told = Set(metrics.map(\.name))
    return others.map(\.name).filter { name in
      let isModels = ["operations.", "hypercalls"].contains { name.hasPrefix($0) }
      return name.hasSuffix(peak) ? !told.contains(name) : isModel && !isModels
    }.map { .unknown($0) }
  }

  private static func note(
    _ name: EffectNames.Name, _ total: SideTotals.Total, _ add: (String, Int64, Metric.Unit) -> Void
  ) {
    let count = Int64(clamping: total.count)
    switch name.kind {
    case .hypercall:
      add("hypercalls.\(name.text)", count, .count)
      add("hypercallsTotal", count, .count)
    case .warning: add("warningsTotal", count, .count)
    case .panic: break
    case .maintenance:
      add("maintenance.\(camel(name.text)).count", count, .count)
      add("maintenance.\(camel(name.text)).bytes", total.amount, .bytes)
      if name.text.hasPrefix("TLBI") { add("tlbInvalidations", count, .count) }
    case .memory:
      add("memory.\(camel(name.text)).taken", total.amount, .count)
      add("memory.\(camel(name.text)).givenBack", total.other, .count)
    case .state: add(camel(name.text) + peak, total.other, .count)
    }
  }

  /// The warnings of either side.
  static func warnings(_ findings: [PatchFindings]) -> [PatchReport.Warning] {
    var found: [EffectNames.Name: (words: [String], counts: [UInt64])] = [:]
    for finding in findings {
      for (side, totals) in finding.sides.map(\.totals).enumerated() {
        for (name, total) in totals.effects where name.kind == .warning {
          found[name, default: ([], [0, 0])].counts[side] += total.count
          if !found[name]!.words.contains(name.words) { found[name]!.words.append(name.words) }
        }
      }
    }
    return found.map { name, entry in
      PatchReport.Warning(
        text: entry.words.count == 1 ? entry.words[0] : name.text, before: entry.counts[0],
        after: entry.counts[1])
    }.sorted { $0.text < $1.text }
  }

  /// `tableOfLevel3` of "table of level 3", `testClearYoung` of "test_clear_young".
  static func camel(_ text: String) -> String {
    let words = text.split { !$0.isLetter && !$0.isNumber }
    let first = words.first.map { $0.allSatisfy(\.isUppercase) ? $0.lowercased() : String($0) } ?? ""
    return words.dropFirst().reduce(first) { $0 + $1.prefix(1).uppercased() + $1.dropFirst() }
  }
}
