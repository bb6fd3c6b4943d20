internal import KVMTypes

// Whether pages stand where the file says. Of a file that was cut, what is missing is behind all that is there. Of one that lacks a piece
// somewhere in the middle, or has one twice, as copies of failing disks do, it may be missing at any time: nothing of it is proven. Both
// are shorter than they say.

extension TraceDatContents {
  /// What the heads of all pages tell of whether these follow one another.
  private struct PageHeads {
    /// Where the first page is that is older than the one before it, or none.
    var misfit: Int?
    /// The most room that is left in a page behind which the CPU has another one: no event more fitted in.
    var roomMax: Int?
    /// The room in the last page that is there as a whole, of the CPU whose pages the end of the file cuts; nil where none is cut.
    var roomAtCut: Int?
  }

  /// Reports that pieces are missing between others, or are too many, nobody knows where.
  mutating func reportDisplacement(at offset: Int, _ what: String) {
    guard !isDisplaced else { return }
    isDisplaced = true
    damage.append(Damage(offset: offset, what: "\(what), so nothing is certain of any event"))
  }

  /// Looks at the pages of a file that is not as long as its list of them says, where they are not compressed.
  mutating func checkPlaces(in file: FileBytes) {
    let isShort = describedEnd > UInt64(file.count)
    guard !isDisplaced, isShort || version == 6 && describedEnd < UInt64(file.count) else { return }
    let heads = pageHeads(in: file)
    if let misfit = heads.misfit {
      reportDisplacement(
        at: misfit,
        "pages do not stand where a file that is \(isShort ? "shorter" : "longer") than it says has them")
    } else if let room = heads.roomAtCut, room > heads.roomMax ?? 0 {
      // A recorder goes on to the next page when one is full.
      reportDisplacement(
        at: file.count,
        "the file is shorter than it says, and ends with a page that is not full: some are missing before")
    }
  }

  private func pageHeads(in file: FileBytes) -> PageHeads {
    var heads = PageHeads()
    for buffer in buffers where !buffer.isCompressed {
      for area in buffer.areas { take(area, buffer, file, into: &heads) }
    }
    return heads
  }

  private func take(_ area: CPUArea, _ buffer: Buffer, _ file: FileBytes, into heads: inout PageHeads) {
    let time = time(ofCPU: area.cpu)
    let decoder = PageDecoder(
      bigEndian: bigEndian, headerBytes: 8 + kernelLongSize, time: time, cpu: CPUIndex(area.cpu))
    let clock = TraceClock(buffer.clock, isConverted: time.multiplier != 0)
    let jitter = PageContinuity(time, clock: clock).jitter
    let pageBytes = buffer.pageBytes
    let space = pageBytes - decoder.headerBytes
    var (stamp, room): (UInt64, Int?) = (0, nil)
    for page in stride(from: area.offset, through: area.offset + area.count - pageBytes, by: pageBytes) {
      guard let begin = file.bytes(at: page, size: decoder.headerBytes) else { return }
      let header = decoder.header(of: UnsafeRawBufferPointer(start: begin, count: decoder.headerBytes))
      let isNone = !header.isWellFormed || header.dataBytes > space
      if isNone || time.span(from: header.stamp, to: stamp) > jitter {
        heads.misfit = heads.misfit ?? page
        return
      }
      if let room { heads.roomMax = max(heads.roomMax ?? 0, room) }
      (stamp, room) = (header.stamp, space - header.dataBytes)
    }
    if area.isCut { heads.roomAtCut = room }
  }
}
