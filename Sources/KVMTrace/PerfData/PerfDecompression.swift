internal import CZstd
internal import Glibc

/// Writes the records of a perf.data that was recorded with `-z` to a temporary file, decompressed and in their order.
///
/// All compressed records together are one zstd stream, in whatever order the rings came: nothing in it can be read without what
/// stands before. A record may begin in one of them and end in the next. Whatever is no record is left out, and so are the traces of
/// processors.
///
/// Invariant: `context` is a live zstd stream until deinit; `output` has `outputBytes` bytes, of which the first `filled` are
/// decompressed and hold no whole record once `drain` returned.
struct PerfDecompression: ~Copyable {
  /// A record of the longest size, and what zstd delivers at once.
  private static let outputBytes = PerfRecord.bytesMax + (128 << 10)
  /// How much is copied at once, in bytes.
  private static let pieceBytes = 1 << 20
  private static let damageMax = 256

  private let bigEndian: Bool
  private let context: OpaquePointer?
  private let output: UnsafeMutableRawBufferPointer
  private var budget = DecompressionBudget()
  private var filled = 0
  private var damage: [Damage] = []
  /// Whether anything was decompressed.
  private var hasRecords = false
  /// Whether the stream is damaged: nothing behind can be decompressed.
  private var isBroken = false

  private init(bigEndian: Bool) {
    self.bigEndian = bigEndian
    context = ZSTD_createDStream()
    output = .allocate(byteCount: Self.outputBytes, alignment: 16)
  }

  deinit {
    ZSTD_freeDStream(context)
    output.deallocate()
  }

  /// The records of `file` in `records`, decompressed.
  static func decompress(
    _ file: FileBytes, _ records: Range<Int>, bigEndian: Bool, spoolLimit: UInt64?
  ) throws(IngestError) -> (file: FileBytes, damage: [Damage]) {
    var spool = try SpoolFile(path: file.path, limit: spoolLimit, what: "what it holds")
    var state = PerfDecompression(bigEndian: bigEndian)
    try state.run(file, records, into: &spool)
    guard state.hasRecords else {
      throw IngestError(
        .notATrace, path: file.path, offset: state.damage.first?.offset,
        what: "is a perf.data whose compressed records cannot be decompressed")
    }
    let plain = try FileBytes(
      path: file.path, descriptor: spool.takeDescriptor(), read: { pread($0, $1, $2, off_t($3)) })
    return (plain, state.damage)
  }

  private mutating func run(
    _ file: FileBytes, _ records: Range<Int>, into spool: inout SpoolFile
  ) throws(IngestError) {
    var reader = PerfRecordReader(file, bigEndian: bigEndian, records)
    while let record = reader.next() {
      if let place = reader.damaged {
        note(place.lowerBound, "\(place.count) bytes are no records of a perf.data")
      }
      switch record.type {
      case PerfRecord.Kind.compressed, PerfRecord.Kind.compressed2: try decompress(record, into: &spool)
      case PerfRecord.Kind.auxtrace, PerfRecord.Kind.headerTracingData:
        let begin = record.offset + record.size
        guard let count = record.trailingBytes, count <= records.upperBound - begin else {
          note(record.offset, "what follows a record runs past the end; it is not skipped")
          continue
        }
        if record.type == PerfRecord.Kind.headerTracingData {
          try spool.append(UnsafeRawBufferPointer(start: record.base, count: record.size))
          try copy(file, begin..<(begin + count), into: &spool)
        }
        reader.move(to: begin + count)
      default: try spool.append(UnsafeRawBufferPointer(start: record.base, count: record.size))
      }
    }
    if let place = reader.damaged {
      note(place.lowerBound, "\(place.count) bytes are no records of a perf.data")
    }
    // Records of another kind may stand between the parts of one that is compressed.
    if filled > 0, !isBroken {
      note(
        records.upperBound,
        "the last \(filled) decompressed bytes are the beginning of a record that does not go on")
    }
  }

  private mutating func note(_ offset: Int, _ what: String) {
    if damage.count < Self.damageMax { damage.append(Damage(offset: offset, what: what)) }
  }

  /// PERF_RECORD_COMPRESSED: a part of the stream up to its end. COMPRESSED2: u64 length, the part, what fills it up.
  private mutating func decompress(_ record: PerfRecord, into spool: inout SpoolFile) throws(IngestError) {
    guard !isBroken else { return }
    var (begin, count) = (PerfRecord.headerBytes, record.size - PerfRecord.headerBytes)
    if record.type == PerfRecord.Kind.compressed2 {
      guard record.size >= 16, record.word64(8) <= UInt64(record.size - 16) else {
        return breakOff(at: record.offset)
      }
      (begin, count) = (16, Int(record.word64(8)))
    }
    var input = ZSTD_inBuffer(src: record.base + begin, size: count, pos: 0)
    var isFull = false
    while input.pos < input.size || isFull {
      var part = ZSTD_outBuffer(dst: output.baseAddress! + filled, size: output.count - filled, pos: 0)
      let used = input.pos
      let status = ZSTD_decompressStream(context, &part, &input)
      guard ZSTD_isError(status) == 0 else { return breakOff(at: record.offset) }
      guard budget.allows(part.pos, from: input.pos - used) else {
        return breakOff(at: record.offset, "holds \(DecompressionBudget.excess)")
      }
      filled += part.pos
      isFull = part.pos == part.size
      try drain(into: &spool, at: record.offset)
    }
  }

  private mutating func breakOff(at offset: Int, _ problem: String = "cannot be decompressed") {
    isBroken = true
    note(offset, "what is compressed from here on \(problem); its samples are missing")
  }

  /// Writes the whole records of what is decompressed, and keeps the beginning of the next one.
  private mutating func drain(into spool: inout SpoolFile, at offset: Int) throws(IngestError) {
    var place = 0
    var isDamaged = false
    while place + PerfRecord.headerBytes <= filled, !isDamaged {
      let raw = output.loadUnaligned(fromByteOffset: place + 6, as: UInt16.self)
      let size = Int(bigEndian ? raw.byteSwapped : raw)
      isDamaged = size < PerfRecord.headerBytes
      if isDamaged || place + size > filled { break }
      place += size
    }
    if place > 0 { hasRecords = true }
    try spool.append(UnsafeRawBufferPointer(rebasing: output[..<place]))
    if isDamaged {
      note(
        offset, "\(filled - place) decompressed bytes are no records of a perf.data; samples may be missing")
      place = filled
    }
    memmove(output.baseAddress!, output.baseAddress! + place, filled - place)
    filled -= place
  }

  private func copy(
    _ file: FileBytes, _ bytes: Range<Int>, into spool: inout SpoolFile
  ) throws(IngestError) {
    var place = bytes.lowerBound
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.pieceBytes, alignment: 16)
    defer { buffer.deallocate() }
    while place < bytes.upperBound {
      let wanted = min(buffer.count, bytes.upperBound - place)
      let done = file.read(at: place, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted]))
      guard done > 0 else { return }
      try spool.append(UnsafeRawBufferPointer(rebasing: buffer[..<done]))
      place += done
    }
  }
}
