internal import KVMTypes

/// How a stamp is written: all lines of a text write it alike, but for damaged ones.
struct StampForm: Hashable, BitwiseCopyable {
  /// How many forms there are.
  static let count = 12
  /// A number without a point, of a clock that counts something else than time.
  static let ticks = StampForm(position: 0)
  /// `48522105us`, with latency-format.
  static let microseconds = StampForm(position: 10)
  /// `48522.105ms`, with latency-format and verbose.
  static let milliseconds = StampForm(position: 11)

  /// `48.522105061`.
  static let nanoseconds = seconds(digits: 9)

  /// How many nanoseconds two stamps differ by that differ in the last digit; nil of ticks.
  var nanosecondsApart: UInt64? {
    switch self {
    case .ticks: nil
    case .microseconds, .milliseconds: 1000
    default: LineHeadParser.weight(of: Int(position))
    }
  }

  /// Of seconds the number of digits behind the point.
  let position: UInt16

  /// `48.522105`: seconds, with 1 to 9 digits behind the point.
  static func seconds(digits: Int) -> StampForm { StampForm(position: UInt16(truncatingIfNeeded: digits)) }
}

/// How the stamps of a text's lines are written, and what they say of the clock.
struct StampSurvey {
  private var counts = InlineArray<12, UInt64>(repeating: 0)
  private var lastTick: UInt64?
  private var hasEqualTicks = false

  @inline(__always)
  mutating func note(_ head: LineHead) {
    counts[Int(head.form.position)] &+= 1
    if head.form == .ticks { note(tick: head.stamp) }
  }

  private mutating func note(tick: UInt64) {
    if tick == lastTick { hasEqualTicks = true }
    lastTick = tick
  }

  /// The form of most lines.
  var form: StampForm {
    let most = (0..<StampForm.count).max { counts[$0] < counts[$1] }!
    return StampForm(position: UInt16(most))
  }

  /// The kernel's name for the clock, "" where stamps are times.
  ///
  /// Every event has a number of its own by the clock `counter`; by `uptime` many share a tick.
  var clock: String { lastTick == nil || form != .ticks ? "" : hasEqualTicks ? "uptime" : "counter" }
}

/// The last stamp of each CPU. In every text the lines of one CPU are in the order of time, however those of several are interleaved.
///
/// Invariant: `stamps` has an initialised element for each CPU until deinit.
struct LastStamps: ~Copyable {
  private let stamps: UnsafeMutablePointer<UInt64>
  /// By how much clocks step back, in the unit of the stamps.
  let jitter: UInt64

  /// - Parameter form: how the stamps are written.
  init(_ form: StampForm) {
    jitter = form == .ticks ? 0 : PageContinuity.jitterNs
    stamps = .allocate(capacity: LineHeadParser.cpuCountMax)
    stamps.initialize(repeating: 0, count: LineHeadParser.cpuCountMax)
  }

  deinit { stamps.deallocate() }

  /// The last stamp of each CPU that has one.
  var all: [(cpu: UInt16, last: Nanoseconds)] {
    (0..<LineHeadParser.cpuCountMax).filter { stamps[$0] > 0 }.map { (UInt16($0), Nanoseconds(stamps[$0])) }
  }

  /// Takes in the stamp of a line; where it goes back by more than clocks do, the one before it.
  @inline(__always)
  func note(_ stamp: UInt64, of cpu: UInt16) -> UInt64? {
    let before = stamps[Int(cpu)]
    stamps[Int(cpu)] = stamp
    return stamp.addingSaturated(jitter) < before ? before : nil
  }
}
