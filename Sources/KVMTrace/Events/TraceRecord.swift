public import KVMTypes

/// One event of a trace in a fixed-size form: the common fields and up to seven fields of its own.
///
/// `RecordLayout` says which field stands in which word, and `Events/Payloads.swift` gives them their types. The record is trivially copyable and holds no
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
  /// Which of the streams that have events of the processor the event comes from: there are several where the trace has several buffers.
  public var lane: UInt8 = 0
  /// The fields, as `RecordLayout` orders them.
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

    /// The word at `index`, which is a constant wherever this is used.
    @inlinable
    subscript(index: Int) -> UInt64 {
      @inline(__always) get {
        switch index {
        case 0: w0
        case 1: w1
        case 2: w2
        case 3: w3
        case 4: w4
        case 5: w5
        default: w6
        }
      }
      @inline(__always) set {
        switch index {
        case 0: w0 = newValue
        case 1: w1 = newValue
        case 2: w2 = newValue
        case 3: w3 = newValue
        case 4: w4 = newValue
        case 5: w5 = newValue
        default: w6 = newValue
        }
      }
    }
  }

  /// A field that events of this record's kind have: of those that have a word for themselves all 64 bits, signed ones
  /// sign-extended; of the others what fits.
  @inlinable
  public subscript(field: RecordField) -> UInt64 {
    @inline(__always) get { words[field.word] &>> field.bit & field.mask }
    @inline(__always) set {
      words[field.word] =
        words[field.word] & ~(field.mask &<< field.bit) | (newValue & field.mask) &<< field.bit
    }
  }

  /// How many words a record has.
  static let wordCount = 7
}

extension TraceRecord {
  /// The record of an event whose fields are all 0. It lies in no page, so that it has no text.
  public init(_ kind: EventKind, at time: Nanoseconds, cpu: CPUIndex, tid: ThreadID) {
    self.init(
      time: time, tid: tid, payloadOffset: 0, payloadLength: 0, cpu: cpu, formatID: 0, kind: kind,
      words: Words())
  }
}

extension TraceRecord {
  /// A record in four parts, as it lies in memory on a little-endian machine: the time; `tid` and `payloadOffset`;
  /// `payloadLength`, `cpu`, `formatID`, `kind` and `lane`; the words. It is written in fewer steps so than field by field.
  typealias Packed = (UInt64, UInt64, UInt64, Words)

  /// The record of the parts. `kind` must be the raw value of one.
  @inline(__always)
  init(packed: Packed) { self = unsafeBitCast(packed, to: TraceRecord.self) }
}
