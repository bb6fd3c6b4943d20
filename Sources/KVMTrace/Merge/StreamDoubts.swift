public import KVMTypes

/// From when on it is in doubt what the streams of a recording lack, where events are lost or something is damaged: from the last event of the
/// stream on that came before.
///
/// The one place that says so, for a replay, and for a copy, which tells what was damaged.
@usableFromInline
package struct StreamDoubts: Sendable {
  /// When the last event of a stream was that a replay reads; 0 for none.
  @usableFromInline var last = StreamTable(none: Nanoseconds(0))
  /// How many damaged places a stream had so far.
  private var damageCounts = StreamTable(none: 0)

  /// No event came.
  package init() {}

  /// An event of a stream.
  @inlinable
  @inline(__always)
  package mutating func note(_ stream: StreamID, at time: Nanoseconds) { last[stream] = time }

  /// Events of a stream are missing behind its last one: when that was, 0 where there is none.
  package func begin(of stream: StreamID) -> Nanoseconds { last[stream] }

  /// The next events of a stream come behind `count` damaged places; where that are more than before, it is not known what is missing, nor
  /// where it ends.
  ///
  /// - Parameter time: when the first of those events was. Where the time went back, what came before it in the file is as doubtful.
  /// - Returns: from when on the stream is in doubt for the new places, nil where there are none.
  package mutating func begin(
    ofDamage count: Int, in stream: StreamID, before time: Nanoseconds
  ) -> Nanoseconds? {
    guard damageCounts[stream] < count else { return nil }
    damageCounts[stream] = count
    return min(last[stream], time)
  }

  /// Whether as many damaged places of a stream are known.
  package func knows(damage count: Int, of stream: StreamID) -> Bool {
    count == 0 || damageCounts[stream] >= count
  }

  /// All events came. Behind the last event of a stream that is damaged nothing is certain, nor behind that of any where it is not known of
  /// which the damage is. Where its events may be of other kinds than they say, nothing is at all.
  ///
  /// - Parameters:
  ///   - places: the damaged places of what describes the recording.
  ///   - statistics: what the pass over the events counted.
  ///   - cpuCount: how many processors the host had.
  /// - Returns: from when on anything may be missing for it, nil where nothing is.
  package func begin(
    ofDamageBehindEvents places: [Damage], _ statistics: EventStatistics, cpuCount: Int
  ) -> Nanoseconds? {
    if statistics.mayHideKinds { return Nanoseconds(0) }
    let untold = statistics.untoldDamage
    let ends = Dictionary(grouping: statistics.streamEnds, by: \.cpu)
    var begins = Set(places.compactMap(\.cpu)).map { begin(of: ends[$0] ?? [], ofCPU: $0) }
    begins += Set(untold.compactMap(\.cpu)).map { cpu in
      begin(of: (ends[cpu] ?? []).filter(\.isDamaged), ofCPU: cpu)
    }
    if (places + untold).contains(where: { $0.cpu == nil }) { begins.append(beginOfAny(cpuCount)) }
    return begins.min()
  }

  /// All events came. From when on events are missing because streams end too early, nil where none does.
  package func begin(ofCutsIn statistics: EventStatistics) -> Nanoseconds? {
    statistics.streamEnds.filter { $0.missing != nil }.map { last[$0.stream] }.min()
  }

  /// Since when a CPU is in doubt, of whose streams those may be damaged that end with `ends`. Where there is none, it may be any.
  private func begin(of ends: [EventStatistics.StreamEnd], ofCPU cpu: UInt16) -> Nanoseconds {
    let own = ends.map { last[$0.stream] }
    let all = own.isEmpty ? last.values(of: CPUIndex(cpu)).filter { $0 > Nanoseconds(0) } : own
    return all.min() ?? Nanoseconds(0)
  }

  /// Since when events of any stream may be missing. Of a CPU without events it is not known from the beginning what it did.
  private func beginOfAny(_ cpuCount: Int) -> Nanoseconds {
    let begins = (0..<last.cpuCount).compactMap { cpu in
      last.values(of: CPUIndex(UInt16(clamping: cpu))).filter { $0 > Nanoseconds(0) }.min()
    }
    return begins.count < cpuCount ? Nanoseconds(0) : begins.min() ?? Nanoseconds(0)
  }
}
