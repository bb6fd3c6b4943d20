internal import KVMTypes

/// A tournament of the streams' next stamps: who is first, and who would be next. Equal stamps go by the order of the streams.
///
/// Every inner node of a binary tree over the streams keeps who lost there. When the winner goes on, its new stamp meets the losers
/// on its way up: as many steps as the tree is high, whatever the stamps are, and none is a branch that could be mispredicted, as
/// those of a heap are for every other run.
///
/// A stamp and its stream make one number, in which stamps count from a little before the first one on. With 8 streams there is
/// room for 70 years, with 4,096 for 50 days; a stamp that lies outside, which only damage makes, counts as the edge.
///
/// Invariant: `losers` holds `size` keys until deinit, of which the first is not used; `size` is a power of two, no less than the
/// number of streams.
struct StreamTournament: ~Copyable {
  /// A stamp and the stream that has it, to be compared in one step: the distance of the stamp from `base` above the stream's number.
  private typealias Key = UInt64

  private let losers: UnsafeMutablePointer<Key>
  private let size: Int
  /// How many bits the number of a stream takes.
  private let streamBits: UInt64
  /// Where stamps count from.
  private let base: UInt64
  /// The least key of a stream that has no stamp left.
  private let endKey: Key
  private var winner: Key
  /// The earliest of all but the winner.
  private var second: Key

  /// A tournament of the streams whose first stamps these are, nil for one without any.
  init(_ first: [Nanoseconds?]) {
    var size = 2
    while size < first.count { size *= 2 }
    let streamBits = UInt64(size.trailingZeroBitCount)
    let earliest = first.compactMap { $0?.rawValue }.min() ?? 0
    let base = earliest - min(earliest, (UInt64.max >> streamBits) / 16)
    // The winners of the nodes, of which the leaves are the streams.
    var winners = (0..<2 * size).map { node -> Key in
      let stream = max(node - size, 0)
      let time = stream < first.count ? first[stream] : nil
      return Self.key(time, stream, since: base, streamBits)
    }
    losers = .allocate(capacity: size)
    losers.initialize(repeating: 0, count: size)
    for node in (1..<size).reversed() {
      winners[node] = min(winners[2 * node], winners[2 * node + 1])
      losers[node] = max(winners[2 * node], winners[2 * node + 1])
    }
    (self.size, self.streamBits, self.base) = (size, streamBits, base)
    endKey = Self.key(nil, 0, since: base, streamBits)
    winner = winners[1]
    second = Self.second(to: winner, losers, size)
  }

  deinit { losers.deallocate() }

  /// The key of a stamp, or of a stream that has no stamp left: behind every other one.
  @inline(__always)
  private static func key(
    _ time: Nanoseconds?, _ stream: Int, since base: UInt64, _ streamBits: UInt64
  ) -> Key {
    let end = UInt64.max &>> streamBits
    guard let time else { return end &<< streamBits | UInt64(UInt(bitPattern: stream)) }
    let distance = time.rawValue < base ? 0 : min(time.rawValue &- base, end &- 1)
    return distance &<< streamBits | UInt64(UInt(bitPattern: stream))
  }

  @inline(__always)
  private func stream(_ key: Key) -> Int { Self.stream(key, size) }

  @inline(__always)
  private static func stream(_ key: Key, _ size: Int) -> Int { Int(truncatingIfNeeded: key) & (size &- 1) }

  @inline(__always)
  private func isEnd(_ key: Key) -> Bool { key >= endKey }

  /// The stream with the earliest stamp, nil where all have ended.
  @inline(__always)
  var top: Int? { isEnd(winner) ? nil : stream(winner) }

  /// The stamp before which everything of the top stream comes before all other streams; nil where nothing else is left.
  @inline(__always)
  var bound: Nanoseconds? {
    if isEnd(second) { return nil }
    // Of equal stamps the top one goes first if its stream does.
    let distance = second &>> streamBits &+ (stream(winner) < stream(second) ? 1 : 0)
    let (bound, isBeyond) = base.addingReportingOverflow(distance)
    return isBeyond ? nil : Nanoseconds(bound)
  }

  /// The top stream goes on with `time`.
  @inline(__always)
  mutating func replaceTop(time: Nanoseconds) {
    replay(Self.key(time, stream(winner), since: base, streamBits))
  }

  /// The top stream has ended.
  mutating func removeTop() { replay(Self.key(nil, stream(winner), since: base, streamBits)) }

  /// The winner's stream comes again, as `key`.
  @inline(__always)
  private mutating func replay(_ key: Key) {
    var next = key
    var node = (size &+ stream(key)) &>> 1
    while node > 0 {
      (next, losers[node]) = Self.ordered(next, losers[node])
      node &>>= 1
    }
    winner = next
    second = Self.second(to: next, losers, size)
  }

  /// The earliest of those who lost to `winner`.
  @inline(__always)
  private static func second(to winner: Key, _ losers: UnsafeMutablePointer<Key>, _ size: Int) -> Key {
    var node = (size &+ stream(winner, size)) &>> 1
    var second = losers[node]
    node &>>= 1
    while node > 0 {
      second = ordered(second, losers[node]).0
      node &>>= 1
    }
    return second
  }

  /// The earlier of two keys and the later one, by arithmetic: a compiler makes branches of what is compared and chosen.
  @inline(__always)
  private static func ordered(_ a: Key, _ b: Key) -> (Key, Key) {
    let swap = (a ^ b) & (0 &- (b < a ? 1 : 0))
    return (a ^ swap, b ^ swap)
  }
}
