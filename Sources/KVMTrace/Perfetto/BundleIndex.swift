/// Where the bundles of every CPU lie, by writer: a trace with two data sources for ftrace has each CPU twice.
struct BundleIndex {
  /// What is known of a writer.
  private struct Writer {
    /// How many of its packets were lost, as far as the packets behind tell.
    var losses = 0
  }

  private struct Key: Hashable {
    let sequence: UInt32
    let cpu: UInt16
    let clock: FtraceClock
  }

  /// So many streams there are at most: each takes some memory while it is read.
  static let streamsMax = 1024
  /// So many bundles are kept in mind: of each 24 bytes.
  private static let runsMax = 8 << 20
  /// So many writers are told apart.
  private static let writersMax = 1 << 16

  private(set) var streams: [BundleStream] = []
  /// What CLOCK_BOOTTIME was ahead of a clock, as the first bundle with that clock says.
  private(set) var bootAhead: [FtraceClock: UInt64] = [:]
  /// Whether there was more than can be kept.
  private(set) var isFull = false
  /// Who wrote the last bundle.
  private(set) var lastSequence: UInt32 = 0
  private var positions: [Key: Int] = [:]
  private var writers: [UInt32: Writer] = [:]
  /// Whose packet was the last one.
  private var lastNoted: UInt32?
  private var gaps = 0
  /// How many bundles are kept in mind.
  private(set) var runCount = 0

  /// A part of the file is damaged: any CPU's events may be missing.
  mutating func noteGap() { gaps += 1 }

  /// A packet of a writer.
  ///
  /// - Parameters:
  ///   - isBehindLoss: whether the recorder says that one before it is missing.
  ///   - isFirst: whether that means nothing if it is the first one that is seen of the writer.
  mutating func note(sequence: UInt32, isBehindLoss: Bool, isFirst: Bool) {
    guard isBehindLoss || sequence != lastNoted else { return }
    lastNoted = sequence
    let isNew = writers[sequence] == nil
    guard !isNew || writers.count < Self.writersMax else { return }
    if isBehindLoss, !(isFirst && isNew) {
      writers[sequence, default: Writer()].losses += 1
    } else if isNew {
      writers[sequence] = Writer()
    }
  }

  /// Adds a bundle.
  mutating func add(
    _ bundle: BundleSurvey, sequence: UInt32, position: Int, packet: Int, count: Int, flags: BundleRun.Flags
  ) {
    lastSequence = sequence
    if bootAhead[bundle.clock] == nil, let ftrace = bundle.ftraceTime, let boot = bundle.bootTime {
      bootAhead[bundle.clock] = boot &- ftrace
    }
    let isBehindLoss = bundle.isBehindLoss || bundle.errorCount > 0
    // Neither events nor a loss, such as a bundle of compact sched: nothing to read.
    guard bundle.eventCount > 0 || bundle.isMalformed || isBehindLoss else { return }
    guard let stream = stream(Key(sequence: sequence, cpu: UInt16(bundle.cpu), clock: bundle.clock)),
      runCount < Self.runsMax
    else {
      isFull = true
      return
    }
    let losses = writers[sequence]?.losses ?? 0
    let isLossy = isBehindLoss || streams[stream].hasPendingLoss || losses > streams[stream].sequenceLosses
    guard bundle.eventCount > 0 || bundle.isMalformed else {
      streams[stream].hasPendingLoss = isLossy
      return
    }
    var flags = flags
    if isLossy { flags.insert(.isBehindLoss) }
    if gaps > streams[stream].gaps { flags.insert(.isBehindGap) }
    let before = streams[stream].runs.last?.first ?? 0
    streams[stream].append(
      BundleRun(
        position: position, packet: packet, count: count, first: bundle.first ?? before, flags: flags))
    (streams[stream].sequenceLosses, streams[stream].gaps) = (losses, gaps)
    streams[stream].hasPendingLoss = false
    runCount += 1
  }

  private mutating func stream(_ key: Key) -> Int? {
    if let known = positions[key] { return known }
    guard streams.count < Self.streamsMax else { return nil }
    positions[key] = streams.count
    streams.append(BundleStream(cpu: key.cpu, sequence: key.sequence, clock: key.clock))
    return streams.count - 1
  }

  /// All bundles are there: puts them in order, and finds how much was lost.
  mutating func finish(_ recorder: RecorderFacts) {
    for position in streams.indices {
      streams[position].sort()
      let (sequence, cpu) = (streams[position].sequence, streams[position].cpu)
      let losses = writers[sequence]?.losses ?? 0
      streams[position].endsWithLoss =
        streams[position].hasPendingLoss || losses > streams[position].sequenceLosses
        || recorder.isBufferFull(ofSequence: sequence)
      if losses == 0, streams[position].lossCount == 1, !streams[position].endsWithLoss {
        streams[position].knownLoss = recorder.overruns(ofCPU: cpu, sequence: sequence) ?? 0
      }
    }
    streams.removeAll { $0.runs.isEmpty }
    streams.sort { ($0.cpu, $0.sequence, $0.clock.rawValue) < ($1.cpu, $1.sequence, $1.clock.rawValue) }
    positions = [:]
  }
}
