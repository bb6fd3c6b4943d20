internal import CZlib
internal import CZstd

/// The compressions that trace.dat v7 names in its header.
enum Compression: Hashable {
  case none
  case zlib
  case zstd

  /// The compression that the header calls `name`, nil for one that is not known here.
  init?(name: String) {
    switch name {
    case "none", "": self = .none
    case "zlib": self = .zlib
    case "zstd": self = .zstd
    default: return nil
    }
  }

  /// So many bytes tell whether something is compressed so.
  static let markBytes = 4

  /// Whether what begins with the `markBytes` from `base` on may be compressed so: zstd has a number there (RFC 8878, 3.1.1), zlib
  /// deflate with a check of two bytes (RFC 1950, 2.2).
  func marks(_ base: UnsafeRawPointer) -> Bool {
    let byte = { Int(base.load(fromByteOffset: $0, as: UInt8.self)) }
    return switch self {
    case .none: true
    case .zstd: (0..<4).map(byte) == [0x28, 0xb5, 0x2f, 0xfd]
    case .zlib: byte(0) & 0x0f == 8 && byte(0) >> 4 < 8 && (byte(0) << 8 | byte(1)) % 31 == 0
    }
  }
}

/// Decompresses chunks and sections of a trace.dat v7, one after another, with one context, whatever stream they are of: its tables
/// stay in the cache.
///
/// Invariant: `context` is a live zstd context until deinit. Not for use by several threads at once.
final class Decompressor {
  /// How many pages trace-cmd writes a chunk: so many are believed, however large they are.
  private static let chunkPages = 10
  /// Of small pages there may be more.
  private static let chunkBytesMax = 2 << 20
  /// But not more than this in all, for one chunk of every CPU is held at a time, and a forged size must not take all memory.
  private static let chunksBytesMax = 512 << 20

  /// The largest chunk that is believed, in bytes.
  static func chunkBytesMax(pageBytes: Int, areas: Int) -> Int {
    max(chunkPages * pageBytes, min(chunkBytesMax, chunksBytesMax / max(1, areas)))
  }

  let compression: Compression
  private let context: OpaquePointer?
  /// What may come of all that follows. It is that of one pass over a file.
  var budget = DecompressionBudget()

  init(_ compression: Compression) {
    self.compression = compression
    context = compression == .zstd ? ZSTD_createDCtx() : nil
  }

  deinit { if let context { ZSTD_freeDCtx(context) } }

  /// Decompresses `input`, all of it, so that it fills `output`; false where it does not, or where all that was decompressed comes to too much.
  func decompress(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Bool {
    guard budget.allows(output.count, from: input.count) else { return false }
    switch compression {
    case .none:
      guard input.count == output.count else { return false }
      output.copyMemory(from: input)
      return true
    case .zstd:
      let size = ZSTD_decompressDCtx(
        context, output.baseAddress, output.count, input.baseAddress, input.count)
      return ZSTD_isError(size) == 0 && size == output.count
    case .zlib:
      var (size, used) = (uLongf(output.count), uLong(input.count))
      let status = uncompress2(
        output.bindMemory(to: Bytef.self).baseAddress, &size,
        input.bindMemory(to: Bytef.self).baseAddress, &used)
      return status == Z_OK && Int(size) == output.count && Int(used) == input.count
    }
  }
}
