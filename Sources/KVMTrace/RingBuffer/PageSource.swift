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
  private let form: ChunkForm
  private let kept: KeptChunks

  private var window: FileWindow
  /// The position in the file of the next byte to read.
  private var position: Int
  private var chunksLeft: UInt32 = 0
  /// Whether the number of chunks has not been shown to be wrong.
  private var isNumberGood = true
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
    pageBytes = buffer.pageBytes
    isCompressed = buffer.isCompressed
    form = ChunkForm(
      pageBytes: buffer.pageBytes,
      bytesMax: Decompressor.chunkBytesMax(pageBytes: buffer.pageBytes, areas: buffer.areas.count),
      compression: kept.decompressor.compression, bigEndian: bigEndian)
    self.kept = kept
    position = area.offset
    damage = DamageLog(cpu: area.cpu)
    window = FileWindow(file, end: isCompressed ? area.limit : area.offset + area.count)
    guard isCompressed else { return }
    guard let count = window.word(at: position, bigEndian: bigEndian) else {
      if file.isWhole { damage.report(at: position, "the chunks of CPU \(area.cpu) end before their number") }
      position += area.count
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
    (chunkCount, chunkPosition) = (0, 0)
    guard chunksLeft > 0 || hasUncounted() else { return skipRest() }
    let offset = position
    if let known = kept.chunk(at: offset), known.count % pageBytes == 0, known.end <= area.limit {
      take(known, at: offset)
      return true
    }
    guard let head = form.head(at: offset, before: area.limit, in: &window) else {
      return leap(from: offset, else: "the chunks of CPU \(area.cpu) end \(chunksLeft) too early")
    }
    chunksLeft -= 1
    guard head.end <= area.limit else {
      return leap(
        from: offset,
        else: "a chunk of CPU \(area.cpu) runs past the end; it and \(chunksLeft) more are left out")
    }
    (position, pageOffset) = (head.end, offset)
    guard let problem = unpack(head) else { return true }
    guard file.isWhole else {
      chunksLeft = 0
      return false
    }
    damage.reportGap(at: offset, problem)
    isBehindGap = true
    // What is damaged may be the head, which says where the next one is.
    if let next = find(from: head.begin), next != position { goOn(at: next) }
    return true
  }

  /// Goes on with a chunk that an earlier pass has decompressed.
  private func take(_ known: KeptChunks.Chunk, at offset: Int) {
    chunksLeft -= 1
    (chunk, chunkCount, position, pageOffset) = (known.pages, known.count, known.end, offset)
  }

  /// Where the area ends, by its size and by what comes next.
  private var end: Int { min(area.offset + area.count, area.limit) }

  /// Whether another chunk stands where, by the area's size, one more must be, though all that were counted are read.
  private func hasUncounted() -> Bool {
    guard position + ChunkHead.bytes < end,
      let head = form.head(at: position, before: area.limit, in: &window), head.compressed > 0,
      head.end <= area.limit, form.allows(uncompressed: head.uncompressed)
    else { return false }
    if isNumberGood {
      damage.report(at: area.offset, "CPU \(area.cpu) has more chunks than its number of them says")
    }
    isNumberGood = false
    chunksLeft = 1
    return true
  }

  /// Tells of what stands behind the last chunk, where that is no padding: zeros. Goes on where there is one more; else returns false.
  private func skipRest() -> Bool {
    let hasNone = position == area.offset + 4 && end > position + ChunkHead.bytes
    guard hasNone || !isEmpty(from: position) else { return false }
    let bytes = end - position
    return leap(
      from: hasNone ? area.offset : position,
      else: hasNone
        ? "CPU \(area.cpu) has no chunks, and \(bytes) bytes where they must be"
        : "\(bytes) bytes behind the last chunk of CPU \(area.cpu) are none")
  }

  /// Goes on behind what is no chunk from `offset` on, and tells of the gap; where no chunk follows says `problem`, and returns false.
  private func leap(from offset: Int, else problem: String) -> Bool {
    guard file.isWhole, let next = find(from: position) else {
      if file.isWhole { damage.report(at: offset, problem) }
      (chunksLeft, position) = (0, max(position, end))
      return false
    }
    damage.reportGap(
      at: offset, "\(next - offset) bytes of CPU \(area.cpu) are no chunk; what they held is left out")
    isBehindGap = true
    goOn(at: next)
    return true
  }

  /// A chunk stands at `next`, and how many should stand before it is not known: their number says no more how many are left.
  private func goOn(at next: Int) { (position, chunksLeft, isNumberGood) = (next, 1, false) }

  /// Where from `begin` on a chunk stands; nil where none does. Of an area whose end is not known what stands there may be another CPU's.
  private func find(from begin: Int) -> Int? {
    area.isOpen ? nil : form.find(from: begin, before: end, limit: area.limit, in: &window)
  }

  /// Whether nothing but zeros stands between `place` and the area's end.
  private func isEmpty(from place: Int) -> Bool {
    var place = place
    while place < end {
      let count = min(FileWindow.pieceBytes, end - place)
      guard let piece = window.bytes(at: place, count: count) else { return true }
      guard piece.allSatisfy({ $0 == 0 }) else { return false }
      place += piece.count
    }
    return true
  }

  /// Fills `chunk` with what stands behind `head`, or says why it cannot.
  private func unpack(_ head: ChunkHead) -> String? {
    guard head.compressed <= form.bytesMax, form.allows(uncompressed: head.uncompressed) else {
      return
        "a chunk of CPU \(area.cpu) claims \(head.uncompressed) bytes, not a number of pages; left out"
    }
    guard let input = window.bytes(at: head.begin, count: head.compressed) else {
      return "a chunk of CPU \(area.cpu) cannot be read"
    }
    var own = chunk.take()
    if own == nil || own!.bytes.count < head.uncompressed || !isKnownUniquelyReferenced(&own) {
      own = SectionBytes(count: head.uncompressed)
    }
    guard let own, kept.decompressor.decompress(input, into: own.prefix(head.uncompressed)) else {
      return
        "a chunk of CPU \(area.cpu) does not decompress, or not within what a file may hold; "
        + "its \(head.uncompressed / pageBytes) pages are left out"
    }
    (chunk, chunkCount) = (own, head.uncompressed)
    kept.keep(KeptChunks.Chunk(pages: own, count: head.uncompressed, end: head.end), at: head.offset)
    return nil
  }
}
