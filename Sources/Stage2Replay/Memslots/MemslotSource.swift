/// Where a replay has the memslots from.
struct MemslotSource {
  /// The probe whose events tell, nil where the history alone does.
  var probe: MemslotProbe?
  /// What is known beforehand: from a file, inferred, or what was there before a probe's first event.
  var history: MemslotHistory
  /// Whether some of what was there before a probe's first event was inferred from the trace.
  var isCompleted = false
  /// Whether the history was inferred from the trace.
  var isInferred = false

  static func history(_ history: MemslotHistory) -> MemslotSource {
    MemslotSource(probe: nil, history: history)
  }

  /// The slots that are not inferred.
  var recorded: [Memslot] { history.vms.flatMap(\.slots).filter { $0.evidence == nil }.map(\.slot) }
}
