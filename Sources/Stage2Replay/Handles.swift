// What a replay counts and names things by. Numbers of different meaning do not mix.

/// An event's place in the merged trace, counted from 1; `start` stands before the first.
struct Sequence: Hashable, Comparable, Sendable, BitwiseCopyable {
  let rawValue: UInt64

  init(_ rawValue: UInt64) { self.rawValue = rawValue }

  /// Before every event.
  static let start = Sequence(0)
  /// Behind every event: what has not happened yet.
  static let pending = Sequence(.max)

  @inline(__always)
  static func < (a: Sequence, b: Sequence) -> Bool { a.rawValue < b.rawValue }

  @inline(__always)
  mutating func advance() { self = Sequence(rawValue &+ 1) }
}

/// A stretch of the trace in which either no events are missing (even numbers) or some are (odd ones); see `LossLog`.
struct Epoch: Hashable, Comparable, Sendable, BitwiseCopyable {
  let rawValue: Int32

  init(_ rawValue: Int32) { self.rawValue = rawValue }

  /// No epoch: what was never known. No event is of it.
  static let never = Epoch(-1)

  /// The stretch before any event is missing.
  static let beginning = Epoch(0)

  /// Whether events are missing in it.
  @inline(__always)
  var isInGap: Bool { rawValue & 1 != 0 }

  static func < (a: Epoch, b: Epoch) -> Bool { a.rawValue < b.rawValue }
}

/// A thread, by the order in which threads appear in the trace.
struct ThreadIndex: Hashable, Comparable, Sendable, BitwiseCopyable {
  let rawValue: Int32

  @inline(__always)
  init(_ position: Int) { rawValue = Int32(truncatingIfNeeded: position) }

  /// Its position in tables.
  @inline(__always)
  var position: Int { Int(rawValue) }

  static func < (a: ThreadIndex, b: ThreadIndex) -> Bool { a.rawValue < b.rawValue }
}

/// Threads in the order in which they appear. A type of its own, for a loop over a lazy collection is not specialised: where each of
/// thousands of gaps asks thousands of threads, that took most of a replay.
struct ThreadIndices: RandomAccessCollection {
  let count: Int

  var startIndex: Int { 0 }
  var endIndex: Int { count }

  @inline(__always)
  subscript(position: Int) -> ThreadIndex { ThreadIndex(position) }
}

/// A VM, by the order in which VMs appear: its number in the report. The address of a `struct kvm` is used again; this
/// is not.
package struct VMIndex: Hashable, Comparable, Sendable, BitwiseCopyable {
  package let rawValue: Int32

  @inline(__always)
  package init(_ position: Int) { rawValue = Int32(truncatingIfNeeded: position) }

  /// Its position in tables, and its number in the report.
  @inline(__always)
  package var position: Int { Int(rawValue) }

  package static func < (a: VMIndex, b: VMIndex) -> Bool { a.rawValue < b.rawValue }
}

/// A fault between its event and the moment at which it is decided: its place in the `FaultSlab`, which is given to another
/// fault afterwards.
struct FaultID: Hashable, Sendable, BitwiseCopyable {
  let rawValue: Int32

  @inline(__always)
  init(_ position: Int) { rawValue = Int32(truncatingIfNeeded: position) }

  @inline(__always)
  var position: Int { Int(rawValue) }
}

/// A stretch of a VM's memory of the size of a level-2 block that a fault has touched, by the order in which that happened.
struct RegionIndex: Hashable, Comparable, Sendable, BitwiseCopyable {
  let rawValue: Int32

  @inline(__always)
  init(_ position: Int) { rawValue = Int32(truncatingIfNeeded: position) }

  /// Its position in tables.
  @inline(__always)
  var position: Int { Int(rawValue) }

  static func < (a: RegionIndex, b: RegionIndex) -> Bool { a.rawValue < b.rawValue }
}
