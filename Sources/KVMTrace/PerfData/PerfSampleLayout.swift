/// Where the values of a sample stand, and of what ends every other record of the same event (`sample_id_all`), as `sample_type` and
/// `read_format` of its `perf_event_attr` say. Places are in bytes from the beginning of a record, or from its end.
struct PerfSampleLayout: Hashable {
  /// The bits of `sample_type`, in `enum perf_event_sample_format`.
  private enum Bit: UInt64 {
    case ip = 0
    case tid, time, address, read, callchain, id, cpu, period, streamID, raw
    case identifier = 16
  }

  /// The values at the end of a record that is no sample; 0 for what is not there.
  struct Trailer: Hashable {
    var bytes = 0
    var cpuFromEnd = 0
    var idFromEnd = 0
  }

  /// The number of the event's instance, 0 where it is not there, as for the other places.
  private(set) var id = 0
  private(set) var time = 0
  private(set) var cpu = 0
  private(set) var hasRaw = false
  private(set) var trailer = Trailer()
  /// Where what has a fixed length ends.
  private var fixedEnd = PerfRecord.headerBytes
  /// What stands between it and the raw data: counters, in this form, and the callers.
  private var readFormat: UInt64?
  private var hasCallchain = false

  init(sampleType: UInt64, readFormat: UInt64, hasTrailer: Bool) {
    func has(_ bit: Bit) -> Bool { sampleType >> bit.rawValue & 1 != 0 }
    func place(_ bit: Bit) -> Int {
      guard has(bit) else { return 0 }
      fixedEnd += 8
      return fixedEnd - 8
    }
    let identifier = place(.identifier)
    _ = place(.ip)
    _ = place(.tid)
    time = place(.time)
    _ = place(.address)
    let ownID = place(.id)
    id = identifier > 0 ? identifier : ownID
    _ = place(.streamID)
    cpu = place(.cpu)
    _ = place(.period)
    self.readFormat = has(.read) ? readFormat : nil
    hasCallchain = has(.callchain)
    hasRaw = has(.raw)
    guard hasTrailer else { return }
    // From the end: identifier, CPU, stream, number, time, thread.
    for bit in [Bit.identifier, .cpu, .streamID, .id, .time, .tid] where has(bit) {
      trailer.bytes += 8
      if bit == .cpu { trailer.cpuFromEnd = trailer.bytes }
      if bit == .identifier || bit == .id && trailer.idFromEnd == 0 { trailer.idFromEnd = trailer.bytes }
    }
  }

  /// Where the length of the raw data stands, if that is the same in every sample.
  var rawLengthPlace: Int? { hasRaw && readFormat == nil && !hasCallchain ? fixedEnd : nil }

  /// Where the raw data of a sample lies: behind its length. Nil where that does not fit.
  @inline(__always)
  func raw(of record: PerfRecord) -> (place: Int, count: Int)? {
    var place = fixedEnd
    if readFormat != nil || hasCallchain {
      guard let behind = behindCounters(of: record) else { return nil }
      place = behind
    }
    guard place &+ 4 <= record.size else { return nil }
    let count = Int(record.word32(place))
    guard count <= record.size &- place &- 4 else { return nil }
    return (place &+ 4, count)
  }

  /// Where counters and callers end; nil where they do not fit.
  private func behindCounters(of record: PerfRecord) -> Int? {
    var place = fixedEnd
    if let readFormat {
      // enum perf_event_read_format: two times of all, then for each the value, its number, what it lost.
      let times = Int(readFormat & 1) + Int(readFormat >> 1 & 1)
      let each = 1 + Int(readFormat >> 2 & 1) + Int(readFormat >> 4 & 1)
      if readFormat >> 3 & 1 != 0 {
        guard let counters = count(at: place, of: record) else { return nil }
        place += 8 * (1 + times + each * counters)
      } else {
        place += 8 * (times + each)
      }
    }
    if hasCallchain {
      guard let callers = count(at: place, of: record) else { return nil }
      place += 8 * (1 + callers)
    }
    return place
  }

  /// A number of words that the record has room for.
  private func count(at place: Int, of record: PerfRecord) -> Int? {
    guard place + 8 <= record.size else { return nil }
    let count = record.word64(place)
    return count <= UInt64(record.size / 8) ? Int(count) : nil
  }

  /// Whether the values of fixed length lie inside a sample.
  @inline(__always)
  func fits(_ record: PerfRecord) -> Bool { record.size >= fixedEnd }
}
