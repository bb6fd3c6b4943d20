import Testing

@testable import Stage2Replay

@Suite("Threads that a process can have")
struct ThreadSupplyTests {
  @Test("Where threads are refused, fewer jobs are left, one at least")
  func refused() {
    func jobs(_ wanted: Int, possible: Int) -> Int {
      ThreadSupply.jobs(wanted) { most in min(most, possible) }
    }
    #expect(jobs(8, possible: .max) == 8)
    #expect(jobs(8, possible: 15) == 7)
    #expect(jobs(8, possible: 4) == 2)
    #expect((0..<4).map { jobs(2, possible: $0) } == [1, 1, 1, 1])
    #expect(
      ThreadSupply.jobs(1) { _ in
        Issue.record("one job needs no further thread"); return 0
      } == 1)
  }

  @Test("They are made and ended", arguments: [0, 1, 20])
  func possible(most: Int) {
    #expect(ThreadSupply.possible(most) == most)
    #expect(ThreadSupply.jobs(2) == 2)
  }
}
