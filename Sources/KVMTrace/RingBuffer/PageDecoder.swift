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
  let cpu: CPUIndex

  /// What a page turned out to be.
  struct Outcome {
    /// How many records were written.
    var recordCount = 0
    /// The stamps of the first and the last event, also of those that were not selected.
    var first: Nanoseconds?
    var last: Nanoseconds?
    /// The ring buffer's own stamp that the page ends with.
    var end: UInt64 = 0
    /// The least and the greatest of all stamps.
    var least: Nanoseconds?
    var greatest: Nanoseconds?
    /// How many events were lost before this page, 0 for an unknown number, nil for none.
    var lost: UInt64?
    /// Where in the page and why reading stopped early.
    var damage: (offset: Int, what: String)?
    /// Where the first event is that a replay reads and that is shorter than its format.
    var short: Int?
    /// Where an absolute stamp turned the time back the furthest, and from when to when.
    var stepBack: (offset: Int, from: Nanoseconds, to: Nanoseconds)?

    /// The events so far are over: what follows has earlier stamps.
    mutating func turnBack(at offset: Int, to: Nanoseconds) {
      guard let last else { return }
      if stepBack.map({ last - to > $0.from - $0.to }) ?? true { stepBack = (offset, last, to) }
      close()
      (first, self.last) = (nil, nil)
    }

    /// Takes the stamps since the last step back into `least` and `greatest`.
    mutating func close() {
      guard let first, let last else { return }
      least = min(least ?? first, first)
      greatest = max(greatest ?? last, last)
    }
  }

  /// How a page begins.
  struct Header: Equatable {
    var stamp: UInt64
    /// The whole word: a length and marks.
    var commit: UInt64

    /// Bytes of data.
    var dataBytes: Int { Int(commit & 0x07ff_ffff) }
    /// Whether nothing but a length and the marks of lost events stands in the word.
    var isWellFormed: Bool { commit & ~0xc7ff_ffff == 0 }
  }

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
    let base = page.baseAddress!
    let header = header(of: page)
    let commit = header.commit
    var end = headerBytes + header.dataBytes
    if end > page.count {
      outcome.damage = (
        8, "a page claims \(end - headerBytes) bytes of data where \(page.count - headerBytes) fit"
      )
      end = page.count
    }
    if commit & (1 << 31) != 0 {
      outcome.lost = 0
      let long = headerBytes - 8
      if commit & (1 << 30) != 0, end + long <= page.count {
        outcome.lost = long == 8 ? word64(base + end) : UInt64(word32(base + end))
      }
      // Of two gaps in one place, if the size of one is unknown, so is that of both.
      if let lost, let own = outcome.lost { outcome.lost = lost == 0 || own == 0 ? 0 : lost &+ own }
    } else {
      outcome.lost = lost
    }
    var loss = outcome.lost

    var stamp = header.stamp
    var offset = headerBytes
    var written = 0
    while offset + 4 <= end {
      let header = word32(base + offset)
      let typeLength = bigEndian ? header >> 27 : header & 0x1f
      let delta = UInt64(bigEndian ? header & 0x07ff_ffff : header >> 5)
      var payload = offset + 4
      var length = Int(typeLength) * 4
      if typeLength == 0 || typeLength > 28 {
        // All of these carry one more word, except the padding that ends a page.
        if typeLength == 29 && delta == 0 { break }
        guard payload + 4 <= end else {
          outcome.damage = (offset, "an event of a page runs past its end")
          break
        }
        let extra = word32(base + payload)
        payload += 4
        switch typeLength {
        case 0:
          guard extra >= 4 else {
            outcome.damage = (offset, "an event of a page is shorter than its own length field")
            break
          }
          length = (Int(extra) - 4 + 3) & ~3
        case 29:
          stamp &+= delta
          offset = payload - 4 + ((Int(extra) + 3) & ~3)
          if extra < 4 { outcome.damage = (payload, "a discarded event of a page has no length") }
          if outcome.damage != nil { break }
          continue
        case 30:
          stamp &+= (UInt64(extra) << 27) &+ delta
          offset = payload
          continue
        default:
          let before = stamp
          stamp = Self.absolute((UInt64(extra) << 27) &+ delta, after: before)
          if stamp < before { outcome.turnBack(at: offset, to: time.nanoseconds(stamp)) }
          offset = payload
          continue
        }
        if outcome.damage != nil { break }
      }
      guard payload + length <= end, length >= plan.commonType.end else {
        outcome.damage = (offset, "an event of a page runs past its end")
        break
      }
      stamp &+= delta
      offset = payload + length

      let now = time.nanoseconds(stamp)
      if outcome.first == nil {
        outcome.first = now
        if let lost = loss { written += emitLoss(lost, now, records + written) }
        loss = nil
      }
      outcome.last = now
      let data = base + payload
      let id = UInt16(truncatingIfNeeded: plan.commonType.load(data))
      let entry = plan.plan(of: id)
      counts[min(Int(entry.pointee.formatIndex), plan.formatCount)] &+= 1
      guard entry.pointee.isSelected else { continue }
      let fits = length >= Int(entry.pointee.payloadBytesMin)
      if !fits, entry.pointee.kind != .other, outcome.short == nil { outcome.short = offset - length }
      var record = TraceRecord(
        time: now,
        tid: ThreadID(-1), payloadOffset: UInt32(truncatingIfNeeded: payload),
        payloadLength: UInt16(clamping: length), cpu: cpu, formatID: id,
        kind: fits ? entry.pointee.kind : .other, words: .init())
      if let pid = plan.commonPID, length >= pid.end {
        record.tid = ThreadID(Int32(truncatingIfNeeded: pid.load(data)))
      }
      if fits {
        withUnsafeMutableBytes(of: &record.words) { words in
          plan.fill(words.baseAddress!.assumingMemoryBound(to: UInt64.self), from: data, entry)
        }
      }
      records[written] = record
      written += 1
    }
    outcome.close()
    outcome.end = stamp
    outcome.recordCount = written
    return outcome
  }

  private func emitLoss(
    _ count: UInt64, _ time: Nanoseconds, _ records: UnsafeMutablePointer<TraceRecord>
  ) -> Int {
    var record = TraceRecord(.lost, at: time, cpu: cpu, tid: ThreadID(-1))
    record[RecordLayout.Lost.count] = count
    records.pointee = record
    return 1
  }

  /// The stamp whose low 59 bits are `low`: an absolute stamp has no room for the others. Of the two that may be meant,
  /// which are 2^59 apart, it is the one that is nearer to the stamp before.
  private static func absolute(_ low: UInt64, after before: UInt64) -> UInt64 {
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
