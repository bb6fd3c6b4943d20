/// A thread of the traced host (`common_pid`). KVM knows vCPUs by the threads that run them.
@frozen
public struct ThreadID: Hashable, Comparable, Sendable {
  /// The number that the kernel's tracer records.
  public var rawValue: Int32

  /// The thread `rawValue`.
  @inlinable
  public init(_ rawValue: Int32) { self.rawValue = rawValue }

  /// By number.
  @inlinable
  public static func < (a: ThreadID, b: ThreadID) -> Bool { a.rawValue < b.rawValue }
}

/// A processor of the traced host.
@frozen
public struct CPUIndex: Hashable, Comparable, Sendable {
  /// The kernel's number of the processor.
  public var rawValue: UInt16

  /// The processor `rawValue`.
  @inlinable
  public init(_ rawValue: UInt16) { self.rawValue = rawValue }

  /// By number.
  @inlinable
  public static func < (a: CPUIndex, b: CPUIndex) -> Bool { a.rawValue < b.rawValue }
}
