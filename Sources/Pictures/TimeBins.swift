public import KVMTypes

/// What happened in an interval; two that follow each other can become one.
public protocol Mergeable {
  /// Nothing happened.
  init()
  /// What happened in the interval that follows, too.
  mutating func merge(_ next: Self)
}

/// Intervals of equal length from the first moment on, which double where they would be too many: so they need neither know how
/// long a trace is nor be counted again at its end.
public struct TimeBins<Bin: Mergeable> {
  /// The most intervals.
  public static var intervalsMax: Int { 256 }
  /// The length that intervals begin with: a microsecond, or so many ticks of a clock that counts those.
  private static var shortest: UInt64 { 1000 }

  /// The beginning of the first interval; nothing has happened before it is known.
  public private(set) var start: Nanoseconds?
  /// The length of an interval.
  public private(set) var interval = Nanoseconds(shortest)
  /// One for each interval from the first to the last in which anything happened.
  public private(set) var bins: [Bin] = []

  /// Nothing yet.
  public init() {}

  /// Where an interval begins.
  public func begin(of index: Int) -> Nanoseconds {
    (start ?? Nanoseconds(0)) + Nanoseconds(UInt64(index).multipliedSaturated(by: interval.rawValue))
  }

  /// The interval of a moment; what comes late, with an earlier moment than the first, counts with the first interval.
  public mutating func with(_ time: Nanoseconds, _ body: (inout Bin) -> Void) {
    let position = position(of: time)
    while bins.count <= position { bins.append(Bin()) }
    body(&bins[position])
  }

  private mutating func position(of time: Nanoseconds) -> Int {
    guard let start else {
      start = time
      return 0
    }
    guard time > start else { return 0 }
    let since = time.rawValue - start.rawValue
    while since / interval.rawValue >= UInt64(Self.intervalsMax) { double() }
    return Int(since / interval.rawValue)
  }

  /// Two intervals become one.
  private mutating func double() {
    interval = Nanoseconds(interval.rawValue.multipliedSaturated(by: 2))
    for position in stride(from: 0, to: bins.count, by: 2) {
      var bin = bins[position]
      if position + 1 < bins.count { bin.merge(bins[position + 1]) }
      bins[position / 2] = bin
    }
    bins.removeLast(bins.count / 2)
  }
}

extension TimeBins: Sendable where Bin: Sendable {}
