/// The sub-buffer pages of one CPU, one after another: in place where the file stores them plainly, decompressed
/// chunk by chunk where it does not.
///
/// A compressed area is u32 chunk count, then for each chunk u32 compressed size, u32 uncompressed size and the
/// data. Chunks are independent: one that cannot be decompressed is left out, and reading goes on behind it.
///
/// Invariant: the bytes of the page that `next` returned stay valid until the next call; `chunk` is owned here.
struct PageSource: ~Copyable {
  /// How much of the file is read before its memory is given back, in bytes.
  private static let releaseBytes = 1 << 20

  private let file: FileBytes
  private let area: TraceDatContents.CPUArea
  private let pageBytes: Int
  private let isCompressed: Bool
  private let bigEndian: Bool
  private let decompressor: Decompressor

  /// The position in the file of the next byte to read, and up to where its memory was given back.
  private var position: Int
  private var released: Int
  private var chunksLeft: UInt32 = 0
  private var chunk: UnsafeMutableRawBufferPointer
  private var chunkCount = 0
  private var chunkPosition = 0
  /// The first damaged places, `damageMax` at most.
  private(set) var damage: [Damage] = []
  private static let damageMax = 256
  /// Where in the file the page lies that was returned last, or its chunk.
  private(set) var pageOffset = 0

  init(
    file: FileBytes, area: TraceDatContents.CPUArea, buffer: TraceDatContents.Buffer,
    compression: Compression,
    bigEndian: Bool
  ) {
    self.file = file
    self.area = area
    self.bigEndian = bigEndian
    pageBytes = buffer.pageBytes
    isCompressed = buffer.isCompressed
    decompressor = Decompressor(isCompressed ? compression : .none)
    chunk = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    position = area.offset
    released = area.offset
    guard isCompressed else { return }
    guard area.count >= 4 else {
      damage = [
        Damage(
          offset: position, cpu: area.cpu, what: "the chunks of CPU \(area.cpu) end before their number")
      ]
      return
    }
    chunksLeft = word(at: position)
    position += 4
  }

  deinit { chunk.deallocate() }

  private var end: Int { area.offset + area.count }

  /// The next page, nil at the end.
  mutating func next() -> UnsafeRawBufferPointer? {
    isCompressed ? nextOfChunk() : nextInPlace()
  }

  private mutating func nextInPlace() -> UnsafeRawBufferPointer? {
    giveBack()
    let left = end - position
    guard left >= pageBytes else {
      if left > 0 {
        report(
          at: position, "the last page of CPU \(area.cpu) is cut: \(left) of \(pageBytes) bytes are there")
        position = end
      }
      return nil
    }
    defer { position += pageBytes }
    pageOffset = position
    return UnsafeRawBufferPointer(start: file.base + position, count: pageBytes)
  }

  private mutating func nextOfChunk() -> UnsafeRawBufferPointer? {
    while chunkPosition == chunkCount {
      guard chunksLeft > 0, loadChunk() else { return nil }
    }
    defer { chunkPosition += pageBytes }
    return UnsafeRawBufferPointer(rebasing: chunk[chunkPosition..<(chunkPosition + pageBytes)])
  }

  /// Decompresses the next chunk that can be; false when there is none.
  private mutating func loadChunk() -> Bool {
    giveBack()
    chunkCount = 0
    chunkPosition = 0
    guard position + 8 <= end else {
      report(at: position, "the chunks of CPU \(area.cpu) end \(chunksLeft) too early")
      chunksLeft = 0
      return false
    }
    chunksLeft -= 1
    let offset = position
    let compressed = Int(word(at: offset))
    let uncompressed = Int(word(at: offset + 4))
    guard compressed <= end - offset - 8 else {
      report(
        at: offset, "a chunk of CPU \(area.cpu) runs past the end; it and \(chunksLeft) more are left out")
      chunksLeft = 0
      return false
    }
    position = offset + 8 + compressed
    pageOffset = offset
    guard uncompressed <= Decompressor.chunkBytesMax, uncompressed % pageBytes == 0 else {
      report(
        at: offset, "a chunk of CPU \(area.cpu) claims \(uncompressed) bytes, not a number of pages; left out"
      )
      return true
    }
    if chunk.count < uncompressed {
      chunk.deallocate()
      chunk = .allocate(byteCount: uncompressed, alignment: 16)
    }
    let input = UnsafeRawBufferPointer(start: file.base + offset + 8, count: compressed)
    guard
      decompressor.decompress(input, into: UnsafeMutableRawBufferPointer(rebasing: chunk[..<uncompressed]))
    else {
      report(
        at: offset,
        "a chunk of CPU \(area.cpu) does not decompress; its \(uncompressed / pageBytes) pages are left out")
      return true
    }
    chunkCount = uncompressed
    return true
  }

  mutating func report(at offset: Int, _ what: String) {
    if damage.count < Self.damageMax { damage.append(Damage(offset: offset, cpu: area.cpu, what: what)) }
  }

  private mutating func giveBack() {
    guard position - released >= Self.releaseBytes else { return }
    file.release(released..<position)
    released = position
  }

  private func word(at offset: Int) -> UInt32 {
    let raw = file.base.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
    return bigEndian ? UInt32(bigEndian: raw) : raw
  }
}
