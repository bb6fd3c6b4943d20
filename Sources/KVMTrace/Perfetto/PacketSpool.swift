internal import Glibc

/// Takes what the compressed packets of a trace hold, one behind the other, into a temporary file: each is decompressed once, whatever
/// the number of CPUs whose events it has.
struct PacketSpool: ~Copyable {
  private let path: String
  private let limit: UInt64?
  private var file: SpoolFile?
  /// How much was taken, in bytes: where the next packet begins.
  private(set) var count = 0
  /// Where in the trace each packet lies that was taken.
  private(set) var offsets: [Int] = []

  /// - Parameters:
  ///   - path: the trace, for errors.
  ///   - limit: how much may be written, in bytes; nil for half of what is free there.
  init(path: String, limit: UInt64?) {
    self.path = path
    self.limit = limit
  }

  /// Takes what the packet at `offset` of the trace holds.
  mutating func append(_ bytes: UnsafeRawBufferPointer, of offset: Int) throws(IngestError) {
    if file == nil { file = try SpoolFile(path: path, limit: limit, what: "what it holds") }
    try file?.append(bytes)
    count += bytes.count
    offsets.append(offset)
  }

  /// What was taken; nil where that is nothing.
  mutating func finish() throws(IngestError) -> FileBytes? {
    guard let spool = file.take() else { return nil }
    return try FileBytes(
      path: path, descriptor: spool.takeDescriptor(), read: { pread($0, $1, $2, off_t($3)) })
  }
}
