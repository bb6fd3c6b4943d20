import Glibc

/// The pages of one CPU until their turn in the file comes.
///
/// The file holds each CPU's pages in one piece, while events come in time order on all CPUs. Each CPU
/// therefore fills a store of its own: in memory while it is small, in a temporary file without a name
/// once it has grown, so that the memory needed does not depend on the length of the trace.
final class SpillStore {
  /// Bytes kept in memory.
  static let memoryLimit = 1 << 20

  /// Bytes in the store.
  private(set) var count: UInt64 = 0
  private var tail: [UInt8] = []
  private var descriptor: Int32 = -1
  private let directory: String

  /// An empty store that spills into `directory`.
  init(directory: String) {
    self.directory = directory
  }

  func append(_ bytes: [UInt8]) throws(TraceWriteError) {
    count += UInt64(bytes.count)
    tail += bytes
    if tail.count >= Self.memoryLimit { try spill() }
  }

  /// Copies everything to `output`.
  func copy(to output: OutputFile) throws(TraceWriteError) {
    guard descriptor >= 0 else { return try output.write(tail) }
    var offset: off_t = 0
    var buffer = [UInt8](repeating: 0, count: Self.memoryLimit)
    while true {
      let got = buffer.withUnsafeMutableBytes { memory in
        unsafe pread(descriptor, memory.baseAddress, memory.count, offset)
      }
      if got < 0 {
        if errno == EINTR { continue }
        throw TraceWriteError("\(directory): a temporary file cannot be read", isOfTemporaryFile: true)
      }
      if got == 0 { break }
      try output.write(got == buffer.count ? buffer : Array(buffer[..<got]))
      offset += off_t(got)
    }
    try output.write(tail)
  }

  private func spill() throws(TraceWriteError) {
    if descriptor < 0 {
      var path = Array("\(directory)/.pkvm-replay-XXXXXX".utf8CString)
      descriptor = unsafe mkstemp(&path)
      guard descriptor >= 0 else {
        throw TraceWriteError("\(directory): a temporary file cannot be made", isOfTemporaryFile: true)
      }
      unsafe unlink(&path)
    }
    try writeAll(tail, to: descriptor, "\(directory): a temporary file", isTemporary: true)
    tail.removeAll(keepingCapacity: true)
  }

  deinit {
    if descriptor >= 0 { close(descriptor) }
  }
}
