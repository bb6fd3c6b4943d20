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
    /// Whether the input is not what it has to be from here on.
    var isDamaged = false
  }

  enum Kind: String {
    case gzip
    case zstd
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
    case Z_BUF_ERROR: step.isDamaged = input.count > 0 && step.used == 0 && step.made == 0
    case Z_STREAM_END:
      isInStream = false
      inflateReset(stream)
    default: step.isDamaged = true
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
    return Step(used: source.pos, made: target.pos, isDamaged: ZSTD_isError(left) != 0)
  }
}
