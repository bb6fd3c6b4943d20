/// The readers of recordings, by the names that `tools/fuzz` has for them.
enum Reader: String {
  case traceDat = "trace-dat"
  case perfData = "perf-data"
  case perfetto
  case text
  /// What is compressed as a whole, whatever it holds.
  case compressed

  /// How files begin that gzip and zstd made.
  private static let compressedPrefixes: [[UInt8]] = [[0x1f, 0x8b], [0x28, 0xb5, 0x2f, 0xfd]]

  /// Who reads `bytes`, of which `TraceFile` says that they are a `format`.
  init(of bytes: UnsafeRawBufferPointer, format: String) {
    if Self.compressedPrefixes.contains(where: { bytes.starts(with: $0) }) {
      self = .compressed
    } else if format.hasPrefix("trace.dat") {
      self = .traceDat
    } else if format == "perf.data" {
      self = .perfData
    } else {
      self = format.hasPrefix("Perfetto") ? .perfetto : .text
    }
  }
}
