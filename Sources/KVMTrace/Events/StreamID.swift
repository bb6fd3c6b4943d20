public import KVMTypes

/// A stream of one CPU's events, which is in order by itself and lacks what was lost of it: of a CPU there are several where a recording has
/// several buffers, or a recorder wrote the CPU's events in several sequences. What is missing of one says nothing of the others.
@usableFromInline
package struct StreamID: Equatable, Sendable {
  /// The processor.
  @usableFromInline package let cpu: CPUIndex
  /// Which of the processor's streams it is.
  @usableFromInline package let lane: UInt8

  /// So many streams of a CPU are told from one another, of those that have no events of another CPU.
  private static let ownLanes = 128

  /// The stream of `cpu` in `lane`.
  @inlinable
  package init(_ cpu: CPUIndex, lane: UInt8 = 0) { (self.cpu, self.lane) = (cpu, lane) }

  /// Whether it is the same.
  @inlinable
  package static func == (a: StreamID, b: StreamID) -> Bool { a.cpu == b.cpu && a.lane == b.lane }

  /// Whether nobody can tell it from others of its CPU.
  @inlinable package var isUnknown: Bool { lane == TraceRecord.unknownLane }

  /// The lanes of streams, given the CPU of the first event of each: for the events of that CPU, and for those of others, if any come. The
  /// latter go by the place of the stream, for what other streams have of those CPUs nobody knows beforehand.
  static func lanes(ofStreamsOf cpus: [UInt16]) -> [(own: UInt8, others: UInt8)] {
    var counts: [UInt16: Int] = [:]
    return cpus.enumerated().map { position, cpu in
      let own = counts[cpu, default: 0]
      counts[cpu] = own + 1
      if cpus.count == 1 { return (0, 0) }
      let other = ownLanes + position
      return (
        own < ownLanes ? UInt8(own) : TraceRecord.unknownLane,
        other < Int(TraceRecord.unknownLane) ? UInt8(other) : TraceRecord.unknownLane
      )
    }
  }
}

extension TraceRecord {
  /// The lane of streams that nobody can tell apart: of what is missing of them it is not known where it begins.
  public static let unknownLane = UInt8.max

  /// Which stream the event comes from.
  @inlinable package var stream: StreamID { StreamID(cpu, lane: lane) }
}
