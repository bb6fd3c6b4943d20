internal import CZlib
internal import CZstd

/// Decompresses what is compressed as a whole, front to back: gzip, or zstd. Of several streams one behind the other, as rotated logs and
/// parallel compressors make them, all are taken.
///
/// Invariant: one of `inflater` and `context` is live until deinit.
struct StreamDecompressor: ~Copyable {
  /// How far a step came.
  struct Step {
    /// How many bytes of the input are used.
    var used = 0
    /// How many bytes of the output are there.
    var made = 0
    /// Why nothing can be decompressed from here on, nil where it can.
    var problem: Problem?
  }

  enum Kind: String {
    case gzip
    case zstd

    /// How a file is compressed that begins with `prefix`, nil where it is not.
    init?(prefix: [UInt8]) {
      if prefix.starts(with: [0x1f, 0x8b]) {
        self = .gzip
      } else if StreamDecompressor.isZstd(prefix) {
        self = .zstd
      } else {
        return nil
      }
    }
  }

  /// Why what is compressed cannot be decompressed.
  enum Problem {
    case damage
    /// It refers further back than is kept.
    case longWindow
    case dictionary

    /// What there is instead of something that could be decompressed.
    var what: String {
      switch self {
      case .damage: "nothing can be read of what it holds"
      case .longWindow: "needs a window of more than 128 MiB"
      case .dictionary: "needs a dictionary"
      }
    }

    /// The command that decompresses the file all the same.
    var command: String? {
      switch self {
      case .damage: nil
      case .longWindow: "zstd -dc --long=31 FILE"
      case .dictionary: "zstd -dc -D DICTIONARY FILE"
      }
    }
  }

  private let inflater: UnsafeMutablePointer<z_stream>?
  private let context: OpaquePointer?
  /// Whether a stream has begun that has not ended.
  private(set) var isInStream = false

  init(_ kind: Kind) {
    switch kind {
    case .gzip:
      let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
      stream.initialize(to: z_stream())
      // 16 more than the window's size in bits: with the header of gzip.
      inflateInit2_(stream, 16 + 15, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
      (inflater, context) = (stream, nil)
    case .zstd: (inflater, context) = (nil, ZSTD_createDCtx())
    }
  }

  deinit {
    if let inflater {
      inflateEnd(inflater)
      inflater.deallocate()
    }
    if let context { ZSTD_freeDCtx(context) }
  }

  /// Decompresses from `input` into `output`. Without input, what is held back of what came before.
  mutating func decompress(
    _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) -> Step {
    inflater.map { inflateStep($0, input, output) } ?? zstdStep(input, output)
  }

  private mutating func inflateStep(
    _ stream: UnsafeMutablePointer<z_stream>, _ input: UnsafeRawBufferPointer,
    _ output: UnsafeMutableRawBufferPointer
  ) -> Step {
    let (given, room) = (min(input.count, Int(uInt.max)), min(output.count, Int(uInt.max)))
    stream.pointee.next_in = UnsafeMutablePointer(
      mutating: input.bindMemory(to: Bytef.self).baseAddress)
    stream.pointee.avail_in = uInt(given)
    stream.pointee.next_out = output.bindMemory(to: Bytef.self).baseAddress
    stream.pointee.avail_out = uInt(room)
    if input.count > 0 { isInStream = true }
    let status = inflate(stream, Z_NO_FLUSH)
    var step = Step(used: given - Int(stream.pointee.avail_in), made: room - Int(stream.pointee.avail_out))
    switch status {
    case Z_OK: break
    case Z_BUF_ERROR: if input.count > 0, step.used == 0, step.made == 0 { step.problem = .damage }
    case Z_STREAM_END:
      isInStream = false
      inflateReset(stream)
    default: step.problem = .damage
    }
    return step
  }

  private mutating func zstdStep(
    _ input: UnsafeRawBufferPointer, _ output: UnsafeMutableRawBufferPointer
  ) -> Step {
    var source = ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
    var target = ZSTD_outBuffer(dst: output.baseAddress, size: output.count, pos: 0)
    if input.count > 0 { isInStream = true }
    let left = ZSTD_decompressStream(context, &target, &source)
    if left == 0 { isInStream = false }
    return Step(used: source.pos, made: target.pos, problem: Self.problem(left))
  }

  private static func problem(_ status: Int) -> Problem? {
    guard ZSTD_isError(status) != 0 else { return nil }
    let code = ZSTD_getErrorCode(status)
    if code == ZSTD_error_frameParameter_windowTooLarge { return .longWindow }
    return code == ZSTD_error_dictionary_wrong ? .dictionary : .damage
  }

  /// Whether a frame of zstd stands at the beginning, or behind others that are to be skipped, as pzstd writes them (magic numbers
  /// 0x184d2a50 to 0x184d2a5f). Those of lz4 have the same numbers.
  private static func isZstd(_ prefix: [UInt8]) -> Bool {
    var rest = prefix[...]
    while let first = rest.first, first & 0xf0 == 0x50, rest.dropFirst().starts(with: [0x2a, 0x4d, 0x18]),
      rest.count >= 8
    {
      let size = rest.dropFirst(4).prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
      // What lies behind is not known.
      if size >= rest.count - 8 { return true }
      rest = rest.dropFirst(8 + size)
    }
    return rest.starts(with: [0x28, 0xb5, 0x2f, 0xfd])
  }
}
