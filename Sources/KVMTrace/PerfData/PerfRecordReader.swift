/// The records of a part of a perf.data, one after another.
///
/// Where no record can be, the next place is taken at which some records follow one another; `damaged` says what lies between.
///
/// Invariant: `buffer` holds the `filled` bytes of the file from `start` on, and is owned here. A record that `next` returned lies in
/// it.
struct PerfRecordReader: ~Copyable {
  /// How much is read at once, in bytes, where little else is open.
  static let pieceBytesMax = 128 << 10
  /// So many headers must follow one another where no record was before.
  private static let chainLength = 3
  /// No record is longer, and neither is one with a successor's header.
  private static let longestBytes = PerfRecord.bytesMax + PerfRecord.headerBytes

  private let file: FileBytes
  let bigEndian: Bool
  private let pieceBytes: Int
  private var buffer = UnsafeMutableRawBufferPointer(start: nil, count: 0)
  private var start = 0
  private var filled = 0
  /// Where the last record began, and the next one begins.
  private var last: Int
  private(set) var offset: Int
  /// Where the part ends.
  private var end: Int
  /// Where the records of a part begin that are handed out from the last to the first; nil of every other part.
  private var turned: [Int]?
  /// The bytes before the record that was returned last, or at the end, that are no records.
  private(set) var damaged: Range<Int>?

  init(_ file: FileBytes, bigEndian: Bool, _ part: Range<Int>, pieceBytes: Int = Self.pieceBytesMax) {
    self.file = file
    self.bigEndian = bigEndian
    self.pieceBytes = pieceBytes
    (last, offset, end) = (part.lowerBound, part.lowerBound, part.upperBound)
  }

  deinit { buffer.deallocate() }

  /// Goes on with another part.
  ///
  /// - Parameter isBackward: whether its last record comes first. It is then read at once, up to where the file has become shorter.
  mutating func enter(_ part: Range<Int>, isBackward: Bool = false) {
    (last, offset, end, damaged, turned) = (part.lowerBound, part.lowerBound, part.upperBound, nil, nil)
    guard isBackward, fill(from: offset, atLeast: part.count, piece: pieceBytes) else { return }
    // What is not there now must not move the buffer away from what is.
    end = min(end, start + filled)
    var places: [Int] = []
    while let record = next() { places.append(record.offset) }
    (turned, offset) = (places, end)
  }

  /// Goes on at `place`, which lies in the part or at its end.
  mutating func move(to place: Int) { (last, offset) = (place, place) }

  /// Gives back the memory, once nothing more is read.
  mutating func close() {
    buffer.deallocate()
    (buffer, filled) = (UnsafeMutableRawBufferPointer(start: nil, count: 0), 0)
  }

  /// Hands out the last record once more.
  mutating func stepBack() {
    if turned == nil { offset = last } else { turned!.append(last) }
  }

  /// Whether every read so far has found what the file had when it was opened.
  var isFileWhole: Bool { file.isWhole }

  /// The bytes from the next record on, as far as they are in memory and belong to the part.
  var ahead: UnsafeRawBufferPointer {
    let place = offset - start
    guard place >= 0, place < filled, offset < end else {
      return UnsafeRawBufferPointer(start: nil, count: 0)
    }
    return UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[place..<min(filled, end - start)])
  }

  /// Skips the first `count` bytes of `ahead`, of which the last `size` are a record.
  mutating func skip(_ count: Int, last size: Int) {
    guard count > 0 else { return }
    offset += count
    (last, damaged) = (offset - size, nil)
  }

  /// The next record; nil at the end.
  @inline(__always)
  mutating func next() -> PerfRecord? {
    let place = offset &- start
    if place >= 0, place &+ PerfRecord.headerBytes <= filled, offset < end {
      let record = record(at: place)
      let behind = offset &+ record.size
      if record.size >= PerfRecord.headerBytes, place &+ record.size <= filled, behind <= end,
        PerfRecord.Kind.isKnown(record.type)
      {
        (last, offset) = (offset, behind)
        damaged = nil
        return record
      }
    }
    return nextSlowly()
  }

  @inline(__always)
  private func record(at place: Int) -> PerfRecord {
    let base = UnsafeRawPointer(buffer.baseAddress! + place)
    let word = base.loadUnaligned(as: UInt64.self)
    return bigEndian
      ? PerfRecord(
        base: base, type: UInt32(truncatingIfNeeded: word).byteSwapped,
        misc: UInt16(truncatingIfNeeded: word >> 32).byteSwapped,
        size: Int(UInt16(truncatingIfNeeded: word >> 48).byteSwapped), offset: start &+ place, bigEndian: true
      )
      : PerfRecord(
        base: base, type: UInt32(truncatingIfNeeded: word), misc: UInt16(truncatingIfNeeded: word >> 32),
        size: Int(word >> 48), offset: start &+ place, bigEndian: false)
  }

  @inline(never)
  private mutating func nextSlowly() -> PerfRecord? {
    damaged = nil
    if let place = turned?.popLast() {
      last = place
      return record(at: place - start)
    }
    guard offset < end else { return nil }
    guard fill(from: offset, atLeast: PerfRecord.headerBytes, piece: pieceBytes) else { return nil }
    // Few records are long, so what is read at once may be less than the longest.
    if offset - start + PerfRecord.headerBytes <= filled {
      _ = fill(from: offset, atLeast: record(at: offset - start).size, piece: pieceBytes)
    }
    if isRecord(at: offset - start) { return take(at: offset) }
    // It may be the record before that says a wrong size.
    let begin = last
    guard let place = findRecords(from: begin + 8) else {
      damaged = offset..<end
      (last, offset) = (end, end)
      return nil
    }
    damaged = min(offset, place)..<place
    return take(at: place)
  }

  private mutating func take(at place: Int) -> PerfRecord {
    let record = record(at: place - start)
    (last, offset) = (place, place + record.size)
    return record
  }

  /// Whether a record can begin at `place` of the buffer, by its header.
  private func isRecord(at place: Int) -> Bool {
    guard place + PerfRecord.headerBytes <= filled else { return false }
    let record = record(at: place)
    return record.size >= PerfRecord.headerBytes && place + record.size <= filled
      && start + place + record.size <= end && PerfRecord.Kind.isKnown(record.type)
  }

  /// The first place from `begin` on, in steps of eight bytes, at which several records follow one another, or some up to the end.
  private mutating func findRecords(from begin: Int) -> Int? {
    var place = begin
    while place + PerfRecord.headerBytes <= end {
      let isShort = place - start + 2 * Self.longestBytes > filled && start + filled < end
      if place < start || isShort {
        // So much at once that each byte is read but few times.
        guard fill(from: place, atLeast: 2 * Self.longestBytes, piece: 8 * Self.longestBytes) else {
          return nil
        }
      }
      guard place - start + PerfRecord.headerBytes <= filled else { return nil }
      if isChain(at: place - start) { return place }
      place += 8
    }
    return nil
  }

  private func isChain(at begin: Int) -> Bool {
    var place = begin
    for _ in 0..<Self.chainLength {
      if start + place == end { return place > begin }
      guard isRecord(at: place) else {
        // What lies behind the buffer is not known.
        return place > begin && place + PerfRecord.headerBytes > filled && start + filled < end
      }
      let record = record(at: place)
      guard record.size % 8 == 0 else { return false }
      place += record.size
    }
    return true
  }

  /// Reads on so that the buffer holds `count` bytes from `place` on, or all up to the end; false where nothing is there.
  private mutating func fill(from place: Int, atLeast count: Int, piece: Int) -> Bool {
    if place >= start, place < start + filled, place + count <= start + filled || start + filled >= end {
      return true
    }
    let wanted = min(max(count, piece), end - place)
    guard wanted > 0 else { return false }
    if buffer.count < wanted {
      buffer.deallocate()
      buffer = .allocate(byteCount: wanted, alignment: 16)
    }
    start = place
    filled = file.read(at: place, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted]))
    return filled > 0
  }
}
