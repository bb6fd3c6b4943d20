public import KVMTypes
internal import Stage2Model
internal import Stage2Replay

/// The recorded time under a VM's `mmu_lock`, and before it, over time. Time held and waited counts with each interval that it lies in; how
/// many holds and waits there are, and how long they took, with the interval in which they began.
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

    /// It was held for so long.
    mutating func hold(_ mode: LockMode, _ part: UInt64) {
      if mode == .write {
        writeHeld = writeHeld.addingSaturated(part)
      } else {
        readHeld = readHeld.addingSaturated(part)
      }
    }

    /// It was waited for so long.
    mutating func wait(_ part: UInt64) { waited = waited.addingSaturated(part) }

    /// A hold begins, and will take so long.
    mutating func beginHold(_ duration: Nanoseconds) { holds.add(duration) }

    /// A wait begins, and will take so long.
    mutating func beginWait(_ duration: Nanoseconds) { waits.add(duration) }

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

  /// By interval.
  public private(set) var bins = TimeBins<Bin>()

  /// No times.
  public init() {}

  mutating func add(_ hold: RecordedHold) {
    bins.spread(from: hold.time, hold.duration) { $0.hold(hold.mode, $1) }
    bins.with(hold.time) { $0.beginHold(hold.duration) }
  }

  mutating func add(_ wait: RecordedWait) {
    bins.spread(from: wait.time, wait.duration) { $0.wait($1) }
    bins.with(wait.time) { $0.beginWait(wait.duration) }
  }
}
