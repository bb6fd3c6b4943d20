/// Of which parts figures are where not all was recorded. Those of one part are held against each other; beside one of another part, or of
/// all, a figure that lacks something is unknown.
struct ComparedParts {
  /// By name, what the figures of the replays lack.
  private var lacked: [String: Set<[String]>] = [:]

  init(_ sides: [Comparison.Side]) {
    for metric in sides.flatMap(\.replays).joined() where !metric.isUnknown {
      lacked[metric.name, default: []].insert(metric.lacked)
    }
  }

  private func isComparable(_ metric: Metric) -> Bool {
    metric.lacked.isEmpty || lacked[metric.name]?.count == 1
  }

  /// A side without the figures that cannot be held against the other's.
  func comparable(_ side: Comparison.Side) -> Comparison.Side {
    Comparison.Side(
      side.name,
      side.replays.map { replay in
        replay.map { isComparable($0) ? $0 : .unknown($0.name, or: $0.otherName) }
      }, of: side.described)
  }

  /// What is lacking, a sentence each.
  var notes: [String] {
    var alike: Set<[String]> = []
    var unlike: Set<String> = []
    for parts in lacked.values {
      if parts.count == 1 { alike.formUnion(parts) } else { unlike.formUnion(parts.joined()) }
    }
    func list(_ things: some Sequence<String>) -> String { things.joined(separator: ", ") }
    return alike.filter { !$0.isEmpty }.map(list).sorted().map {
      "Not recorded under mmu_lock, and in no sum over it: \($0)."
    }
      + (unlike.isEmpty
        ? []
        : [
          "Recorded under mmu_lock of a part of the recordings only: \(list(unlike.sorted())). Sums over it that lack that are unknown."
        ])
  }
}
