/// The sub-buffer pages of one CPU, one after another: as they lie in the file, or decompressed chunk by chunk.
///
/// A compressed area is u32 chunk count, then for each chunk u32 compressed size, u32 uncompressed size and the
/// data. Chunks are independent: one that cannot be decompressed is left out, and reading goes on behind it. Their
/// headers say how long an area is; what the file says of its size is not used, because trace-cmd before 3.2 does not
/// count the word with the number of chunks.
///
/// Invariant: the bytes of the page that `next` returned stay valid until the next call. `chunk` has `chunkCount` bytes at least; it
/// is filled anew only while nobody else holds it.
final class PageSource: PageSupply {
  private let file: FileBytes
  private let area: TraceDatContents.CPUArea
  private let pageBytes: Int
  private let isCompressed: Bool
  private let chunkBytesMax: Int
  private let bigEndian: Bool
  private let kept: KeptChunks

  private var window: FileWindow
  /// The position in the file of the next byte to read.
  private var position: Int
  private var chunksLeft: UInt32 = 0
  private var hasUncounted = false
  private var chunk: SectionBytes?
  private var chunkCount = 0
  private var chunkPosition = 0
  var cpu: UInt16 { area.cpu }
  /// Where in the file the page lies that was returned last, or its chunk.
  private(set) var pageOffset = 0
  /// Whether pages are missing before the one that was returned last.
  private(set) var isBehindGap = false
  /// Behind the last page of a chunk nothing is at hand: what is decompressed was put together by trace-cmd, and no disk takes a page
  /// of it for another one.
  private(set) var nextHead: UnsafeRawBufferPointer?
  /// What is wrong with the CPU's pages.
  var damage: DamageLog

  init(
    file: FileBytes, area: TraceDatContents.CPUArea, buffer: TraceDatContents.Buffer,
    kept: KeptChunks, bigEndian: Bool
  ) {
    self.file = file
    self.area = area
    self.bigEndian = bigEndian
    pageBytes = buffer.pageBytes
    isCompressed = buffer.isCompressed
    chunkBytesMax = Decompressor.chunkBytesMax(pageBytes: buffer.pageBytes, areas: buffer.areas.count)
    self.kept = kept
    position = area.offset
    damage = DamageLog(cpu: area.cpu)
    window = FileWindow(file, end: isCompressed ? area.limit : area.offset + area.count)
    guard isCompressed else { return }
    guard let count = window.word(at: position, bigEndian: bigEndian) else {
      if file.isWhole { damage.report(at: position, "the chunks of CPU \(area.cpu) end before their number") }
      return
    }
    chunksLeft = count
    position += 4
  }

  /// The next page, nil at the end.
  func next() -> UnsafeRawBufferPointer? {
    (isBehindGap, nextHead) = (false, nil)
    return isCompressed ? nextOfChunk() : nextInPlace()
  }

  private func nextInPlace() -> UnsafeRawBufferPointer? {
    let left = area.offset + area.count - position
    guard left >= pageBytes else {
      if left > 0 {
        damage.report(
          at: position, "the last page of CPU \(area.cpu) is cut: \(left) of \(pageBytes) bytes are there")
        position += left
      }
      return nil
    }
    let headBytes = left - pageBytes >= PageWriter.headerBytes ? PageWriter.headerBytes : 0
    guard
      let bytes = window.bytes(at: position, count: pageBytes + headBytes)
        ?? window.bytes(at: position, count: pageBytes)
    else {
      // The file tells why.
      position += left
      return nil
    }
    pageOffset = position
    position += pageBytes
    if bytes.count > pageBytes { nextHead = UnsafeRawBufferPointer(rebasing: bytes[pageBytes...]) }
    return UnsafeRawBufferPointer(rebasing: bytes[..<pageBytes])
  }

  private func nextOfChunk() -> UnsafeRawBufferPointer? {
    while chunkPosition == chunkCount {
      guard loadChunk() else { return nil }
    }
    let begin = chunkPosition
    chunkPosition += pageBytes
    guard let bytes = chunk?.bytes else { return nil }
    if chunkPosition < chunkCount {
      nextHead = UnsafeRawBufferPointer(
        rebasing: bytes[chunkPosition..<(chunkPosition + PageWriter.headerBytes)])
    }
    return UnsafeRawBufferPointer(rebasing: bytes[begin..<chunkPosition])
  }

  /// Decompresses the next chunk that can be; false when there is none.
  private func loadChunk() -> Bool {
    chunkCount = 0
    chunkPosition = 0
    guard chunksLeft > 0 || findUncounted() else {
      tellLackOfChunks()
      return false
    }
    let offset = position
    if let known = kept.chunk(at: offset), known.count % pageBytes == 0, known.end <= area.limit {
      take(known, at: offset)
      return true
    }
    guard offset + 8 <= area.limit, let compressed = window.word(at: offset, bigEndian: bigEndian),
      let uncompressed = window.word(at: offset + 4, bigEndian: bigEndian),
      compressed > 0 || uncompressed > 0
    else {
      if file.isWhole {
        damage.report(at: offset, "the chunks of CPU \(area.cpu) end \(chunksLeft) too early")
      }
      chunksLeft = 0
      return false
    }
    chunksLeft -= 1
    guard Int(compressed) <= area.limit - offset - 8 else {
      damage.report(
        at: offset, "a chunk of CPU \(area.cpu) runs past the end; it and \(chunksLeft) more are left out")
      chunksLeft = 0
      return false
    }
    position = offset + 8 + Int(compressed)
    pageOffset = offset
    if let problem = unpack(at: offset + 8, Int(compressed), to: Int(uncompressed)) {
      guard file.isWhole else {
        chunksLeft = 0
        return false
      }
      damage.reportGap(at: offset, problem)
      isBehindGap = true
    }
    return true
  }

  /// Goes on with a chunk that an earlier pass has decompressed.
  private func take(_ known: KeptChunks.Chunk, at offset: Int) {
    chunksLeft -= 1
    (chunk, chunkCount, position, pageOffset) = (known.pages, known.count, known.end, offset)
  }

  /// Whether another chunk stands where, by the area's size, one more must be, though all that were counted are read.
  private func findUncounted() -> Bool {
    guard position + 8 < min(area.offset + area.count, area.limit),
      let compressed = window.word(at: position, bigEndian: bigEndian),
      let uncompressed = window.word(at: position + 4, bigEndian: bigEndian), compressed > 0,
      Int(compressed) <= area.limit - position - 8,
      uncompressed > 0, uncompressed <= chunkBytesMax, Int(uncompressed) % pageBytes == 0
    else { return false }
    if !hasUncounted {
      damage.report(at: area.offset, "CPU \(area.cpu) has more chunks than its number of them says")
    }
    hasUncounted = true
    chunksLeft = 1
    return true
  }

  /// Says once that the area has room for a chunk and tells of none: its beginning is gone, number and all.
  private func tellLackOfChunks() {
    guard position == area.offset + 4, area.count > 4 + 8, file.isWhole,
      window.word(at: area.offset, bigEndian: bigEndian) == 0
    else { return }
    damage.report(
      at: area.offset, "CPU \(area.cpu) has no chunks, and \(area.count - 4) bytes where they must be")
    position = area.offset + area.count
  }

  /// Fills `chunk`, or says why it cannot.
  private func unpack(at offset: Int, _ compressed: Int, to uncompressed: Int) -> String? {
    guard compressed <= chunkBytesMax, uncompressed <= chunkBytesMax,
      uncompressed > 0, uncompressed % pageBytes == 0
    else { return "a chunk of CPU \(area.cpu) claims \(uncompressed) bytes, not a number of pages; left out" }
    guard let input = window.bytes(at: offset, count: compressed) else {
      return "a chunk of CPU \(area.cpu) cannot be read"
    }
    var own = chunk.take()
    if own == nil || own!.bytes.count < uncompressed || !isKnownUniquelyReferenced(&own) {
      own = SectionBytes(count: uncompressed)
    }
    guard let own, kept.decompressor.decompress(input, into: own.prefix(uncompressed)) else {
      return
        "a chunk of CPU \(area.cpu) does not decompress, or not within what a file may hold; "
        + "its \(uncompressed / pageBytes) pages are left out"
    }
    (chunk, chunkCount) = (own, uncompressed)
    kept.keep(KeptChunks.Chunk(pages: own, count: uncompressed, end: position), at: pageOffset)
    return nil
  }
}
