/// What stands before the data of a compressed chunk: u32 compressed size, u32 uncompressed size.
struct ChunkHead {
  /// Its length in bytes.
  static let bytes = 8

  /// Where in the file it begins.
  let offset: Int
  /// How long the data is that follows it, and what that decompresses to, in bytes.
  let compressed: Int
  let uncompressed: Int

  /// Where the data begins and ends.
  var begin: Int { offset + Self.bytes }
  var end: Int { begin + compressed }
}

/// What chunks of one stream look like, by which they are found where nothing leads to them: behind a head that is damaged.
struct ChunkForm {
  let pageBytes: Int
  /// The largest one that is believed, compressed or not.
  let bytesMax: Int
  let compression: Compression
  let bigEndian: Bool

  /// So many bytes tell whether a chunk begins: its head, and the mark of what is compressed.
  static let prefixBytes = ChunkHead.bytes + Compression.markBytes

  /// Whether a chunk can hold so much.
  func allows(uncompressed bytes: Int) -> Bool { bytes > 0 && bytes <= bytesMax && bytes % pageBytes == 0 }

  /// The head at `offset` of the file, whose data ends at `end` at the latest; nil where none can be read, or no chunk fits.
  func head(at offset: Int, before end: Int, in window: inout FileWindow) -> ChunkHead? {
    guard offset + ChunkHead.bytes <= end,
      let compressed = window.word(at: offset, bigEndian: bigEndian),
      let uncompressed = window.word(at: offset + 4, bigEndian: bigEndian), compressed > 0 || uncompressed > 0
    else { return nil }
    return ChunkHead(offset: offset, compressed: Int(compressed), uncompressed: Int(uncompressed))
  }

  /// The first place from `begin` on, before `end`, where a chunk begins that ends at `limit` at the latest; nil where there is none.
  func find(from begin: Int, before end: Int, limit: Int, in window: inout FileWindow) -> Int? {
    let end = min(end, limit - Self.prefixBytes + 1)
    var place = begin
    while place < end {
      let count = min(FileWindow.pieceBytes, limit - place)
      guard let piece = window.bytes(at: place, count: count)?.baseAddress else { return nil }
      let places = min(count - Self.prefixBytes + 1, end - place)
      if let found = (0..<places).first(where: { isChunk(piece + $0, room: limit - place - $0) }) {
        return place + found
      }
      place += places
    }
    return nil
  }

  /// Whether a chunk begins with the `prefixBytes` from `base` on, behind which are `room` bytes with these.
  private func isChunk(_ base: UnsafeRawPointer, room: Int) -> Bool {
    func word(_ place: Int) -> Int {
      let raw = base.loadUnaligned(fromByteOffset: place, as: UInt32.self)
      return Int(bigEndian ? raw.byteSwapped : raw)
    }
    let compressed = word(0)
    return compressed > 0 && compressed <= min(bytesMax, room - ChunkHead.bytes)
      && allows(uncompressed: word(4)) && compression.marks(base + ChunkHead.bytes)
  }
}
