internal import Glibc
internal import KVMTypes
internal import Synchronization

/// Finds samples of a hit that another sample is of already: where `perf record` was asked more than once for a tracepoint, each hit of
/// it leaves a sample for each time in the ring, with the same record of the kernel's. Between them stand at most those of an interrupt.
///
/// Invariant: `hits` holds `hitsMax` entries until deinit, each with another `place`; `data` has `room` bytes for each place.
struct PerfRepetitions: ~Copyable {
  /// PERF_NR_CONTEXTS: a task, a soft interrupt, a hard one, an NMI.
  private static let hitsMax = 4
  /// PERF_MAX_TRACE_SIZE; what is longer is none of the kernel's, and repeats nothing.
  private static let recordBytesMax = 8192

  /// Within how long all samples of a hit are written, an interrupt between them included. What looks the same later is another hit.
  private static let spanNsMax: UInt64 = 1_000_000

  /// A hit that may have more samples.
  private struct Hit {
    var time: UInt64 = 0
    var config: UInt64 = 0
    /// The askings whose samples were met.
    var seen: UInt64 = 0
    var cpu: UInt16 = 0
    var byteCount = 0
    /// Where in `data` the kernel's record is.
    var place: Int
  }

  private let events: PerfEvents
  private var data: UnsafeMutableRawPointer
  /// How long a record can be for now.
  private var room = 256
  private let hits: UnsafeMutablePointer<Hit>
  /// The first are in use, the newest last.
  private var hitCount = 0
  /// Where the last sample is: one that ends a page comes twice.
  private var lastOffset = -1

  init(_ events: PerfEvents) {
    self.events = events
    data = .allocate(byteCount: Self.hitsMax * room, alignment: 8)
    hits = .allocate(capacity: Self.hitsMax)
    for place in 0..<Self.hitsMax { (hits + place).initialize(to: Hit(place: place)) }
  }

  deinit {
    data.deallocate()
    hits.deallocate()
  }

  /// Takes in a sample; whether one before is of the same hit.
  mutating func takes(_ record: PerfRecord, _ sample: PerfSample) -> Bool {
    guard record.offset != lastOffset, let event = events.event(of: record),
      sample.rawBytes <= Self.recordBytesMax
    else { return false }
    lastOffset = record.offset
    let asking = events.askings[event]
    guard asking.bit != 0 else { return false }
    let raw = record.base + sample.rawPlace
    var index = hitCount - 1
    while index >= 0 {
      let hit = hits[index]
      if hit.config == asking.config, hit.seen & asking.bit == 0, hit.cpu == sample.cpu,
        sample.time.rawValue &+ Self.spanNsMax &- hit.time <= 2 * Self.spanNsMax,
        hit.byteCount == sample.rawBytes, memcmp(raw, bytes(of: hit), sample.rawBytes) == 0
      {
        hits[index].seen |= asking.bit
        if hits[index].seen == asking.all { remove(index) }
        return true
      }
      index -= 1
    }
    if sample.rawBytes > room { grow(to: sample.rawBytes) }
    if hitCount == Self.hitsMax { remove(0) }
    let place = hits[hitCount].place
    hits[hitCount] = Hit(
      time: sample.time.rawValue, config: asking.config, seen: asking.bit, cpu: sample.cpu,
      byteCount: sample.rawBytes, place: place)
    bytes(of: hits[hitCount]).copyMemory(from: raw, byteCount: sample.rawBytes)
    hitCount += 1
    return false
  }

  /// A loss: what comes behind it repeats nothing before.
  mutating func reset() { hitCount = 0 }

  private func bytes(of hit: Hit) -> UnsafeMutableRawPointer { data + hit.place * room }

  @inline(never)
  private mutating func grow(to count: Int) {
    let (before, beforeRoom) = (data, room)
    while room < count { room *= 2 }
    data = .allocate(byteCount: Self.hitsMax * room, alignment: 8)
    for index in 0..<hitCount {
      bytes(of: hits[index]).copyMemory(
        from: before + hits[index].place * beforeRoom, byteCount: hits[index].byteCount)
    }
    before.deallocate()
  }

  private mutating func remove(_ index: Int) {
    let hit = hits[index]
    hitCount -= 1
    for later in index..<hitCount { hits[later] = hits[later + 1] }
    hits[hitCount] = hit
  }
}

/// How many samples of each stream were passed over in the pass that read it last, because another one is of the same hit.
final class PerfRepetitionCounts: Sendable {
  private let counts: Mutex<[UInt64]>

  init(streamCount: Int) { counts = Mutex([UInt64](repeating: 0, count: streamCount)) }

  func set(_ count: UInt64, ofStream stream: Int) { counts.withLock { $0[stream] = count } }

  var sum: UInt64 { counts.withLock { $0.reduce(0, &+) } }
}
