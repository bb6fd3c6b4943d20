import KVMTrace
import KVMTypes
import Testing

@testable import Stage2Replay

/// Where damage leaves events out: a run counts what is damaged in its page, before its events or behind them.
@Suite("Runs behind damage")
struct DamagedRunsTests {
  private struct Step {
    var lane: UInt8 = 0
    var damage: Int
    var page: Int
  }

  private static func behindDamage(_ steps: [Step]) -> [Int] {
    var damaged = DamagedRuns()
    return steps.indices.filter { position in
      let step = steps[position]
      var record = TraceRecord(.entry, at: Nanoseconds(1), cpu: CPUIndex(2), tid: ThreadID(1))
      record.lane = step.lane
      var isBehind = false
      withUnsafePointer(to: record) {
        EventRun.with(
          UnsafeBufferPointer(start: $0, count: 1), damageCount: step.damage, pageOffset: step.page
        ) { isBehind = damaged.isBehindDamage($0) }
      }
      return isBehind
    }
  }

  @Test("Events are missing before the damaged page's own and before those of the next page, once")
  func once() {
    let steps = [(0, 0), (0, 1), (1, 2), (1, 2), (1, 3), (1, 3), (1, 4), (2, 5), (2, 6), (2, 7)]
    #expect(Self.behindDamage(steps.map { Step(damage: $0.0, page: $0.1) }) == [2, 4, 7, 8])
  }

  @Test("Damage of one stream says nothing of another")
  func streams() {
    let steps = [
      Step(damage: 0, page: 0), Step(lane: 1, damage: 1, page: 5), Step(damage: 0, page: 1),
      Step(lane: 1, damage: 1, page: 6), Step(damage: 0, page: 2),
    ]
    #expect(Self.behindDamage(steps) == [1, 3])
  }
}
