internal import CZlib
internal import CZstd

/// How the packets inside a packet are compressed.
enum PacketCompression: UInt8 {
  /// `compressed_packets`: zlib.
  case deflate
  /// `zstd_compressed_packets`.
  case zstd

  /// The compression of what the field of TracePacket with this number holds; nil of any other field.
  init?(fieldNumber: UInt64) {
    switch fieldNumber {
    case 50: self = .deflate
    case 133: self = .zstd
    default: return nil
    }
  }
}

/// Decompresses packets, whose length nobody tells beforehand.
///
/// Invariant: `context` is a live zstd context until deinit; of `buffer` `count` bytes are there, and `WireCursor.slackBytes` more can be
/// read. Not for use by several threads at once.
final class PacketInflater {
  /// The most that a packet may hold, in bytes. Perfetto compresses about a megabyte at once; the cap keeps a forged packet from
  /// taking all memory.
  static let bytesMax = 64 << 20

  private let context: OpaquePointer?
  private var buffer = SectionBytes(count: 1 << 16 + WireCursor.slackBytes)
  private var count = 0
  private var budget = DecompressionBudget()
  /// How much may come of the packet, in bytes.
  private var limit = 0
  private var isOverBudget = false

  init() { context = ZSTD_createDCtx() }

  deinit { ZSTD_freeDCtx(context) }

  /// What became of a packet.
  enum Outcome {
    /// The whole of it. The bytes are valid until the next call.
    case whole(UnsafeRawBufferPointer)
    /// What there is before the input ends.
    case cut(UnsafeRawBufferPointer)
    case failed(String)
    /// All packets together come to more than is believed: no more are decompressed.
    case overBudget(isFirst: Bool)
  }

  /// Decompresses `input`.
  func inflate(_ input: UnsafeRawBufferPointer, _ compression: PacketCompression) -> Outcome {
    guard !isOverBudget else { return .overBudget(isFirst: false) }
    count = 0
    limit = min(Self.bytesMax, budget.allowance(from: input.count))
    let outcome: StepOutcome
    switch compression {
    case .deflate: outcome = inflateDeflate(input)
    case .zstd: outcome = inflateZstd(input)
    }
    _ = budget.allows(count, from: input.count)
    switch outcome {
    case .tooLong where limit < Self.bytesMax:
      isOverBudget = true
      return .overBudget(isFirst: true)
    case .ended: return .whole(bytes)
    case .needsInput: return .cut(bytes)
    case .broken: return .failed("do not decompress")
    case .tooLong: return .failed("decompress to more than \(Self.bytesMax >> 20) MiB")
    }
  }

  private enum StepOutcome {
    case ended, needsInput, broken, tooLong
  }

  private var bytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer.bytes)[..<count])
  }

  /// Room behind what is there, at least one byte; nil where there would be too much.
  private func room() -> UnsafeMutableRawBufferPointer? {
    var usable = buffer.bytes.count - WireCursor.slackBytes
    guard count < limit else { return nil }
    if count == usable {
      usable = min(2 * usable, Self.bytesMax)
      let longer = SectionBytes(count: usable + WireCursor.slackBytes)
      longer.bytes.copyMemory(from: bytes)
      buffer = longer
    }
    return UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[count..<min(usable, limit)])
  }

  private func inflateDeflate(_ input: UnsafeRawBufferPointer) -> StepOutcome {
    var stream = z_stream()
    // Behind the head of zlib or of gzip.
    guard
      inflateInit2_(&stream, 15 + 32, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK
    else { return .broken }
    defer { inflateEnd(&stream) }
    stream.next_in = UnsafeMutablePointer(mutating: input.bindMemory(to: Bytef.self).baseAddress)
    stream.avail_in = uInt(input.count)
    while true {
      guard let room = room() else { return .tooLong }
      stream.next_out = room.bindMemory(to: Bytef.self).baseAddress
      stream.avail_out = uInt(room.count)
      let status = CZlib.inflate(&stream, Z_NO_FLUSH)
      count += room.count - Int(stream.avail_out)
      switch status {
      case Z_STREAM_END: return .ended
      case Z_OK where stream.avail_out == 0: continue
      case Z_OK, Z_BUF_ERROR: return .needsInput
      default: return .broken
      }
    }
  }

  private func inflateZstd(_ input: UnsafeRawBufferPointer) -> StepOutcome {
    guard let context else { return .broken }
    ZSTD_DCtx_reset(context, ZSTD_reset_session_only)
    var source = ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
    while true {
      guard let room = room() else { return .tooLong }
      var target = ZSTD_outBuffer(dst: room.baseAddress, size: room.count, pos: 0)
      let status = ZSTD_decompressStream(context, &target, &source)
      count += target.pos
      if ZSTD_isError(status) != 0 { return .broken }
      // 0 is the end of a frame; another one may follow.
      if source.pos == source.size, target.pos < target.size { return status == 0 ? .ended : .needsInput }
    }
  }
}
