package import KVMTypes

/// From when on nothing of a recording is certain, because it is damaged: what a replay finds in its first pass, and what a copy has to
/// say, for the damage is not in it.
///
/// Behind a damaged place anything may be missing until the end, as far as no loss tells where that is. What is in doubt begins where
/// `StreamDoubts` says.
package struct DamageDoubt {
  private static let selection = EventSelection.replay(probes: false)
  private var streams = StreamDoubts()
  /// When the last event of each buffer's CPUs was that a replay reads, by buffer and CPU.
  private var lastOfCPUs: [[Nanoseconds]] = []
  /// The beginning of what is in doubt, nil where nothing is.
  package private(set) var begin: Nanoseconds?

  /// Nothing is in doubt.
  package init() {}

  /// Takes in the next run, which is of one stream and one CPU.
  ///
  /// - Parameter isBehindLack: whether events are missing before it that no `.lost` record of its own tells.
  package mutating func note(_ run: EventRun, isBehindLack: Bool) {
    let stream = run[0].stream
    if run.damageCount > 0 {
      doubt(from: streams.begin(ofDamage: run.damageCount, in: stream, before: run[0].time))
    }
    if isBehindLack || run[0].kind == .lost { doubtLoss(of: stream, buffer: run.bufferIndex) }
    guard let last = (0..<run.count).last(where: { Self.selection.includes(run[$0].kind) }) else { return }
    streams.note(stream, at: run[last].time)
    note(run[last].time, of: stream.cpu, buffer: run.bufferIndex)
  }

  /// Events of a stream are missing behind its last one. A copy has one stream of each CPU of a buffer: where the last event of that is of
  /// another of the recording's, and later, its loss says too little.
  private mutating func doubtLoss(of stream: StreamID, buffer: Int) {
    let begin = streams.begin(of: stream)
    if begin < last(of: stream.cpu, buffer: buffer) { doubt(from: begin) }
  }

  private func last(of cpu: CPUIndex, buffer: Int) -> Nanoseconds {
    let cpu = Int(cpu.rawValue)
    guard buffer < lastOfCPUs.count, cpu < lastOfCPUs[buffer].count else { return Nanoseconds(0) }
    return lastOfCPUs[buffer][cpu]
  }

  private mutating func note(_ time: Nanoseconds, of cpu: CPUIndex, buffer: Int) {
    while lastOfCPUs.count <= buffer { lastOfCPUs.append([]) }
    let missing = Int(cpu.rawValue) + 1 - lastOfCPUs[buffer].count
    if missing > 0 { lastOfCPUs[buffer] += Array(repeating: Nanoseconds(0), count: missing) }
    lastOfCPUs[buffer][Int(cpu.rawValue)] = max(time, lastOfCPUs[buffer][Int(cpu.rawValue)])
  }

  /// All runs have been taken in.
  ///
  /// - Parameters:
  ///   - places: the damaged places of what describes the recording.
  ///   - statistics: what the pass counted.
  ///   - cpuCount: how many processors the host had.
  package mutating func finish(_ places: [Damage], _ statistics: EventStatistics, cpuCount: Int) {
    doubt(from: streams.begin(ofDamageBehindEvents: places, statistics, cpuCount: cpuCount))
    for end in statistics.streamEnds where end.missing != nil {
      doubtLoss(of: end.stream, buffer: end.bufferIndex)
    }
  }

  private mutating func doubt(from time: Nanoseconds?) {
    if let time { begin = min(begin ?? time, time) }
  }
}
