package import KVMTypes

/// From when on nothing of a recording is certain, because it is damaged: what a replay finds in its first pass, and what a copy has to
/// say, for the damage is not in it.
///
/// Behind a damaged place anything may be missing until the end, as far as no loss tells where that is. What is in doubt begins where
/// `StreamDoubts` says.
package struct DamageDoubt {
  private static let selection = EventSelection.replay(probes: false)
  private var streams = StreamDoubts()
  /// The beginning of what is in doubt, nil where nothing is.
  package private(set) var begin: Nanoseconds?

  /// Nothing is in doubt.
  package init() {}

  /// Takes in the next run, which is of one stream and one CPU.
  package mutating func note(_ run: EventRun) {
    let stream = run[0].stream
    if run.damageCount > 0 {
      doubt(from: streams.begin(ofDamage: run.damageCount, in: stream, before: run[0].time))
    }
    let last = (0..<run.count).last { Self.selection.includes(run[$0].kind) }
    if let last { streams.note(stream, at: run[last].time) }
  }

  /// All runs have been taken in.
  ///
  /// - Parameters:
  ///   - places: the damaged places of what describes the recording.
  ///   - statistics: what the pass counted.
  ///   - cpuCount: how many processors the host had.
  package mutating func finish(_ places: [Damage], _ statistics: EventStatistics, cpuCount: Int) {
    doubt(from: streams.begin(ofDamageBehindEvents: places, statistics, cpuCount: cpuCount))
  }

  private mutating func doubt(from time: Nanoseconds?) {
    if let time { begin = min(begin ?? time, time) }
  }
}
