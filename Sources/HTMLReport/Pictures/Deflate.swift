internal import CZlib

/// zlib's format, which PNG and browsers have.
enum Deflate {
  /// Bytes, compressed as far as that goes.
  static func zlib(_ bytes: [UInt8]) -> [UInt8] {
    var length = compressBound(uLong(bytes.count))
    var compressed = [UInt8](repeating: 0, count: Int(length))
    let status = compress2(&compressed, &length, bytes, uLong(bytes.count), Z_BEST_COMPRESSION)
    precondition(status == Z_OK, "there is room for it")
    compressed.removeLast(compressed.count - Int(length))
    return compressed
  }

  /// The check sum of PNG.
  static func checkSum(_ bytes: [UInt8]) -> UInt32 {
    UInt32(truncatingIfNeeded: crc32(0, bytes, UInt32(bytes.count)))
  }
}
