/// A record of a perf.data: u32 type, u16 misc, u16 size, then what the type says (include/uapi/linux/perf_event.h).
///
/// Invariant: the `size` bytes from `base` on are there, 8 at least, and valid until the reader goes on.
struct PerfRecord {
  /// The types that mean something here. Those of the kernel are below 64, those of the perf tool from there on.
  enum Kind {
    static let lost: UInt32 = 2
    static let comm: UInt32 = 3
    static let fork: UInt32 = 7
    static let sample: UInt32 = 9
    static let lostSamples: UInt32 = 13
    static let headerAttribute: UInt32 = 64
    static let headerTracingData: UInt32 = 66
    static let idIndex: UInt32 = 69
    static let auxtrace: UInt32 = 71
    static let headerFeature: UInt32 = 80
    static let compressed: UInt32 = 81
    static let compressed2: UInt32 = 83

    /// Whether perf has written records of that type, or soon may.
    static func isKnown(_ type: UInt32) -> Bool { (1..<40).contains(type) || (64..<112).contains(type) }
  }

  static let headerBytes = 8
  /// The size of a record has 16 bits.
  static let bytesMax = 1 << 16

  let base: UnsafeRawPointer
  let type: UInt32
  let misc: UInt16
  let size: Int
  /// Where in the file the record begins.
  let offset: Int
  let bigEndian: Bool

  /// The word at `place`, which must lie inside.
  @inline(__always)
  func word32(_ place: Int) -> UInt32 {
    let raw = base.loadUnaligned(fromByteOffset: place, as: UInt32.self)
    return bigEndian ? raw.byteSwapped : raw
  }

  /// The word at `place`, which must lie inside.
  @inline(__always)
  func word64(_ place: Int) -> UInt64 {
    let raw = base.loadUnaligned(fromByteOffset: place, as: UInt64.self)
    return bigEndian ? raw.byteSwapped : raw
  }

  /// How many bytes of other data follow the record: a trace of a processor, or the formats of events. Of other records 0; nil where
  /// the record is too short to say, or the number is none.
  var trailingBytes: Int? {
    switch type {
    case Kind.auxtrace: size >= 16 ? Int(exactly: word64(8)) : nil
    case Kind.headerTracingData: size >= 12 ? Int(word32(8)) : nil
    default: 0
    }
  }
}
