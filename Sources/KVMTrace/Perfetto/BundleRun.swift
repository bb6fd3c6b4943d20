/// Where a bundle of events of one CPU lies. There is one of these for each bundle, and nothing for an event: they are all that is
/// held of a trace while it is read.
struct BundleRun {
  struct Flags: OptionSet {
    let rawValue: UInt8
    /// The kernel lost events before the bundle, or the recorder could not read them.
    static let isBehindLoss = Flags(rawValue: 1)
    /// A damaged part of the file lies before it.
    static let isBehindGap = Flags(rawValue: 2)
    /// It lies in a compressed packet.
    static let isCompressed = Flags(rawValue: 4)
    /// The file ends inside it.
    static let isCut = Flags(rawValue: 8)
    /// Packets of its writer were lost before it.
    static let isBehindLostPackets = Flags(rawValue: 16)

    static let losses: Flags = [.isBehindLoss, .isBehindLostPackets]
    static let missing: Flags = [.losses, .isBehindGap]
    /// What one writer lacks that another one may have: it lies anywhere between its last event and its next one. A loss of the
    /// kernel's all of them tell.
    static let anywhere: Flags = [.isBehindLostPackets, .isBehindGap]
  }

  /// Positions in a file have fewer bits.
  private static let positionBits: UInt64 = 56

  private var packed: UInt64
  /// The number of the compressed packet in which it lies, 0 for one that is not compressed.
  let packet: UInt32
  /// How long it is, in bytes.
  let count: UInt32
  /// The stamp of its first event, of the recording's own clock.
  let first: UInt64

  /// - Parameter position: where it lies in the file, or in what the compressed packets hold.
  init(position: Int, packet: Int, count: Int, first: UInt64, flags: Flags) {
    packed = UInt64(position) | UInt64(flags.rawValue) << Self.positionBits
    self.packet = UInt32(packet)
    self.count = UInt32(count)
    self.first = first
  }

  var position: Int { Int(packed & (1 << Self.positionBits - 1)) }
  var flags: Flags {
    get { Flags(rawValue: UInt8(truncatingIfNeeded: packed >> Self.positionBits)) }
    set { packed = UInt64(position) | UInt64(newValue.rawValue) << Self.positionBits }
  }
}

/// The bundles of one CPU, of one writer.
struct BundleStream {
  let cpu: UInt16
  /// `trusted_packet_sequence_id`: who wrote them.
  let sequence: UInt32
  let clock: FtraceClock
  private(set) var runs: [BundleRun] = []
  /// Whether each began later than the one before it: then none is there twice, either.
  private var isSorted = true
  /// How many bundles lie behind a loss of the kernel's.
  private(set) var lossCount = 0
  /// How many events were lost before the only bundle that lies behind a loss, as far as that is known.
  var knownLoss: UInt64 = 0
  /// The losses behind the last bundle.
  var lossesBehind: BundleRun.Flags = []
  var missing = Missing()
  /// What tells whether bundles are missing.
  private var chain = BundleChain()
  /// The latest stamp.
  private(set) var latest: UInt64 = 0

  /// What is missing, as far as it lies before the bundle that was added last, or is known to lie behind it.
  struct Missing {
    /// How many losses of the sequence, and how many damaged places, lie before what was added last.
    var sequenceLosses = 0
    var gaps = 0
    /// What bundles without events said that is lost, and whether one was left out whose events cannot be read.
    var pending: BundleRun.Flags = []
  }

  init(cpu: UInt16, sequence: UInt32, clock: FtraceClock) {
    self.cpu = cpu
    self.sequence = sequence
    self.clock = clock
  }

  /// - Parameter isBehindMissing: whether packets of the writer, or any part of the file, are missing before it.
  mutating func append(_ run: BundleRun, _ stamps: BundleSurvey.Stamps, isBehindMissing: Bool) {
    if let last = runs.last, run.first <= last.first { isSorted = false }
    if run.flags.contains(.isBehindLoss) { lossCount += 1 }
    latest = max(latest, stamps.last ?? run.first)
    chain.add(stamps, run: isBehindMissing ? nil : runs.count)
    runs.append(run)
  }

  /// A bundle none of whose events are wanted.
  mutating func pass(_ stamps: BundleSurvey.Stamps) { chain.add(stamps, run: nil) }

  /// All bundles are there: puts them in the order of their first events, and leaves out those that are there already.
  ///
  /// - Returns: those before which others are missing that were not known to be missing yet, and those that were left out.
  mutating func finish() -> (behindMissing: [BundleRun], repeated: [BundleRun]) {
    let first = runs.lazy.map(\.first).min() ?? 0
    // Before the first one, some may have been recorded for another trace.
    let behindMissing = chain.behindMissing.filter { runs[$0].first > first }
    for position in behindMissing { runs[position].flags.insert(.isBehindGap) }
    let told = behindMissing.map { runs[$0] }
    if isSorted { return (told, []) }
    runs.sort { ($0.first, $0.count, $0.position) < ($1.first, $1.count, $1.position) }
    return (told, takeRepeated())
  }

  /// Takes out bundles of the length and the first stamp of another one: a part of the file is there twice.
  private mutating func takeRepeated() -> [BundleRun] {
    var repeated: [BundleRun] = []
    var count = 0
    for position in runs.indices {
      let run = runs[position]
      if count > 0, runs[count - 1].first == run.first, runs[count - 1].count == run.count {
        repeated.append(run)
      } else {
        runs[count] = run
        count += 1
      }
    }
    runs.removeLast(runs.count - count)
    return repeated
  }

  /// Parts of the file are there twice whose bundles began at moments, in ascending order: what they lie in the place of is missing
  /// behind those.
  mutating func noteGaps(behind moments: [UInt64]) {
    var position = 0
    for moment in moments {
      while position < runs.count, runs[position].first <= moment { position += 1 }
      guard position < runs.count else { return }
      runs[position].flags.insert(.isBehindGap)
    }
  }
}

/// FtraceClock: what the kernel's stamps count.
enum FtraceClock: UInt64 {
  /// CLOCK_BOOTTIME, which a recorder does not name.
  case boot = 0
  case unknown = 1
  case global = 2
  case local = 3
  case monotonicRaw = 4

  /// The kernel's name for it.
  var name: String {
    switch self {
    case .boot: "boot"
    case .unknown: ""
    case .global: "global"
    case .local: "local"
    case .monotonicRaw: "mono_raw"
    }
  }
}
