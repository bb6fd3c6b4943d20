/// Where a replay has the memslots from.
struct MemslotSource {
  /// The probe whose events tell, nil where the history does.
  var probe: MemslotProbe?
  /// What is known beforehand: from a file, or inferred.
  var history: MemslotHistory
  /// Whether the history was inferred from the trace.
  var isInferred = false

  static func probe(_ probe: MemslotProbe) -> MemslotSource {
    MemslotSource(probe: probe, history: MemslotHistory())
  }

  static func history(_ history: MemslotHistory) -> MemslotSource {
    MemslotSource(probe: nil, history: history)
  }
}
