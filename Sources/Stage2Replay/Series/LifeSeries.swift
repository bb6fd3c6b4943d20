public import KVMTypes

/// What the stage 2 of one VM occupied over the VM's own life, in execution time: as it was at the end of each of a limited
/// number of intervals of equal length.
///
/// The intervals begin with the VM and double where they would be too many. So how fine they are depends on how long the VM
/// lived, and not, as with `MemorySeries`, on the trace that it lived in.
public struct LifeSeries: Sendable {
  /// The most intervals.
  public static let intervalsMax = 128

  /// What it was at the end of one interval.
  public struct Sample: Hashable, Sendable {
    /// All that the stage 2 occupied.
    public var totalBytes: Int
    /// The mapping objects among it.
    public var mappingTreeBytes: Int
    /// Pages that count as SecPageTables.
    public var secPageTables: Int
    /// Pages of RAM that faults had shown in use by then.
    public var shownPages: Int

    init(_ memory: MemorySample, shownPages: Int) {
      totalBytes = memory.totalBytes
      mappingTreeBytes = memory.mappingTreeBytes
      secPageTables = memory.secPageTables
      self.shownPages = shownPages
    }
  }

  private var intervals: EqualIntervals
  /// One for each interval from the first on.
  public private(set) var samples: [Sample] = []

  init(from start: Nanoseconds) { intervals = EqualIntervals(from: start) }

  /// The beginning of the first interval.
  public var start: Nanoseconds { intervals.start }

  /// The length of an interval.
  public var interval: Nanoseconds { intervals.length }

  /// Where the interval ends that is under way.
  var boundary: Nanoseconds { end(of: samples.count) }

  /// Where an interval ends.
  public func end(of index: Int) -> Nanoseconds { intervals.end(of: index) }

  /// The series with intervals until that of `time`, at the end of which all is as it was last.
  public func extended(to time: Nanoseconds) -> LifeSeries {
    guard let last = samples.last else { return self }
    var longer = self
    longer.advance(to: time, last)
    if longer.samples.isEmpty || longer.end(of: longer.samples.count - 1) <= time {
      longer.samples.append(last)
    }
    return longer
  }

  /// The intervals before that of `time` end with `now`.
  mutating func advance(to time: Nanoseconds, _ now: Sample) {
    guard time > start else { return }
    while intervals.position(of: time) >= Self.intervalsMax { double() }
    let current = intervals.position(of: time)
    while samples.count < current { samples.append(now) }
  }

  /// The interval under way is the last one, and ends with `now`.
  mutating func finish(_ now: Sample) { samples.append(now) }

  /// Two intervals become one, which ends as the second one did. Where that is still under way there is no sample of it.
  private mutating func double() {
    samples = stride(from: 1, to: samples.count, by: 2).map { samples[$0] }
    intervals.double()
  }
}
