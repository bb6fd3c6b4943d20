internal import KVMTypes

/// A tournament of the streams' next stamps: who is first, and who would be next. Equal stamps go by the order of the streams.
///
/// Every inner node of a binary tree over the streams keeps who lost there. When the winner goes on, its new stamp meets the losers
/// on its way up: as many steps as the tree is high, whatever the stamps are, and none is a branch that could be mispredicted, as
/// those of a heap are for every other run.
///
/// Invariant: `losers` holds `size` entries until deinit, of which the first is not used; `size` is a power of two, no less than the
/// number of streams.
struct StreamTournament: ~Copyable {
  /// A stamp and the stream that has it, to be compared in one step.
  struct Entry: Comparable {
    private let key: UInt128
    /// What a stream that has ended adds to its number.
    private static let endMark: UInt64 = 1 << 63

    private init(key: UInt128) { self.key = key }

    init(time: Nanoseconds, stream: Int) {
      key = UInt128(time.rawValue) << 64 | UInt128(UInt64(UInt(bitPattern: stream)))
    }

    /// The stream has no stamp left: behind every other entry.
    init(endOf stream: Int) {
      key = UInt128(UInt64.max) << 64 | UInt128(UInt64(UInt(bitPattern: stream)) | Self.endMark)
    }

    var time: Nanoseconds { Nanoseconds(UInt64(truncatingIfNeeded: key >> 64)) }
    var stream: Int { Int(truncatingIfNeeded: UInt64(truncatingIfNeeded: key) & ~Self.endMark) }
    var isEnd: Bool { UInt64(truncatingIfNeeded: key) & Self.endMark != 0 }

    /// The earlier of two entries and the later one, by arithmetic: a compiler makes branches of what is compared and chosen.
    @inline(__always)
    static func ordered(_ a: Entry, _ b: Entry) -> (Entry, Entry) {
      let borrow = b.key.subtractingReportingOverflow(a.key).overflow
      let mask = 0 &- UInt64(truncatingIfNeeded: borrow ? 1 : 0)
      let swap = (a.key ^ b.key) & (UInt128(mask) << 64 | UInt128(mask))
      return (Entry(key: a.key ^ swap), Entry(key: b.key ^ swap))
    }

    @inline(__always)
    static func < (a: Entry, b: Entry) -> Bool { a.key < b.key }
  }

  private let losers: UnsafeMutablePointer<Entry>
  private let size: Int
  private var winner: Entry
  /// The earliest of all but the winner.
  private var second: Entry

  /// A tournament of the streams whose first stamps these are, nil for one without any.
  init(_ first: [Nanoseconds?]) {
    var size = 2
    while size < first.count { size *= 2 }
    self.size = size
    losers = .allocate(capacity: size)
    losers.initialize(repeating: Entry(endOf: 0), count: size)
    // The winners of the nodes, of which the leaves are the streams.
    var winners = (0..<2 * size).map { node in
      let stream = max(node - size, 0)
      let time = stream < first.count ? first[stream] : nil
      return time.map { Entry(time: $0, stream: stream) } ?? Entry(endOf: stream)
    }
    for node in (1..<size).reversed() {
      winners[node] = min(winners[2 * node], winners[2 * node + 1])
      losers[node] = max(winners[2 * node], winners[2 * node + 1])
    }
    winner = winners[1]
    second = Self.second(to: winner, losers, size)
  }

  deinit { losers.deallocate() }

  /// The stream with the earliest stamp, nil where all have ended.
  @inline(__always)
  var top: Entry? { winner.isEnd ? nil : winner }

  /// The stamp before which everything of the top stream comes before all other streams; nil where nothing else is left.
  @inline(__always)
  var bound: Nanoseconds? {
    if second.isEnd { return nil }
    // Of equal stamps the top one goes first if its stream does.
    guard winner.stream < second.stream else { return second.time }
    return second.time.rawValue == .max ? nil : Nanoseconds(second.time.rawValue &+ 1)
  }

  /// The top stream goes on with `time`.
  @inline(__always)
  mutating func replaceTop(time: Nanoseconds) { replay(Entry(time: time, stream: winner.stream)) }

  /// The top stream has ended.
  mutating func removeTop() { replay(Entry(endOf: winner.stream)) }

  /// The winner's stream comes again, as `entry`.
  @inline(__always)
  private mutating func replay(_ entry: Entry) {
    var next = entry
    var node = (size &+ entry.stream) &>> 1
    while node > 0 {
      (next, losers[node]) = Entry.ordered(next, losers[node])
      node &>>= 1
    }
    winner = next
    second = Self.second(to: next, losers, size)
  }

  /// The earliest of those who lost to `winner`.
  @inline(__always)
  private static func second(
    to winner: Entry, _ losers: UnsafeMutablePointer<Entry>, _ size: Int
  ) -> Entry {
    var node = (size &+ winner.stream) &>> 1
    var second = losers[node]
    node &>>= 1
    while node > 0 {
      second = Entry.ordered(second, losers[node]).0
      node &>>= 1
    }
    return second
  }
}
