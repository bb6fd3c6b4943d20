internal import KVMTrace
internal import KVMTypes

/// Event time: the place in the merged trace of the event that is being taken in, and whether events are missing there.
///
/// Execution time is another one: it lags behind by as much as the queue of `Lookahead` holds.
struct EventClock {
  /// The place of the event that is being taken in.
  private(set) var now = Sequence.start
  /// The place of the last event before the part that is replayed; `start` where that begins with the trace.
  private(set) var partStart = Sequence.start
  private var losses: LossLog
  /// The place before the first event of the run that is being taken in, and for each stream that of its last event in
  /// earlier runs.
  private var runStart = Sequence.start
  private var lastSequences = StreamTable(none: Sequence.start)
  /// The epoch of which somebody was told.
  private var toldEpoch = Epoch(0)

  init(_ gaps: LossGaps) { losses = LossLog(gaps) }

  /// The stretch of the trace, by what is missing.
  @inline(__always)
  var epoch: Epoch { losses.epoch }

  /// Whether events are missing just now.
  @inline(__always)
  var isInGap: Bool { losses.epoch.isInGap }

  /// A run of one stream's events begins.
  mutating func beginRun() { runStart = now }

  /// The next event.
  @inline(__always)
  mutating func advance(to time: Nanoseconds) {
    now.advance()
    losses.advance(to: time)
  }

  /// Whether another epoch has begun since the last time.
  @inline(__always)
  mutating func takeBreak() -> Bool {
    if losses.epoch == toldEpoch { return false }
    toldEpoch = losses.epoch
    return true
  }

  /// The event that is being taken in lies before the part of the trace that is replayed.
  mutating func notePartAhead() { partStart = now }

  /// Behind the last event, something else happens.
  mutating func advancePastEnd() { now.advance() }

  /// The run of a stream's events is over.
  mutating func endRun(of stream: StreamID) { lastSequences[stream] = now }

  /// Events are missing that the first pass over the trace still found: from here on nothing is known.
  mutating func loseRest() { losses.loseRest() }

  /// Events are missing, as the survey found while it went on ahead.
  mutating func lose(_ gap: Range<UInt64>) { losses.insert(gap) }

  /// The place of the stream's last event before this one, which is of it, too; `start` where there is none.
  func lastSequence(of stream: StreamID) -> Sequence {
    if now.rawValue - 1 > runStart.rawValue { return Sequence(now.rawValue - 1) }
    return lastSequences[stream]
  }
}
