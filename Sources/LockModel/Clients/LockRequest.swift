public import KVMTypes

/// One section under the lock, and the time that passes before it is asked for.
@frozen
public struct LockRequest: Hashable, Sendable {
  /// The time between the client's last release and the request; for an open client, between its last
  /// request and this one.
  public var think: Nanoseconds
  /// How long the section takes once it has the lock, all its pieces together.
  public var hold: Nanoseconds
  /// How it takes the lock.
  public var use: LockUse
  /// Points inside, at equal distances, where the lock is dropped if somebody waits; the section then queues
  /// up again for the rest (`LockSection.reschedPoints`).
  public var reschedPoints: UInt32

  /// A section that is asked for `think` after the last one.
  @inlinable
  public init(think: Nanoseconds, use: LockUse, hold: Nanoseconds, reschedPoints: UInt32 = 0) {
    self.think = think
    self.hold = hold
    self.use = use
    self.reschedPoints = reschedPoints
  }
}
