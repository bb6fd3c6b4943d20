/// The clock of a recording's stamps, as Perfetto knows it.
///
/// The stamps are written as they are. Beside another trace they lie where they belong if Perfetto knows the clock and that
/// trace has snapshots of it, which every recording of Perfetto has.
public enum RecordingClock: Hashable, Sendable {
  /// CLOCK_BOOTTIME: what a trace of Perfetto is of, unless it says otherwise.
  case boot
  /// CLOCK_MONOTONIC.
  case monotonic
  /// CLOCK_MONOTONIC_RAW.
  case monotonicRaw
  /// One that Perfetto knows nothing of: the stamps are times of a time line of their own.
  case unknown(name: String)
  /// One that does not count nanoseconds: what the UI calls one is a tick.
  case ticks(name: String)

  /// - Parameters:
  ///   - name: the kernel's name for it, of `trace_clock`; nil where the recording does not tell.
  ///   - isNanoseconds: whether it counts those.
  public init(_ name: String?, isNanoseconds: Bool = true) {
    self =
      switch name ?? "" {
      case let name where !isNanoseconds: .ticks(name: name)
      case "boot": .boot
      case "mono": .monotonic
      case "mono_raw": .monotonicRaw
      case let name: .unknown(name: name)
      }
  }

  /// BuiltinClock.
  var id: UInt64? {
    switch self {
    case .boot: 6
    case .monotonic: 3
    case .monotonicRaw: 5
    case .unknown, .ticks: nil
    }
  }

  /// Whether a trace has to say that its own time is that of this clock.
  var isStated: Bool { id != nil && self != .boot }

  /// What somebody has to know who opens the tracks beside another trace of the same host; nil where they lie as they
  /// should.
  public var doubt: String? {
    switch self {
    case .boot, .monotonic, .monotonicRaw: nil
    case .unknown(let name):
      "the recording's clock\(name.isEmpty ? " is not told, and" : ", \(name),") is none that Perfetto knows: the stamps are "
        + "written as they are, and lie beside another trace only if that has the same clock; trace-cmd record -C boot makes a "
        + "recording that does"
    case .ticks(let name):
      "the recording's clock, \(name), counts ticks: what the UI calls a nanosecond is one of them"
    }
  }
}
