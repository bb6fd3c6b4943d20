import SeededRandom
import Testing

@testable import KVMTrace

/// A recording at random, split over writers that have some of its events in common.
private struct SplitRecording {
  private typealias Parts = PerfettoParts

  private struct Event {
    let cpu: Int
    let time: UInt64
    let message: ProtoMessage
    /// The writers that have it, by bits.
    let owners: Int
  }

  /// Fewer events than are compared have one stamp.
  private static let sameStampMax = 10

  let writerCount: Int
  private var events: [Event] = []
  private var random: SplitMix64

  init(seed: UInt64) {
    random = SplitMix64(seed: seed)
    writerCount = 2 + random.below(2)
    for cpu in 0..<2 {
      var (time, count) = (UInt64(1000), 0)
      for _ in 0..<(50 + random.below(400)) {
        count = random.below(3) == 0 && count < Self.sameStampMax ? count + 1 : 0
        if count == 0 { time += 1 + random.below(40 as UInt64) }
        append(cpu: cpu, time)
      }
    }
  }

  /// Two events that are the same in all have the same writers: nothing else could tell them from one.
  private mutating func append(cpu: Int, _ time: UInt64) {
    let message = message(time)
    let owners = 1 + random.below(1 << writerCount - 1)
    let same = events.last { $0.cpu == cpu && $0.time == time && $0.message.bytes == message.bytes }
    events.append(Event(cpu: cpu, time: time, message: message, owners: same?.owners ?? owners))
  }

  private mutating func message(_ time: UInt64) -> ProtoMessage {
    let pid = 7 + random.below(2)
    let value = random.below(3)
    switch random.below(5) {
    case 0, 1: return Parts.event(time, pid: pid, 376, ProtoMessage().adding(1, value))
    case 2: return Parts.event(time, pid: pid, 380, ProtoMessage().adding(1, value))
    case 3:
      let field = ProtoMessage().adding(1, "a").adding(5, value)
      return Parts.event(time, pid: pid, 327, ProtoMessage().adding(1, "own_\(value)").adding(2, field))
    default:
      let text = String(repeating: "\(value)", count: random.below(8) == 0 ? 4000 : 5)
      return Parts.event(time, pid: pid, 3, ProtoMessage().adding(2, text))
    }
  }

  /// The packets of one writer with those events that `owners` have.
  private mutating func packets(sequence: Int, of owners: Int) -> [ProtoMessage] {
    var packets: [ProtoMessage] = []
    for cpu in 0..<2 {
      var bundle: [ProtoMessage] = []
      var last: UInt64?
      for event in events where event.cpu == cpu && event.owners & owners != 0 {
        if let last, last != event.time, random.below(6) == 0 {
          packets.append(Parts.packet(Parts.bundle(cpu: cpu, bundle), sequence: sequence))
          bundle = []
        }
        bundle.append(event.message)
        last = event.time
      }
      if !bundle.isEmpty { packets.append(Parts.packet(Parts.bundle(cpu: cpu, bundle), sequence: sequence)) }
    }
    return packets
  }

  /// All events, as one writer has them.
  mutating func whole() -> [UInt8] { Parts.trace(packets(sequence: 9, of: .max)) }

  /// The events of one of the writers.
  mutating func part(_ writer: Int) -> [UInt8] { Parts.trace(packets(sequence: 9, of: 1 << writer)) }

  /// All writers' packets, in any order.
  mutating func split() -> [UInt8] {
    var all: [ProtoMessage] = []
    for writer in 0..<writerCount { all += packets(sequence: writer + 1, of: 1 << writer) }
    all.shuffle(using: &random)
    return Parts.trace(all)
  }
}

@Suite("Recordings that several data sources share")
struct SplitRecordingTests {
  private typealias Event = PerfettoReading.Event

  @Test("what is split over writers is read as it was recorded", arguments: 0..<60)
  func split(seed: Int) throws {
    var recording = SplitRecording(seed: UInt64(seed))
    let whole = try PerfettoReading(recording.whole()).events
    let reading = try PerfettoReading(recording.split())
    #expect(reading.damage.isEmpty && reading.losses.isEmpty)
    #expect(reading.events.map(\.time) == whole.map(\.time))
    #expect(Self.sorted(reading.events) == Self.sorted(whole))
    // Where two events have one stamp, a writer that has both tells which was first.
    for writer in 0..<recording.writerCount {
      let part = try PerfettoReading(recording.part(writer)).events
      #expect(Self.has(reading.events, part))
    }
  }

  private static func sorted(_ events: [Event]) -> [String] {
    events.map { "\($0.cpu) \($0.time) \($0.tid) \($0.name) \($0.text)" }.sorted()
  }

  /// Whether `events` has all of `part` in their order.
  private static func has(_ events: [Event], _ part: [Event]) -> Bool {
    var left = part[...]
    for event in events where event == left.first { left.removeFirst() }
    return left.isEmpty
  }
}
