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
  /// So many bundles are kept in mind: of each 24 bytes, and once more as many while there are more and more of them.
  private static let runsMax = 6 << 20
  /// So many are in any case; beyond that one for so many bytes of the file, of which a compressed bundle takes more.
  static let leastRunsMax = 1 << 16
  static let fileBytesPerRun = 4
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
  /// How many bundles are kept in mind, and how many can be.
  private(set) var runCount = 0
  private let runsMax: Int

  /// - Parameter fileBytes: how long the file is.
  init(fileBytes: Int) {
    runsMax = max(Self.leastRunsMax, min(fileBytes / Self.fileBytesPerRun, Self.runsMax))
  }

  /// There are bundles that nobody looked at.
  mutating func noteLeftOut() { isFull = true }

  /// Whether one more bundle can be kept in mind; if not, it is one that is left out.
  mutating func hasRoom() -> Bool {
    if runCount >= runsMax { isFull = true }
    return runCount < runsMax
  }

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
    let clocks = bundle.clocks
    if bootAhead[bundle.clock] == nil, let ftrace = clocks.ftraceTime, let boot = clocks.bootTime {
      bootAhead[bundle.clock] = boot &- ftrace
    }
    let key = Key(sequence: sequence, cpu: UInt16(bundle.cpu), clock: bundle.clock)
    let isBehindLoss = bundle.isBehindLoss || bundle.errorCount > 0
    // Neither events nor a loss, such as a bundle of compact sched: nothing to read.
    guard bundle.stamps.first != nil || bundle.isUnreadable || isBehindLoss else {
      if let known = positions[key] { streams[known].pass(bundle.stamps) }
      return
    }
    guard let stream = stream(key) else {
      isFull = true
      return
    }
    let losses = writers[sequence]?.losses ?? 0
    let missing = streams[stream].missing
    var flags = flags.union(missing.pending)
    if isBehindLoss { flags.insert(.isBehindLoss) }
    guard let first = bundle.stamps.first else {
      if bundle.isUnreadable { flags.insert(.isBehindGap) }
      streams[stream].missing.pending = flags.intersection(.missing)
      streams[stream].pass(bundle.stamps)
      return
    }
    let isPacketLost = losses > missing.sequenceLosses
    if isPacketLost { flags.insert(.isBehindLostPackets) }
    if gaps > missing.gaps { flags.insert(.isBehindGap) }
    streams[stream].append(
      BundleRun(position: position, packet: packet, count: count, first: first, flags: flags), bundle.stamps,
      isBehindMissing: isPacketLost || flags.contains(.isBehindGap))
    streams[stream].missing = BundleStream.Missing(sequenceLosses: losses, gaps: gaps)
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
  ///
  /// - Returns: the bundles before which others are missing, though nothing else tells so, and those that are left out because they are
  ///   there already.
  mutating func finish(_ recorder: RecorderFacts) -> (behindMissing: [BundleOfCPU], repeated: [BundleOfCPU]) {
    var (behindMissing, repeated): ([BundleOfCPU], [BundleOfCPU]) = ([], [])
    for position in streams.indices {
      let (sequence, cpu) = (streams[position].sequence, streams[position].cpu)
      let found = streams[position].finish()
      behindMissing += found.behindMissing.map { BundleOfCPU(cpu: cpu, run: $0) }
      repeated += found.repeated.map { BundleOfCPU(cpu: cpu, run: $0) }
      let losses = writers[sequence]?.losses ?? 0
      let missing = streams[position].missing
      var lossesBehind = missing.pending.intersection(.losses)
      if losses > missing.sequenceLosses || recorder.isBufferFull(ofSequence: sequence) {
        lossesBehind.insert(.isBehindLostPackets)
      }
      streams[position].lossesBehind = lossesBehind
      if losses == 0, streams[position].lossCount == 1, lossesBehind.isEmpty {
        streams[position].knownLoss = recorder.overruns(ofCPU: cpu, sequence: sequence) ?? 0
      }
    }
    let moments = repeated.map(\.run.first).sorted()
    for position in streams.indices { streams[position].noteGaps(behind: moments) }
    streams.removeAll { $0.runs.isEmpty }
    streams.sort { ($0.cpu, $0.clock.rawValue, $0.sequence) < ($1.cpu, $1.clock.rawValue, $1.sequence) }
    positions = [:]
    return (behindMissing, repeated)
  }
}

/// Where a bundle of a CPU lies.
struct BundleOfCPU {
  let cpu: UInt16
  let run: BundleRun
}
