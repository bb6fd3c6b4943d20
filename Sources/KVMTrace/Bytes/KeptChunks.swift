/// What several passes over a file share: the context that decompresses, and the chunks that one pass has decompressed, for those
/// that follow it. Where a file has more than a little of them, each pass decompresses its own.
///
/// Chunks go by their place in the file. Invariant: nothing changes the bytes of a chunk that was kept. Not for use by several
/// threads at once, as the passes are made one after another.
final class KeptChunks {
  /// A decompressed chunk.
  struct Chunk {
    let pages: SectionBytes
    /// How many bytes of `pages` it fills.
    let count: Int
    /// Where in the file what follows it begins.
    let end: Int
  }

  /// So many bytes of chunks are kept at most, about 400,000 events: a replay that keeps them stays below the 32 MiB that one of
  /// millions of events takes.
  static let bytesMax = 12 << 20
  /// After so many bytes it shows whether all will be too many.
  private static let sampleBytes = 1 << 20

  let decompressor: Decompressor
  /// Whether no pass follows the one that is made: each chunk is given up when it is read, and what is read of it then takes the
  /// memory that it had.
  var isLastPass = false
  private var chunks: [UInt64: Chunk] = [:]
  private var isKeeping: Bool
  /// How long the chunks that were decompressed are, and how long they are as they lie in the file; those of the whole file there.
  private var bytes = 0
  private var storedBytes = 0
  private let storedBytesOfFile: Int

  /// - Parameter storedBytes: how long the file's chunks are as they lie in it, `.max` where nothing is to be kept.
  init(_ compression: Compression, storedBytes: Int) {
    decompressor = Decompressor(compression)
    isKeeping = compression != .none && storedBytes <= Self.bytesMax
    storedBytesOfFile = storedBytes
  }

  /// Another pass begins over chunks of such pages: of what it decompresses itself, as much may come as of the pass before.
  func beginPass(pageBytes: Int) { decompressor.budget = DecompressionBudget(ofPages: pageBytes) }

  /// The chunk whose header lies at `offset` of the file, if it was kept.
  func chunk(at offset: Int) -> Chunk? {
    isLastPass ? chunks.removeValue(forKey: UInt64(offset)) : chunks[UInt64(offset)]
  }

  /// Keeps the chunk whose header lies at `offset`, unless all that would have to be kept are too many.
  func keep(_ chunk: Chunk, at offset: Int) {
    guard isKeeping, !isLastPass else { return }
    bytes += chunk.count
    storedBytes += chunk.end - offset
    if bytes < Self.sampleBytes || isLittle {
      chunks[UInt64(offset)] = chunk
    } else {
      isKeeping = false
      chunks = [:]
    }
  }

  /// Whether all chunks of the file are few enough, if those to come are like those that have been seen.
  private var isLittle: Bool {
    bytes <= Self.bytesMax
      && Double(bytes) / Double(storedBytes) * Double(storedBytesOfFile) <= Double(Self.bytesMax)
  }
}
