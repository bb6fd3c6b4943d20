/// Who uses the lock: threads that think, ask for the lock, hold it and release it, over and over.
///
/// A client is closed unless it says otherwise: it asks again only after its release, as a thread does. The
/// simulation is generic over this protocol, so that `next` is inlined into its loop.
public protocol LockClients {
  /// How many clients there are; they are numbered from 0.
  var count: Int { get }

  /// Whether a client asks at its own pace, with any number of sections waiting at once: an arrival process,
  /// not a thread.
  func isOpen(_ client: Int) -> Bool

  /// The next section of `client`, nil when it has no more.
  mutating func next(_ client: Int) -> LockRequest?
}

extension LockClients {
  /// Closed.
  @inlinable
  public func isOpen(_ client: Int) -> Bool { false }
}

/// Two groups of clients on one lock: the vCPUs, and threads of the host beside them (ages, unmaps, dirty
/// logging). The second group is numbered after the first.
@frozen
public struct JoinedClients<First: LockClients, Second: LockClients>: LockClients {
  /// The clients with the lower numbers.
  public var first: First
  /// The others.
  public var second: Second
  @usableFromInline let boundary: Int

  /// Both groups.
  @inlinable
  public init(_ first: First, _ second: Second) {
    self.first = first
    self.second = second
    boundary = first.count
  }

  /// The clients of both groups.
  @inlinable
  public var count: Int { boundary + second.count }

  /// As the group says.
  @inlinable
  public func isOpen(_ client: Int) -> Bool {
    client < boundary ? first.isOpen(client) : second.isOpen(client - boundary)
  }

  /// As the group says.
  @inlinable
  public mutating func next(_ client: Int) -> LockRequest? {
    client < boundary ? first.next(client) : second.next(client - boundary)
  }
}

extension JoinedClients: Sendable where First: Sendable, Second: Sendable {}
