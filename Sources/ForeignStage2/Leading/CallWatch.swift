/// How long a follower has been in one call, as far as somebody looked: while this program was stopped, or had no time of its own, so may
/// have been the follower.
package struct CallWatch {
  /// So much may pass from one look to the next.
  private static let step = Duration.milliseconds(100)

  private var call: UInt64?
  private var time = Duration.zero
  private var last: ContinuousClock.Instant?

  package init() {}

  /// Looks once more.
  ///
  /// - Parameters:
  ///   - call: the call that the follower is in; nil where it is in none.
  ///   - now: when that is.
  ///   - limit: so long it may take.
  /// - Returns: whether it took longer.
  package mutating func isOver(
    in call: UInt64?, at now: ContinuousClock.Instant, limit: Duration
  ) -> Bool {
    let passed = last.map { min(now - $0, Self.step) } ?? .zero
    time = call == self.call ? time + passed : .zero
    (self.call, last) = (call, now)
    return call != nil && time > limit
  }
}
