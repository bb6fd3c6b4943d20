import CZlib
import CZstd

/// Packs sections and chunks the way trace-cmd does.
///
/// The C functions get the input array and an output array of the size that the library itself asks
/// for, both with their true lengths, for the time of one call.
final class Compressor {
  private let method: TraceFlavour.Compression
  private let context: OpaquePointer?

  init(_ method: TraceFlavour.Compression) {
    self.method = method
    guard method == .zstd else {
      unsafe context = nil
      return
    }
    unsafe context = ZSTD_createCCtx()
    // Without the content size, as trace-cmd writes frames: a reader must not count on it.
    unsafe ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0)
  }

  deinit {
    unsafe ZSTD_freeCCtx(context)
  }

  /// The library's version, as the file states it.
  static func version(_ method: TraceFlavour.Compression) -> String {
    switch method {
    case .none: ""
    case .zstd: unsafe String(cString: ZSTD_versionString())
    case .zlib: unsafe String(cString: zlibVersion())
    }
  }

  func compress(_ bytes: [UInt8]) -> [UInt8] {
    switch method {
    case .none:
      return bytes
    case .zstd:
      return Array(unsafeUninitializedCapacity: ZSTD_compressBound(bytes.count)) { packed, count in
        count = unsafe ZSTD_compress2(context, packed.baseAddress, packed.count, bytes, bytes.count)
        precondition(ZSTD_isError(count) == 0, "zstd failed on a buffer of the size it asked for")
      }
    case .zlib:
      var size = compressBound(uLong(bytes.count))
      var packed = [UInt8](repeating: 0, count: Int(size))
      let status = unsafe compress2(&packed, &size, bytes, uLong(bytes.count), Z_DEFAULT_COMPRESSION)
      precondition(status == Z_OK, "zlib failed on a buffer of the size it asked for")
      packed.removeSubrange(Int(size)...)
      return packed
    }
  }
}
