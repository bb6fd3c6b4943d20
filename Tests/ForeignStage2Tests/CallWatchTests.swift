import ForeignStage2
import Testing

/// How long a call is waited for.
@Suite("Call watch")
struct CallWatchTests {
  private let limit = Duration.seconds(10)

  @Test("A call that does not return is over after the limit, another one not")
  func limited() {
    var watch = CallWatch()
    var now = ContinuousClock.now
    func looks(_ call: UInt64?, _ count: Int) -> Int? {
      for look in 0..<count {
        now += .milliseconds(1)
        if watch.isOver(in: call, at: now, limit: limit) { return look }
      }
      return nil
    }
    #expect(looks(1, 9_000) == nil && looks(2, 9_000) == nil && looks(nil, 20_000) == nil)
    #expect(looks(3, 20_000) == 10_001)
  }

  @Test("Time in which nobody looked is not the call's")
  func stopped() {
    var watch = CallWatch()
    let start = ContinuousClock.now
    // Both processes were stopped from the terminal, and went on.
    let isOver = [0, 3600, 3601].map { watch.isOver(in: 1, at: start + .seconds($0), limit: limit) }
    #expect(isOver == [false, false, false])
  }
}
