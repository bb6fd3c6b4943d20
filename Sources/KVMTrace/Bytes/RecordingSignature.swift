/// What the first bytes of a file say that it is: a recording of one of the formats that kernel traces are kept in.
///
/// It serves to keep recordings from being overwritten, so in doubt a file is taken for one.
public enum RecordingSignature: Equatable, Sendable {
  /// trace.dat of trace-cmd.
  case traceDat
  /// perf.data, of either byte order.
  case perfData
  /// A protobuf trace of Perfetto.
  case perfetto
  /// Text of `trace`, `trace_pipe`, `trace-cmd report` or `perf script`.
  case text
  /// A compressed file, which may hold any of them.
  case compressed
  /// Not text, and nothing that is known: a per-CPU buffer of the kernel (`trace_pipe_raw`) has no mark of its own.
  case binary

  /// How many bytes of a file are enough to tell.
  public static let prefixBytes = 4096

  /// What a file is that begins with `prefix`; nil where it is text of another kind, or empty.
  public init?(prefix: [UInt8]) {
    guard !prefix.isEmpty else { return nil }
    if let known = Self.magics.first(where: { prefix.starts(with: $0.bytes) }) {
      self = known.kind
    } else if StreamDecompressor.Kind(prefix: prefix) != nil {
      self = .compressed
    } else if Self.isPerfetto(prefix) {
      self = .perfetto
    } else if Self.isTraceText(prefix) {
      self = .text
    } else if prefix.contains(0) {
      self = .binary
    } else {
      return nil
    }
  }

  /// The kind in words, with an article.
  public var name: String {
    switch self {
    case .traceDat: "a trace.dat"
    case .perfData: "a perf.data"
    case .perfetto: "a Perfetto trace"
    case .text: "a trace as text"
    case .compressed: "a compressed file"
    case .binary: "a binary file"
    }
  }

  /// So much is looked at of what lies behind the end of a recording.
  private static let behindBytesMax = 1 << 12

  /// That another recording, or something else, begins at `offset`, behind the end of the one that is read; nil where nothing does, or
  /// zeros.
  static func another(in file: FileBytes, at offset: Int) -> Damage? {
    guard offset > 0, offset < file.count else { return nil }
    let buffer = SectionBytes(count: min(behindBytesMax, file.count - offset))
    let begin = Array(buffer.bytes.prefix(file.read(at: offset, into: buffer.bytes)))
    let splitting = "tail -c +\(offset + 1) splits it off"
    if let kind = magics.first(where: { begin.starts(with: $0.bytes) })?.kind, kind != .compressed {
      return Damage(
        offset: offset, what: "another recording begins here, \(kind.name), and is not read; \(splitting)")
    }
    if begin.allSatisfy({ $0 == 0 }) { return nil }
    return Damage(
      offset: offset,
      what: "the recording ends here, and what follows it in the file is not read; \(splitting)")
  }

  private static let magics: [(bytes: [UInt8], kind: RecordingSignature)] = [
    ([0x17, 0x08, 0x44] + Array("tracing".utf8), .traceDat),
    (Array("PERFILE2".utf8), .perfData), (Array("2ELIFREP".utf8), .perfData),
    (Array("PERFFILE".utf8), .perfData), (Array("ELIFFREP".utf8), .perfData),
    ([0xfd] + Array("7zXZ".utf8), .compressed), (Array("BZh".utf8), .compressed),
    ([0x04, 0x22, 0x4d, 0x18], .compressed), (Array("PK\u{3}\u{4}".utf8), .compressed),
  ]

  /// A Perfetto trace is a row of `Trace.packet` fields: tag 0x0a, a length, and a message whose first field has a number
  /// and a wire type that there are. JSON and CSV that begin with an empty line do not go on like that.
  private static func isPerfetto(_ prefix: [UInt8]) -> Bool {
    let blanks: [UInt8] = [0x09, 0x0a, 0x0d]
    guard prefix.contains(where: { $0 < 0x20 && !blanks.contains($0) }) else { return false }
    var position = 0
    var packets = 0
    while position < prefix.count, packets < 8 {
      guard prefix[position] == 0x0a, let length = varint(prefix, position + 1) else { return false }
      guard length.value > 0, length.next < prefix.count else { return packets > 0 }
      guard let tag = varint(prefix, length.next), tag.value >> 3 > 0, [0, 1, 2, 5].contains(tag.value & 7)
      else { return false }
      packets += 1
      guard length.value < UInt64(prefix.count - length.next) else {
        return isWholeField(prefix, tag, length)
      }
      position = length.next + Int(length.value)
    }
    return packets > 0
  }

  /// Whether the first field of a packet that goes on behind the prefix ends inside the packet.
  private static func isWholeField(
    _ prefix: [UInt8], _ tag: (value: UInt64, next: Int), _ length: (value: UInt64, next: Int)
  ) -> Bool {
    guard tag.value & 7 == 2 else { return true }
    guard let field = varint(prefix, tag.next) else { return false }
    return field.value <= length.value
  }

  private static func varint(_ bytes: [UInt8], _ start: Int) -> (value: UInt64, next: Int)? {
    var value: UInt64 = 0
    for (index, byte) in bytes[min(start, bytes.count)...].prefix(10).enumerated() {
      value |= UInt64(byte & 0x7f) << UInt64(7 * index)
      if byte & 0x80 == 0 { return (value, start + index + 1) }
    }
    return nil
  }

  /// The kernel's own header, that of `trace-cmd report`, or lines that are events: of a text that has zeros somewhere, where it is
  /// damaged, those without.
  private static func isTraceText(_ prefix: [UInt8]) -> Bool {
    let prefix = prefix.dropFirst(ByteOrderMark.count(prefix))
    if prefix.starts(with: "# tracer:".utf8) { return true }
    let lines = prefix.split { $0 == 0x0a || $0 == 0x0d }
    if let first = lines.first, first.count < 64,
      String(decoding: first, as: UTF8.self).wholeMatch(of: /(cpus|version) ?= ?\d+/) != nil
    {
      return true
    }
    return lines.prefix(64).contains { line in
      !line.contains(0)
        && line.withUnsafeBufferPointer { bytes in
          let begin = bytes.baseAddress!
          return TextSurvey.findStyle(of: TextCursor(place: begin, end: begin + bytes.count)) != nil
        }
    }
  }
}
