public import KVMTypes

/// What one client did with the lock in one mode, or several clients together.
@frozen
public struct LockUsage: Sendable {
  /// How often it was given.
  public private(set) var acquisitions = 0
  /// The waits of those acquisitions that had to wait: what `lock:contention_begin` and
  /// `lock:contention_end` enclose.
  public private(set) var wait = SimulatedTimes()
  /// How long it was held, for holds that ended.
  public private(set) var hold = SimulatedTimes()

  /// Nothing yet.
  public init() {}

  @usableFromInline
  mutating func granted(waited: UInt64) {
    acquisitions &+= 1
    if waited > 0 { wait.record(waited) }
  }

  @usableFromInline
  mutating func released(held: UInt64) { hold.record(held) }

  /// Adds what was done in another mode, or by other clients.
  public mutating func add(_ other: LockUsage) {
    acquisitions += other.acquisitions
    wait.add(other.wait)
    hold.add(other.hold)
  }

  /// The mean wait in nanoseconds of all acquisitions, those included that did not have to wait.
  public var meanWait: Double {
    acquisitions == 0 ? 0 : Double(wait.total.rawValue) / Double(acquisitions)
  }

  /// The wait that the share `fraction` of all acquisitions does not exceed, those included that did not have
  /// to wait. `wait.quantile` leaves them out.
  public func waitQuantile(_ fraction: Double) -> Nanoseconds {
    if acquisitions == 0 { return Nanoseconds(0) }
    let atOnce = Double(acquisitions - wait.count) / Double(acquisitions)
    if fraction <= atOnce { return Nanoseconds(0) }
    return wait.quantile((fraction - atOnce) / (1 - atOnce))
  }
}
