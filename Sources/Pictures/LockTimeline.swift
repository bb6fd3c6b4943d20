public import KVMTypes
internal import Stage2Model
internal import Stage2Replay

/// The recorded time under a VM's `mmu_lock`, and before it, over time. What lasts longer than an interval counts with the one in which
/// it began.
public struct LockTimeline: Sendable {
  /// The times of one interval.
  public struct Bin: Mergeable, Sendable {
    /// Held to read.
    public private(set) var readHeld: UInt64 = 0
    /// Held to write.
    public private(set) var writeHeld: UInt64 = 0
    /// Waited for, to read or to write.
    public private(set) var waited: UInt64 = 0
    /// The holds.
    public private(set) var holds = Durations()
    /// The waits.
    public private(set) var waits = Durations()

    /// None.
    public init() {}

    mutating func add(_ hold: RecordedHold) {
      if hold.mode == .write {
        writeHeld = writeHeld.addingSaturated(hold.duration.rawValue)
      } else {
        readHeld = readHeld.addingSaturated(hold.duration.rawValue)
      }
      holds.add(hold.duration)
    }

    mutating func add(_ wait: RecordedWait) {
      waited = waited.addingSaturated(wait.duration.rawValue)
      waits.add(wait.duration)
    }

    /// The times of the next interval, too.
    public mutating func merge(_ next: Bin) {
      readHeld = readHeld.addingSaturated(next.readHeld)
      writeHeld = writeHeld.addingSaturated(next.writeHeld)
      waited = waited.addingSaturated(next.waited)
      holds.merge(next.holds)
      waits.merge(next.waits)
    }
  }

  /// How long some things took.
  public struct Durations: Sendable {
    private var counts = DurationCounts()
    /// How many there are.
    public private(set) var count: UInt64 = 0
    /// The longest; 0 where there is none.
    public private(set) var longest = Nanoseconds(0)

    mutating func add(_ duration: Nanoseconds) {
      counts.add(duration.rawValue)
      count += 1
      longest = max(longest, duration)
    }

    mutating func merge(_ other: Durations) {
      counts.merge(other.counts)
      count += other.count
      longest = max(longest, other.longest)
    }

    /// What `percent` of them do not exceed, to two significant digits; nil where there is none.
    public func percentile(_ percent: Int) -> Nanoseconds? {
      guard count > 0 else { return nil }
      let rank = (count * UInt64(percent) + 99) / 100
      return min(Nanoseconds(counts.durations(atRanks: [max(rank, 1)])[0]), longest)
    }
  }

  /// By the moment at which they began.
  public private(set) var bins = TimeBins<Bin>()

  /// No times.
  public init() {}

  mutating func add(_ hold: RecordedHold) { bins.with(hold.time) { $0.add(hold) } }

  mutating func add(_ wait: RecordedWait) { bins.with(wait.time) { $0.add(wait) } }
}
