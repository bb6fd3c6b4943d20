public import KVMTypes
public import SeededRandom

/// Clients whose times follow stated distributions: closed ones that think, or one open stream of arrivals.
@frozen
public struct DrawnClients<Think: TimeDistribution, Hold: TimeDistribution>: LockClients {
  /// The time between release and request; between requests for an open stream.
  public let think: Think
  /// The time under the lock.
  public let hold: Hold
  /// The share of requests that read, in 2^-32; the others write.
  @usableFromInline let readShare: UInt64
  @usableFromInline let arrives: Bool
  @usableFromInline var random: [SplitMix64]

  /// Closed clients, of whose sections the share `reads`, from 0 to 1, takes the lock for reading.
  @inlinable
  public init(count: Int, think: Think, hold: Hold, reads: Double, seed: UInt64) {
    self.init(count: count, think: think, hold: hold, reads: reads, seed: seed, arrives: false)
  }

  /// One open client: arrivals with `gaps` between them. With exponential gaps they are a Poisson process.
  @inlinable
  public init(arrivals gaps: Think, hold: Hold, reads: Double, seed: UInt64) {
    self.init(count: 1, think: gaps, hold: hold, reads: reads, seed: seed, arrives: true)
  }

  @usableFromInline
  init(count: Int, think: Think, hold: Hold, reads: Double, seed: UInt64, arrives: Bool) {
    self.think = think
    self.hold = hold
    self.arrives = arrives
    readShare = UInt64(min(1, max(0, reads)) * 0x1p32)
    random = (0..<count).map { SplitMix64(seed: seed, stream: $0) }
  }

  /// How many clients there are.
  @inlinable
  public var count: Int { random.count }

  /// Whether this is a stream of arrivals.
  @inlinable
  public func isOpen(_ client: Int) -> Bool { arrives }

  /// Draws the times, and where both uses occur, the use.
  @inlinable
  public mutating func next(_ client: Int) -> LockRequest? {
    let pause = think.sample(&random[client])
    let length = hold.sample(&random[client])
    let reads =
      readShare == 0 ? false : readShare == 1 << 32 ? true : random[client].next() >> 32 < readShare
    return LockRequest(think: Nanoseconds(pause), use: reads ? .read : .write, hold: Nanoseconds(length))
  }
}

extension DrawnClients: Sendable where Think: Sendable, Hold: Sendable {}
