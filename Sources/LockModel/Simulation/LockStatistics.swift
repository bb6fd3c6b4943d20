/// What a simulation counts as it goes.
@usableFromInline
struct LockStatistics {
  /// Since when.
  @usableFromInline var start: UInt64 = 0
  /// Requests, ends of holds and of their pieces.
  @usableFromInline var events = 0
  @usableFromInline var acquisitions = 0
  /// Locks dropped at resched points.
  @usableFromInline var drops = 0
  /// Of each client first what it read, then what it wrote.
  @usableFromInline var usages: ContiguousArray<LockUsage>
  /// Sections that each client ended.
  @usableFromInline var sections: ContiguousArray<Int>
  /// Integrals over time of the number that wait and of the number that read.
  @usableFromInline var waiterTime = 0.0
  @usableFromInline var readerTime = 0.0
  /// Time with at least one reader, and with a writer, without the hold that is going on.
  @usableFromInline var readTime: UInt64 = 0
  @usableFromInline var writtenTime: UInt64 = 0
  @usableFromInline var longestChain: UInt64 = 0
  @usableFromInline var longestChainStart: UInt64 = 0
  @usableFromInline var mostWaiters = 0

  @usableFromInline
  init(clients: Int) {
    usages = ContiguousArray(repeating: LockUsage(), count: 2 * clients)
    sections = ContiguousArray(repeating: 0, count: clients)
  }

  @inlinable
  @inline(__always)
  mutating func granted(_ client: Int, writes: Bool, waited: UInt64) {
    acquisitions &+= 1
    usages[client &* 2 &+ (writes ? 1 : 0)].granted(waited: waited)
  }

  @inlinable
  @inline(__always)
  mutating func released(_ client: Int, writes: Bool, held: UInt64) {
    usages[client &* 2 &+ (writes ? 1 : 0)].released(held: held)
  }

  @inlinable
  @inline(__always)
  mutating func note(chainFrom start: UInt64, to end: UInt64) {
    if end &- start > longestChain {
      longestChain = end &- start
      longestChainStart = start
    }
  }
}
