internal import KVMTypes

/// Decodes the sub-buffer pages of one CPU, as the kernel's ring buffer wrote them (kernel/trace/ring_buffer.c).
///
/// A page is a u64 time stamp, a `commit` word of the kernel's long size and data. `commit` holds the data's
/// length (bits 26:0), bit 31 = events were lost before this page, bit 30 = their number is stored behind the
/// data. Data is a sequence of events, each with a 32-bit header of `type_len` (5 bits) and time delta (27 bits):
///
///     1...28  data of 4 x type_len bytes        29  padding, or a discarded event
///     0       the next u32 is the length        30  time extend        31  absolute time stamp
///
/// Bounds are checked against the end of the data once for each event, against nothing else; a record that does
/// not fit ends the page and is reported. All loads are inside the page: see `ScalarLoad`.
struct PageDecoder {
  let bigEndian: Bool
  /// Bytes of the page header: 8 + the kernel's long size.
  let headerBytes: Int
  let time: TimeConversion
  /// The CPU of the page that is decoded.
  var cpu: CPUIndex
  /// Which of that CPU's streams it is of.
  var lane: UInt8 = 0
  /// Whether bytes and stamps are as the plain loop takes them.
  private var isPlain: Bool { !bigEndian && time.isOffsetOnly }

  func header(of page: UnsafeRawBufferPointer) -> Header {
    let base = page.baseAddress!
    return Header(
      stamp: word64(base), commit: headerBytes == 16 ? word64(base + 8) : UInt64(word32(base + 8)))
  }

  /// The most records that a page of `bytes` can hold: every event has a header and a common type, 4-byte rounded;
  /// one more tells of a loss.
  static func recordsMax(pageBytes bytes: Int) -> Int { bytes / 8 + 1 }

  /// Decodes `page` into `records`, which has room for `recordsMax`, and counts each event in `counts`, which has
  /// one entry for each format and one more for events without a format.
  ///
  /// - Parameter lost: how many events are known to be missing before the page, as `Outcome.lost` counts them.
  func decode(
    _ page: UnsafeRawBufferPointer, lost: UInt64? = nil, plan: borrowing DecodePlan,
    into records: UnsafeMutablePointer<TraceRecord>,
    counts: UnsafeMutablePointer<UInt64>
  ) -> Outcome {
    var outcome = Outcome()
    let header = header(of: page)
    var end = headerBytes + header.dataBytes
    if end > page.count {
      outcome.damage = (
        8, "a page claims \(end - headerBytes) bytes of data where \(page.count - headerBytes) fit"
      )
      end = page.count
    }
    outcome.lost = loss(of: page, header, end: end, before: lost)
    var cursor = PageCursor(
      base: page.baseAddress!, end: end, records: records, counts: counts, offset: headerBytes,
      stamp: header.stamp, loss: outcome.lost)
    repeat {
      if isPlain, cursor.hasEvent { takePlain(&cursor, plan: plan) }
    } while takeItem(&cursor, &outcome, plan: plan)
    if outcome.damage == nil { outcome.damage = Self.misfit(of: cursor, header) }
    outcome.close(cursor, time)
    outcome.end = cursor.stamp
    outcome.recordCount = cursor.written
    return outcome
  }

  /// What shows that a page does not end where its header says, though each of its events could be read: the ring buffer rounds all that
  /// it writes to four bytes, and ends a page behind an event.
  private static func misfit(of cursor: PageCursor, _ header: Header) -> (offset: Int, what: String)? {
    if header.dataBytes % 4 != 0 {
      return (8, "a page claims \(header.dataBytes) bytes of data, which is no multiple of 4")
    }
    return cursor.offset > cursor.end ? (cursor.end, "a discarded event of a page runs past its end") : nil
  }

  /// How many events are missing before a page whose data ends at `end`, as `Outcome.lost` counts them.
  private func loss(
    of page: UnsafeRawBufferPointer, _ header: Header, end: Int, before lost: UInt64?
  ) -> UInt64? {
    guard header.commit & (1 << 31) != 0 else { return lost }
    var own: UInt64 = 0
    let long = headerBytes - 8
    if header.commit & (1 << 30) != 0, end + long <= page.count {
      let count = page.baseAddress! + end
      own = long == 8 ? word64(count) : UInt64(word32(count))
    }
    guard let lost else { return own }
    // Of two gaps in one place, if the size of one is unknown, so is that of both.
    return lost == 0 || own == 0 ? 0 : lost.addingSaturated(own)
  }

  /// Takes events for as long as they have a short header and a plain plan: nearly all there are. The rest is left to
  /// `takeItem`, and so is every doubt.
  ///
  /// What is not selected is written all the same, and overwritten by what follows: that is faster than to ask. There is room,
  /// as `recordsMax` counts no header of the page.
  private func takePlain(_ cursor: inout PageCursor, plan: borrowing DecodePlan) {
    let (base, end, records, counts) = (cursor.base, cursor.end, cursor.records, cursor.counts)
    let clockOffset = UInt64(bitPattern: time.offset)
    let place = UInt64(cpu.rawValue) << 16 | UInt64(lane) << 56
    var (offset, stamp, last, written) = (cursor.offset, cursor.stamp, cursor.last, cursor.written)
    while offset &+ 4 &+ PlainWords.headBytes <= end {
      let header = base.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
      let length = Int(header & 0x1f) &* 4
      let payload = offset &+ 4
      let head = base.loadUnaligned(fromByteOffset: payload, as: UInt64.self)
      let entry = plan.plan(of: UInt16(truncatingIfNeeded: head))
      guard length >= entry.pointee.plainBytesMin, length <= 4 * 28, payload &+ length <= end else { break }
      offset = payload &+ length
      stamp &+= UInt64(header >> 5)
      last = stamp
      counts[entry.pointee.formatIndex] &+= 1
      (records + written).initialize(
        to: TraceRecord(
          packed: (
            stamp &+ clockOffset, head >> 32 | UInt64(UInt(bitPattern: payload)) << 32,
            UInt64(UInt(bitPattern: length)) | place | entry.pointee.tag,
            entry.pointee.words.words(base + payload)
          )))
      written &+= entry.pointee.isSelected ? 1 : 0
    }
    (cursor.offset, cursor.stamp, cursor.last, cursor.written) = (offset, stamp, last, written)
  }

  /// Takes the next item of the page, whatever it is; false where the page ends.
  private func takeItem(
    _ cursor: inout PageCursor, _ outcome: inout Outcome, plan: borrowing DecodePlan
  ) -> Bool {
    guard cursor.offset + 4 <= cursor.end else { return false }
    let header = word32(cursor.base + cursor.offset)
    let typeLength = bigEndian ? header >> 27 : header & 0x1f
    let delta = UInt64(bigEndian ? header & 0x07ff_ffff : header >> 5)
    let payload = cursor.offset + 4
    if (1...28).contains(typeLength) {
      return takeEvent(&cursor, &outcome, at: payload, Int(typeLength) * 4, delta, plan: plan)
    }
    // All others carry one more word, except the padding that ends a page.
    if typeLength == 29 && delta == 0 { return false }
    guard payload + 4 <= cursor.end else {
      outcome.damage = (cursor.offset, "an event of a page runs past its end")
      return false
    }
    let extra = word32(cursor.base + payload)
    switch typeLength {
    case 0:
      if extra < 4 {
        outcome.damage = (cursor.offset, "an event of a page is shorter than its own length field")
      }
      guard outcome.damage == nil else { return false }
      return takeEvent(&cursor, &outcome, at: payload + 4, (Int(extra) - 4 + 3) & ~3, delta, plan: plan)
    case 29:
      cursor.stamp &+= delta
      cursor.offset = payload + ((Int(extra) + 3) & ~3)
      if extra < 4 { outcome.damage = (payload + 4, "a discarded event of a page has no length") }
      return outcome.damage == nil
    case 30: cursor.stamp &+= (UInt64(extra) << 27) &+ delta
    default:
      let stamp = Self.absolute((UInt64(extra) << 27) &+ delta, after: cursor.stamp)
      if stamp < cursor.stamp { outcome.turnBack(&cursor, to: stamp, time) }
      cursor.stamp = stamp
    }
    cursor.offset = payload + 4
    return true
  }

  /// Takes an event whose data is `length` bytes at `payload`, if it lies inside the page; false where not.
  private func takeEvent(
    _ cursor: inout PageCursor, _ outcome: inout Outcome, at payload: Int, _ length: Int, _ delta: UInt64,
    plan: borrowing DecodePlan
  ) -> Bool {
    guard payload + length <= cursor.end, length >= plan.commonType.end else {
      outcome.damage = (cursor.offset, "an event of a page runs past its end")
      return false
    }
    cursor.stamp &+= delta
    cursor.offset = payload + length
    let now = time.nanoseconds(cursor.stamp)
    if !cursor.hasEvent {
      (cursor.hasEvent, cursor.first) = (true, cursor.stamp)
      if let lost = cursor.loss { cursor.append(loss(of: lost, before: now)) }
      cursor.loss = nil
    }
    cursor.last = cursor.stamp
    let data = cursor.base + payload
    let id = UInt16(truncatingIfNeeded: plan.commonType.load(data))
    let entry = plan.plan(of: id)
    cursor.counts[entry.pointee.formatIndex] &+= 1
    guard entry.pointee.isSelected else { return true }
    let fits = length >= entry.pointee.payloadBytesMin
    if !fits, entry.pointee.kind != .other, outcome.short == nil { outcome.short = payload }
    var record = TraceRecord(
      time: now, tid: ThreadID(-1), payloadOffset: UInt32(truncatingIfNeeded: payload),
      payloadLength: UInt16(clamping: length), cpu: cpu, formatID: id,
      kind: fits ? entry.pointee.kind : .other, lane: lane, words: .init())
    if let pid = plan.commonPID, length >= pid.end {
      record.tid = ThreadID(Int32(truncatingIfNeeded: pid.load(data)))
    }
    if fits { plan.fill(&record.words, from: data, entry) }
    cursor.append(record)
    return true
  }

  func loss(of count: UInt64, before time: Nanoseconds) -> TraceRecord {
    var record = TraceRecord(.lost, at: time, cpu: cpu, tid: ThreadID(-1))
    record.lane = lane
    record[RecordLayout.Lost.count] = count
    return record
  }

  /// The stamp whose low 59 bits are `low`: an absolute stamp has no room for the others. Of the two that may be meant,
  /// which are 2^59 apart, it is the one that is nearer to the stamp before.
  static func absolute(_ low: UInt64, after before: UInt64) -> UInt64 {
    let distance = Int64(bitPattern: (low &- before) << 5) >> 5
    let stamp = before &+ UInt64(bitPattern: distance)
    // There is no time before 0.
    return distance < 0 && stamp > before ? stamp & (1 << 59 - 1) : stamp
  }

  @inline(__always)
  private func word32(_ pointer: UnsafeRawPointer) -> UInt32 {
    let raw = pointer.loadUnaligned(as: UInt32.self)
    return bigEndian ? raw.byteSwapped : raw
  }

  @inline(__always)
  private func word64(_ pointer: UnsafeRawPointer) -> UInt64 {
    let raw = pointer.loadUnaligned(as: UInt64.self)
    return bigEndian ? raw.byteSwapped : raw
  }
}
