internal import KVMTypes
internal import SeededRandom

/// Clients that repeat what was recorded: each its own sequence of sections, once or over and over.
public struct RecordedClients: LockClients, Sendable {
  /// The sections of all recorded clients, one client after the other. Clones share them.
  @usableFromInline let requests: [LockRequest]
  @usableFromInline var cursors: [Cursor]
  @usableFromInline let loops: Bool

  /// Where a client is in its sequence.
  @usableFromInline
  struct Cursor: Sendable {
    @usableFromInline var next: Int
    @usableFromInline let lower: Int
    @usableFromInline let upper: Int
    /// Sections to hand out yet; without end where the sequence loops.
    @usableFromInline var left: Int

    init(next: Int, lower: Int, upper: Int, left: Int) {
      self.next = next
      self.lower = lower
      self.upper = upper
      self.left = left
    }
  }

  /// Clients as recorded, each from its first section on.
  ///
  /// - Parameters:
  ///   - recorded: each client's sections in the order of time.
  ///   - loops: whether a client begins anew after its last section. A sequence that takes no time at all
  ///     does not, for it would never let the others go on.
  public init(_ recorded: [[LockRequest]], loops: Bool) {
    self.init(recorded, count: recorded.count, seed: 0, loops: loops)
  }

  /// `count` clients made of the recorded ones: the first of them where there are fewer, clones where there
  /// are more. A clone begins somewhere else in the sequence, drawn with `seed`, so that it does not run in
  /// step with its original.
  ///
  /// Clients without sections are left out first, unless `count` is the recorded number.
  public init(_ recorded: [[LockRequest]], count: Int, seed: UInt64, loops: Bool) {
    self.loops = loops
    requests = recorded.flatMap { $0 }
    var ranges: [Range<Int>] = []
    var start = 0
    for sequence in recorded {
      if !sequence.isEmpty || count == recorded.count { ranges.append(start..<(start + sequence.count)) }
      start += sequence.count
    }
    cursors = []
    guard !ranges.isEmpty else { return }
    for client in 0..<count {
      let range = ranges[client % ranges.count]
      var random = SplitMix64(seed: seed, stream: client)
      let isClone = client >= ranges.count && !range.isEmpty
      let takesTime = requests[range].contains { $0.think.rawValue != 0 || $0.hold.rawValue != 0 }
      cursors.append(
        Cursor(
          next: isClone ? range.lowerBound + random.below(range.count) : range.lowerBound,
          lower: range.lowerBound, upper: range.upperBound,
          left: loops && takesTime ? .max : range.count))
    }
  }

  /// How many clients there are.
  @inlinable
  public var count: Int { cursors.count }

  /// The client's next recorded section.
  @inlinable
  public mutating func next(_ client: Int) -> LockRequest? {
    if cursors[client].left == 0 { return nil }
    if !loops || cursors[client].left != .max { cursors[client].left -= 1 }
    let index = cursors[client].next
    cursors[client].next = index + 1 == cursors[client].upper ? cursors[client].lower : index + 1
    return requests[index]
  }
}
