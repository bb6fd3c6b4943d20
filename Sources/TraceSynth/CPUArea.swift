/// The pages of one CPU of one buffer, in the form in which the file holds them.
///
/// Stored: pages, one after the other. Compressed: a 32-bit count of chunks, then per chunk its packed
/// size, its plain size and its data.
final class CPUArea {
  let cpu: UInt32
  private let store: SpillStore
  private let compressor: Compressor?
  private let byteOrder: TraceFlavour.ByteOrder
  private let chunkBytes: Int
  private var pending: [UInt8] = []
  private var chunks: UInt32 = 0

  init(cpu: UInt32, _ description: TraceDescription, _ compressor: Compressor?, spillDirectory: String) {
    self.cpu = cpu
    self.compressor = compressor
    store = SpillStore(directory: spillDirectory)
    byteOrder = description.flavour.byteOrder
    chunkBytes = description.flavour.pageBytes * description.pagesPerChunk
  }

  /// Bytes in the file, 0 for a CPU without pages. Right only after `seal`.
  var fileBytes: UInt64 { compressor != nil && store.count > 0 ? store.count + 4 : store.count }

  func append(_ page: [UInt8]) throws(TraceWriteError) {
    guard compressor != nil else { return try store.append(page) }
    pending += page
    if pending.count >= chunkBytes {
      try chunk(pending)
      pending.removeAll(keepingCapacity: true)
    }
  }

  /// Packs what has not filled a chunk.
  func seal() throws(TraceWriteError) {
    guard !pending.isEmpty else { return }
    try chunk(pending)
    pending = []
  }

  func write(to output: OutputFile) throws(TraceWriteError) {
    guard store.count > 0 else { return }
    if compressor != nil {
      var head = TraceBytes(byteOrder)
      head.u32(chunks)
      try output.write(head.bytes)
    }
    try store.copy(to: output)
  }

  private func chunk(_ plain: [UInt8]) throws(TraceWriteError) {
    guard let packed = compressor?.compress(plain) else { return }
    var head = TraceBytes(byteOrder)
    head.u32(UInt32(packed.count))
    head.u32(UInt32(plain.count))
    try store.append(head.bytes)
    try store.append(packed)
    chunks += 1
  }
}
