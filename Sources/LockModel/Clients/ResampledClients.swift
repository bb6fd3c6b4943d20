public import SeededRandom

/// Clients that draw whole sections, with the time before them, from those recorded: independent of each
/// other and without end, for runs longer than the recording and for more clients than it had.
///
/// What is kept is the joint distribution of think time, use and hold time; what is lost is the order:
/// phases of a workload, such as boot and idle, are mixed.
public struct ResampledClients: LockClients, Sendable {
  @usableFromInline let requests: [LockRequest]
  @usableFromInline let ranges: [Range<Int>]
  @usableFromInline var random: [SplitMix64]

  /// `count` clients; client `i` draws from recorded client `i` modulo their number, with numbers of its own.
  /// Recorded clients without sections are left out.
  public init(_ recorded: [[LockRequest]], count: Int, seed: UInt64) {
    requests = recorded.flatMap { $0 }
    var nonempty: [Range<Int>] = []
    var start = 0
    for sequence in recorded {
      if !sequence.isEmpty { nonempty.append(start..<(start + sequence.count)) }
      start += sequence.count
    }
    let count = nonempty.isEmpty ? 0 : count
    ranges = (0..<count).map { nonempty[$0 % nonempty.count] }
    random = (0..<count).map { SplitMix64(seed: seed, stream: $0) }
  }

  /// How many clients there are.
  @inlinable
  public var count: Int { ranges.count }

  /// A section of those recorded, each as likely as the others.
  @inlinable
  public mutating func next(_ client: Int) -> LockRequest? {
    let range = ranges[client]
    return requests[range.lowerBound &+ random[client].below(range.count)]
  }
}
