/// Builds one ring-buffer sub-buffer, event by event.
///
/// A sub-buffer is a 64-bit time stamp, a `commit` word of the kernel's `long` (the bytes of data in its
/// low 27 bits, marks of missed events in bits 31 and 30), and data. Data is a row of 4-byte aligned
/// records. Each begins with a 32-bit word of a 5-bit `type_len` and a 27-bit time delta; little-endian
/// kernels keep `type_len` in the low bits, big-endian ones in the high bits.
///
/// There are two levels here. `append(_:at:)` and `appendEvent` behave like the kernel: they choose
/// deltas, time extends and absolute stamps, and say when the page is full. The others write exactly what they are told, so that a test
/// can build pages that no kernel would write.
public struct SubBufferPageBuilder: Sendable {
  /// What a page says about events that were lost before it.
  public enum Missed: Hashable, Sendable {
    /// No events were lost.
    case none
    /// Some were lost, nobody knows how many (bit 31).
    case unknown
    /// This many were lost (bits 31 and 30, the number stored after the data). Where the page has no
    /// room for the number only bit 31 is set, as the kernel does.
    case counted(UInt64)
  }

  /// `type_len` of the records that are no events.
  public enum RecordType {
    /// Padding, or a discarded event.
    public static let padding: UInt32 = 29
    /// A delta too long for 27 bits.
    public static let timeExtend: UInt32 = 30
    /// The absolute time.
    public static let timeStamp: UInt32 = 31
  }

  /// The shape of the file that the page goes into.
  public let flavour: TraceFlavour
  /// The time of the page's start.
  public private(set) var firstTimestamp: UInt64
  /// The time that a reader has reached after the records so far.
  public private(set) var timestamp: UInt64
  /// Bytes of data so far.
  public private(set) var dataBytes = 0
  /// Events so far, discarded ones left out.
  public private(set) var events = 0
  /// The mark of lost events.
  public var missed: Missed = .none
  /// When set, what the `commit` word holds in place of the true count and marks.
  public var commitOverride: UInt64?

  private var page: PageStorage
  private let headerBytes: Int
  private let isBig: Bool

  /// An empty page that starts at `timestamp`.
  public init(_ flavour: TraceFlavour, timestamp: UInt64) {
    self.flavour = flavour
    firstTimestamp = timestamp
    self.timestamp = timestamp
    page = PageStorage(count: flavour.pageBytes, byteOrder: flavour.byteOrder)
    headerBytes = flavour.pageHeaderBytes
    isBig = flavour.byteOrder == .big
  }

  /// Bytes of data that still fit.
  public var room: Int { page.bytes.count - headerBytes - dataBytes }

  /// Empties the page and lets it start at `timestamp`.
  public mutating func reset(timestamp: UInt64) {
    firstTimestamp = timestamp
    self.timestamp = timestamp
    dataBytes = 0
    events = 0
    missed = .none
    commitOverride = nil
  }

  // MARK: As the kernel writes

  /// Appends an event with the time extend or absolute stamp it needs; false, and no change, when the
  /// page has no room for it.
  public mutating func append(_ payload: [UInt8], at time: UInt64) -> Bool {
    guard let start = appendEvent(bytes: payload.count, at: time) else { return false }
    page.store(payload, at: start)
    return true
  }

  /// Makes room for an event of `bytes` and gives back where its payload starts, nil when the page is
  /// full. The payload must be stored with `store`.
  @inline(__always)
  mutating func appendEvent(bytes: Int, at time: UInt64) -> Int? {
    // As the kernel does, the first event of a page has the page's own time.
    if dataBytes == 0 && time != timestamp {
      firstTimestamp = time
      timestamp = time
    }
    let data = (bytes + 3) & ~3
    let long = data > 112 || data == 0
    let delta = time &- timestamp
    let extends = time < timestamp || delta >= 1 << 27
    guard (extends ? 8 : 0) + (long ? 8 : 4) + data <= room else { return nil }
    if extends {
      if time < timestamp || delta >= 1 << 59 { absoluteStamp(time) } else { timeExtend(delta) }
    }
    return open(dataBytes: data, long: long, delta: extends ? 0 : UInt32(truncatingIfNeeded: delta))
  }

  /// Stores the low `size` bytes of `value` at an offset that `appendEvent` gave.
  @inline(__always)
  mutating func store(_ value: UInt64, size: Int, at offset: Int) {
    page.store(value, size: size, at: offset)
  }

  // MARK: To the letter

  /// Appends an event record, `delta` after the previous one, in the long form (`type_len` 0, the length
  /// in its own word) when asked or needed.
  public mutating func event(_ payload: [UInt8], delta: UInt32, longForm: Bool = false) {
    let data = (payload.count + 3) & ~3
    let start = open(dataBytes: data, long: longForm || data > 112 || data == 0, delta: delta)
    page.store(payload, at: start)
  }

  /// Appends a time extend: the time moves on by `delta` (below 2^59) and there is no event.
  public mutating func timeExtend(_ delta: UInt64) {
    wideRecord(RecordType.timeExtend, low: delta)
    timestamp &+= delta
  }

  /// Appends an absolute stamp. It holds the low 59 bits; a reader keeps the top five.
  public mutating func absoluteStamp(_ time: UInt64) {
    let mask: UInt64 = (1 << 59) - 1
    wideRecord(RecordType.timeStamp, low: time & mask)
    timestamp = (timestamp & ~mask) | (time & mask)
  }

  /// Appends padding that tells a reader to stop: nothing after it on this page counts.
  public mutating func paddingToEnd() {
    let start = claim(4)
    page.store(recordHeader(RecordType.padding, delta: 0), at: start)
  }

  /// Appends a discarded event of `payloadBytes` (a multiple of 4): the time moves on, no event.
  /// `delta` must not be 0, which would mean the end of the page.
  public mutating func discarded(payloadBytes: Int, delta: UInt32) {
    precondition(delta != 0 && payloadBytes % 4 == 0, "a discarded event has a delta and whole words")
    let start = claim(8 + payloadBytes)
    page.store(recordHeader(RecordType.padding, delta: delta), at: start)
    page.store(UInt32(payloadBytes + 4), at: start + 4)
    timestamp &+= UInt64(delta)
  }

  /// Appends bytes as they are.
  public mutating func raw(_ bytes: [UInt8]) {
    page.store(bytes, at: claim(bytes.count))
  }

  /// The word that begins a record.
  public func recordHeader(_ typeLength: UInt32, delta: UInt32) -> UInt32 {
    isBig ? typeLength << 27 | delta & 0x7ff_ffff : delta << 5 | typeLength & 31
  }

  /// The finished page. Bytes after the data (and after the number of missed events) are zero.
  public mutating func finish() -> [UInt8] {
    page.zero(from: headerBytes + dataBytes)
    page.store(firstTimestamp, at: 0)
    var commit = UInt64(dataBytes)
    switch missed {
    case .none: break
    case .unknown: commit |= 1 << 31
    case .counted(let count):
      commit |= 1 << 31
      if storesMissedCount {
        commit |= 1 << 30
        page.store(count, size: flavour.kernelLongBytes, at: headerBytes + dataBytes)
      }
    }
    page.store(commitOverride ?? commit, size: flavour.kernelLongBytes, at: 8)
    return page.bytes
  }

  /// Whether the page has room for the number of missed events.
  public var storesMissedCount: Bool { room >= flavour.kernelLongBytes }

  // MARK: Records

  @inline(__always)
  private mutating func claim(_ bytes: Int) -> Int {
    precondition(bytes <= room, "the page is full")
    let start = headerBytes + dataBytes
    dataBytes += bytes
    return start
  }

  @inline(__always)
  private mutating func open(dataBytes data: Int, long: Bool, delta: UInt32) -> Int {
    timestamp &+= UInt64(delta)
    events += 1
    let start = claim((long ? 8 : 4) + data)
    // The last word may hold bytes beyond the payload; the page may have been used before.
    if data >= 4 { page.store(UInt32(0), at: start + (long ? 8 : 4) + data - 4) }
    if long {
      page.store(recordHeader(0, delta: delta), at: start)
      page.store(UInt32(data + 4), at: start + 4)
      return start + 8
    }
    page.store(recordHeader(UInt32(data / 4), delta: delta), at: start)
    return start + 4
  }

  private mutating func wideRecord(_ type: UInt32, low: UInt64) {
    let start = claim(8)
    page.store(recordHeader(type, delta: UInt32(truncatingIfNeeded: low) & 0x7ff_ffff), at: start)
    page.store(UInt32(truncatingIfNeeded: low >> 27), at: start + 4)
  }
}
