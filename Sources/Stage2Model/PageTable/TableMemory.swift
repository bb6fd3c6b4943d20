internal import CMemoryHints

/// Memory for tables of few sizes, taken from the system in chunks.
///
/// A piece that is given back is the next one of its size, or is cut up where smaller ones are wanted. Chunks are
/// given back when the owner goes. Invariant: every address from `allocate` to `free` names memory of its size,
/// aligned to 8 bytes, that nothing else uses.
struct TableMemory: ~Copyable {
  private var chunks: [UnsafeMutableRawPointer] = []
  /// The memory that is being cut up.
  private var next: UInt = 0
  private var end: UInt = 0
  /// What was left of others when a piece was wanted that they were too small for.
  private var remnants: [(next: UInt, end: UInt)] = []
  /// The pieces of each kind that were given back: `kinds` of them.
  private let freePieces: UnsafeMutablePointer<FreePieces>
  /// Bytes of all chunks.
  private var chunkBytes = 0
  /// The end of the last chunk, and of what was ever used of it.
  private var lastChunkEnd: UInt = 0
  private var lastChunkUsed: UInt = 0

  /// Bytes that were ever used: of what was not, the system has given nothing yet.
  @inline(__always)
  var byteCount: Int { chunkBytes - Int(lastChunkEnd &- lastChunkUsed) }

  private struct FreePieces {
    /// The bytes of each.
    var bytes = 0
    /// The last one, 0 for none; its first word holds the one before.
    var head: UInt = 0
  }

  /// More than there are forms of a table.
  static var kinds: Int { 48 }
  private static let smallestPiece = 16
  private static let smallestChunk = 4 << 10
  /// Chunks of this size are aligned to it, and become a huge page as soon as they are full: the tables of a guest that
  /// touches its memory here and there are read here and there as well.
  private static let largestChunk = 2 << 20
  /// From so many bytes on, all chunks are of that size.
  private static let manyBytes = 1 << 20

  init() {
    freePieces = .allocate(capacity: Self.kinds)
    freePieces.initialize(repeating: FreePieces(), count: Self.kinds)
  }

  deinit {
    freePieces.deallocate()
    for chunk in chunks { chunk.deallocate() }
  }

  /// `bytes` of memory, which hold anything. All pieces of one `kind`, below `kinds`, have the same size.
  mutating func allocate(_ bytes: Int, kind: Int) -> UInt {
    assert(bytes % 8 == 0, "not a multiple of 8")
    assert(kind < Self.kinds, "no such kind")
    if freePieces[kind].head != 0 { return takeFree(kind) }
    if Int(end &- next) < bytes {
      if Int(end &- next) >= Self.smallestPiece { remnants.append((next, end)) }
      if let last = remnants.last, Int(last.end &- last.next) >= bytes {
        (next, end) = remnants.removeLast()
      } else if let larger = (0..<Self.kinds).last(where: {
        freePieces[$0].head != 0 && freePieces[$0].bytes >= bytes
      }) {
        next = takeFree(larger)
        end = next + UInt(freePieces[larger].bytes)
      } else {
        addChunk(bytes)
      }
    }
    let address = next
    next += UInt(bytes)
    if next > lastChunkUsed, next <= lastChunkEnd { lastChunkUsed = next }
    return address
  }

  /// Gives a piece of `bytes` back.
  mutating func free(_ address: UInt, _ bytes: Int, kind: Int) {
    assert(kind < Self.kinds, "no such kind")
    Self.link(address).pointee = freePieces[kind].head
    freePieces[kind] = FreePieces(bytes: bytes, head: address)
  }

  private mutating func takeFree(_ kind: Int) -> UInt {
    let address = freePieces[kind].head
    freePieces[kind].head = Self.link(address).pointee
    return address
  }

  @inline(__always)
  private static func link(_ address: UInt) -> UnsafeMutablePointer<UInt> {
    UnsafeMutablePointer(bitPattern: address).unsafelyUnwrapped
  }

  /// Takes a thirty-second part of what is there once more, so that little lies idle; much, if there is much: of that,
  /// only what is used counts.
  private mutating func addChunk(_ least: Int) {
    if let last = chunks.last, lastChunkEnd == UInt(bitPattern: last) + UInt(Self.largestChunk) {
      cmemory_use_huge_pages(last, Self.largestChunk)
    }
    let wanted = max(Self.smallestChunk, least, (chunkBytes / 32 + 4095) & ~4095)
    let bytes = chunkBytes < Self.manyBytes ? wanted : max(Self.largestChunk, least)
    let chunk = UnsafeMutableRawPointer.allocate(
      byteCount: bytes, alignment: bytes == Self.largestChunk ? bytes : 64)
    chunks.append(chunk)
    next = UInt(bitPattern: chunk)
    end = next + UInt(bytes)
    chunkBytes += bytes
    lastChunkUsed = next
    lastChunkEnd = end
  }
}
