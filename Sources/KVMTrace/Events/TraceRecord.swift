public import KVMTypes

/// One event of a trace in a fixed-size form: the common fields and up to seven fields of its own.
///
/// `Events/Payloads.swift` gives the words their names and types. The record is trivially copyable and holds no
/// reference, so that blocks of records can be decoded, merged and kept without touching the heap.
@frozen
public struct TraceRecord: BitwiseCopyable, Sendable {
  /// When, on the trace's clock.
  public var time: Nanoseconds
  /// The thread that was running (`common_pid`), -1 where the event does not record it.
  public var tid: ThreadID
  /// Where the event's data begins in its sub-buffer page, in bytes.
  public var payloadOffset: UInt32
  /// How long the event's data is, in bytes.
  public var payloadLength: UInt16
  /// The processor whose buffer holds the event.
  public var cpu: CPUIndex
  /// The event's number in this trace (`common_type`).
  public var formatID: UInt16
  /// What the event means.
  public var kind: EventKind
  /// The fields, as `EventSchema` orders them.
  public var words: Words

  /// Seven fields of 64 bits: signed ones are sign-extended, shorter ones widened.
  @frozen
  public struct Words: BitwiseCopyable, Sendable {
    @usableFromInline var w0: UInt64 = 0
    @usableFromInline var w1: UInt64 = 0
    @usableFromInline var w2: UInt64 = 0
    @usableFromInline var w3: UInt64 = 0
    @usableFromInline var w4: UInt64 = 0
    @usableFromInline var w5: UInt64 = 0
    @usableFromInline var w6: UInt64 = 0

    @usableFromInline
    init() {}
  }

  /// How many words a record has.
  static let wordCount = 7
}
