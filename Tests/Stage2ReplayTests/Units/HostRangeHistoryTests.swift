import KVMTrace
import KVMTypes
import Testing

@testable import Stage2Replay

@Suite("The last host ranges")
struct HostRangeHistoryTests {
  private func range(_ page: UInt64) -> HVARange {
    HVARange(start: HVA(page << 12), end: HVA((page + 1) << 12))
  }

  private func since(_ sequence: UInt64, _ history: HostRangeHistory) -> [UInt64]? {
    var ranges: [HVARange] = []
    return history.append(since: Sequence(sequence), to: &ranges)
      ? ranges.map { $0.start.rawValue >> 12 } : nil
  }

  @Test("Ranges after a place of the trace, each once, the last one first")
  func order() {
    var history = HostRangeHistory()
    for (sequence, page) in [(10, 1), (20, 2), (30, 2), (40, 1), (50, 3)] as [(UInt64, UInt64)] {
      history.append(range(page), at: Sequence(sequence))
    }
    #expect(since(50, history) == [])
    #expect(since(40, history) == [3])
    #expect(since(20, history) == [3, 1, 2])
    #expect(since(0, history) == [3, 1, 2])
  }

  @Test("A range without bytes is none")
  func empty() {
    var history = HostRangeHistory()
    history.append(HVARange(start: HVA(8), end: HVA(8)), at: Sequence(1))
    #expect(since(0, history) == [])
  }

  @Test("As many as can be told are, more are not")
  func limit() {
    var history = HostRangeHistory()
    for page in 1...1000 as ClosedRange<UInt64> { history.append(range(page), at: Sequence(page)) }
    let most = UInt64(HostRangeHistory.candidatesMax)
    #expect(since(1000 - most, history)?.count == Int(most))
    #expect(since(1000 - most - 1, history) == nil)
  }

  @Test("A history that no longer reaches back says so, even if few ranges differ")
  func forgotten() {
    var history = HostRangeHistory()
    for sequence in 1...10_000 as ClosedRange<UInt64> {
      history.append(range(sequence % 2), at: Sequence(sequence))
    }
    #expect(since(9_990, history) == [0, 1])
    #expect(since(1, history) == nil)
  }
}
