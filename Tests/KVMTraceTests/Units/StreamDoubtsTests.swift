import KVMTypes
import Testing

@testable import KVMTrace

@Suite("From when on streams are in doubt")
struct StreamDoubtsTests {
  private static let (first, second) = (StreamID(CPUIndex(3)), StreamID(CPUIndex(3), lane: 1))

  private static func doubts(_ events: [(StreamID, UInt64)]) -> StreamDoubts {
    var doubts = StreamDoubts()
    for (stream, time) in events { doubts.note(stream, at: Nanoseconds(time)) }
    return doubts
  }

  /// The end of a stream of one CPU.
  private static func end(
    _ stream: StreamID, missing: UInt64? = nil, isDamaged: Bool = false
  ) -> EventStatistics.StreamEnd {
    EventStatistics.StreamEnd(
      bufferIndex: Int(stream.lane), cpu: stream.cpu.rawValue, lane: stream.lane, missing: missing,
      isDamaged: isDamaged)
  }

  @Test("A value is kept for each stream, none for those that nobody can tell apart")
  func table() {
    var table = StreamTable(none: 0)
    let streams = [
      StreamID(CPUIndex(2)), StreamID(CPUIndex(0)), StreamID(CPUIndex(2), lane: 1),
      StreamID(CPUIndex(300), lane: 200), StreamID(CPUIndex(2), lane: TraceRecord.unknownLane),
    ]
    for (value, stream) in streams.enumerated() { table[stream] = value + 1 }
    #expect(streams.map { table[$0] } == [1, 2, 3, 4, 0])
    table[streams[2]] = 7
    #expect(table[streams[2]] == 7 && table[streams[0]] == 1)
    #expect(table[StreamID(CPUIndex(5))] == 0 && table[StreamID(CPUIndex(5), lane: 9)] == 0)
    #expect(table.values(of: CPUIndex(2)).filter { $0 > 0 } == [1, 7] && table.cpuCount == 301)
  }

  @Test("Streams of one CPU have lanes of their own, of as many as can be told apart")
  func lanes() {
    let few = StreamID.lanes(ofStreamsOf: [0, 1, 0, 0])
    #expect(few.map(\.own) == [0, 0, 1, 2])
    // What they have of other CPUs is none of those.
    #expect(few.map(\.others) == [128, 129, 130, 131])
    let alone = StreamID.lanes(ofStreamsOf: [4])
    #expect(alone[0] == (0, 0))
    let many = StreamID.lanes(ofStreamsOf: Array(repeating: 7, count: 130))
    #expect(many[127] == (127, TraceRecord.unknownLane))
    #expect(many[128].own == TraceRecord.unknownLane)
  }

  @Test("What a stream lost begins at its own last event, whatever others of its CPU have")
  func loss() {
    let doubts = Self.doubts([(Self.first, 10), (Self.second, 20), (Self.first, 30)])
    #expect(doubts.begin(of: Self.second) == Nanoseconds(20))
    #expect(doubts.begin(of: Self.first) == Nanoseconds(30))
    #expect(doubts.begin(of: StreamID(CPUIndex(4))) == Nanoseconds(0))
  }

  @Test("Damage of one stream says nothing of another of its CPU, and counts once")
  func damage() {
    var doubts = Self.doubts([(Self.first, 10), (Self.second, 20), (Self.first, 30)])
    let begins = [
      doubts.begin(ofDamage: 1, in: Self.second, before: Nanoseconds(40)),
      doubts.begin(ofDamage: 1, in: Self.second, before: Nanoseconds(50)),
      doubts.begin(ofDamage: 1, in: Self.first, before: Nanoseconds(25)),
    ]
    #expect(begins == [Nanoseconds(20), nil, Nanoseconds(25)])
    #expect(doubts.knows(damage: 1, of: Self.first) && !doubts.knows(damage: 2, of: Self.first))
    #expect(doubts.knows(damage: 0, of: StreamID(CPUIndex(9))))
  }

  @Test("Behind the events it is the damaged streams of a CPU that are in doubt, or all where nobody tells")
  func damagedEnds() {
    let doubts = Self.doubts([(Self.first, 10), (Self.second, 20), (StreamID(CPUIndex(0)), 5)])
    let place = Damage(offset: 0, cpu: 3, what: "is damaged")
    func begin(
      _ places: [Damage], _ ends: [EventStatistics.StreamEnd], untold: [Damage] = [], cpus: Int = 1
    ) -> UInt64? {
      var statistics = EventStatistics()
      (statistics.damage, statistics.streamEnds) = (untold, ends)
      return doubts.begin(ofDamageBehindEvents: places, statistics, cpuCount: cpus)?.rawValue
    }
    let ends = [Self.end(Self.first), Self.end(Self.second, isDamaged: true)]
    #expect(begin([], ends, untold: [place]) == 20)
    // Of what describes the recording nobody tells which stream it concerns, and one may have no event.
    #expect(begin([place], ends) == 10)
    #expect(begin([place], ends + [Self.end(StreamID(CPUIndex(3), lane: 2))]) == 0)
    #expect(begin([], [], untold: [place]) == 10 && begin([], ends) == nil)
    let anywhere = Damage(offset: 0, what: "is damaged")
    #expect(begin([anywhere], ends, cpus: 2) == 5 && begin([], ends, untold: [anywhere], cpus: 3) == 0)
  }

  @Test("A stream that is cut is in doubt behind its own last event")
  func cut() {
    let doubts = Self.doubts([(Self.first, 10), (Self.second, 20)])
    var statistics = EventStatistics()
    #expect(doubts.begin(ofCutsIn: statistics) == nil)
    statistics.streamEnds = [Self.end(Self.first), Self.end(Self.second, missing: 0)]
    #expect(doubts.begin(ofCutsIn: statistics) == Nanoseconds(20))
  }

  /// One event of CPU 0, or a loss before one, as a run.
  private struct Step {
    var lane: UInt8
    var time: UInt64
    var damageCount = 0
    var isLoss = false
    var isBehindLack = false
  }

  private static func doubt(_ steps: [Step]) -> DamageDoubt {
    var doubt = DamageDoubt()
    for step in steps {
      var record = TraceRecord(
        step.isLoss ? .lost : .entry, at: Nanoseconds(step.time), cpu: CPUIndex(0), tid: ThreadID(1))
      record.lane = step.lane
      withUnsafePointer(to: record) {
        EventRun.with(UnsafeBufferPointer(start: $0, count: 1), damageCount: step.damageCount) {
          doubt.note($0, isBehindLack: step.isBehindLack)
        }
      }
    }
    return doubt
  }

  @Test("A copy is told where the damage of one buffer begins, not where another one had an event last")
  func damageDoubt() {
    let doubt = Self.doubt([
      Step(lane: 0, time: 5), Step(lane: 1, time: 10), Step(lane: 0, time: 20), Step(lane: 0, time: 30),
      Step(lane: 1, time: 40, damageCount: 1),
    ])
    #expect(doubt.begin == Nanoseconds(10))
  }

  @Test("A copy, which has one stream of a CPU, tells where a loss begins that its own would begin later")
  func lossOfALane() {
    let steps = [Step(lane: 0, time: 5), Step(lane: 1, time: 10), Step(lane: 0, time: 20)]
    func begin(_ last: Step) -> Nanoseconds? { Self.doubt(steps + [last]).begin }
    #expect(begin(Step(lane: 1, time: 40, isLoss: true)) == Nanoseconds(10))
    #expect(begin(Step(lane: 1, time: 40, isBehindLack: true)) == Nanoseconds(10))
    // The copy's own loss says as much.
    #expect(begin(Step(lane: 0, time: 40, isLoss: true)) == nil)
  }

  @Test("So it is where a stream is cut", arguments: [(UInt8(0), nil), (1, 10)] as [(UInt8, UInt64?)])
  func cutLane(_ lane: UInt8, _ begin: UInt64?) {
    var doubt = Self.doubt([Step(lane: 0, time: 5), Step(lane: 1, time: 10), Step(lane: 0, time: 20)])
    var statistics = EventStatistics()
    statistics.streamEnds = [0, 1].map {
      EventStatistics.StreamEnd(
        bufferIndex: 0, cpu: 0, lane: $0, missing: $0 == lane ? 0 : nil, isDamaged: false)
    }
    doubt.finish([], statistics, cpuCount: 1)
    #expect(doubt.begin?.rawValue == begin)
  }
}
