import KVMTrace
import KVMTypes
import Testing

@testable import Stage2Replay

@Suite("Pairs of faults and host ranges")
struct FaultPairsTests {
  private static let page = PageSize.size4K.bytes

  /// Adds the pair of a page with the single page `host`.
  private func add(_ pairs: inout FaultPairs, _ guest: UInt64, _ host: UInt64, at sequence: UInt64) {
    var history = HostRangeHistory()
    history.append(
      HVARange(start: HVA(host * Self.page), end: HVA((host + 1) * Self.page)), at: Sequence(sequence))
    pairs.append(
      ThreadID(1), IPA(guest * Self.page), bytes: Self.page,
      since: .start, in: history, at: TraceMoment(Sequence(sequence), Nanoseconds(sequence)))
  }

  @Test("Memory is bounded, and slots with few pairs keep them while others have many")
  func thinning() {
    var pairs = FaultPairs(pageSize: .size4K)
    for turn in 0..<20 as Range<UInt64> { add(&pairs, 1 << 20 + turn, 5_000_000 + turn, at: 1 + turn) }
    for turn in 0..<200_000 as Range<UInt64> {
      add(&pairs, turn % 512, 9_000_000 + turn % 512, at: 100 + turn)
    }
    #expect(pairs.all.count <= 1 << 15)
    #expect(pairs.all.filter { $0.address >= IPA(Self.page << 20) }.count == 20)
    #expect(pairs.all.allSatisfy { pairs.ranges(of: $0).count == 1 })
    let offsets = Set(
      pairs.all.map { pairs.ranges(of: $0).first!.start.rawValue &- $0.address.rawValue })
    #expect(offsets == [9_000_000 * Self.page, (5_000_000 - 1 << 20) * Self.page])
  }

  @Test("Pairs from a place of the trace on can be taken back")
  func removal() {
    var pairs = FaultPairs(pageSize: .size4K)
    for turn in 0..<10 as Range<UInt64> { add(&pairs, turn, 100 + turn, at: 10 + 10 * turn) }
    pairs.remove(from: Sequence(60))
    #expect(pairs.all.map(\.sequence.rawValue) == [10, 20, 30, 40, 50])
    add(&pairs, 77, 177, at: 60)
    #expect(pairs.ranges(of: pairs.all[5]).map(\.start) == [HVA(177 * Self.page)])
  }

  @Test("The distance that explains most pairs comes first, and what it explains counts for no other")
  func vote() {
    var pairs = FaultPairs(pageSize: .size4K)
    for turn in 0..<30 as Range<UInt64> { add(&pairs, turn, 1000 + turn, at: 1 + turn) }
    for turn in 30..<50 as Range<UInt64> { add(&pairs, turn, 2000 + turn, at: 1 + turn) }
    for turn in 50..<60 as Range<UInt64> { add(&pairs, turn, 3000 + turn * turn, at: 1 + turn) }
    let clusters = OffsetVote(pairs).clusters(minimum: 16)
    #expect(clusters.map(\.offset) == [1000 * Self.page, 2000 * Self.page])
    #expect(clusters.map(\.pairs.count) == [30, 20])
    #expect(clusters.map(\.runnerUp) == [0, 0])
  }
}
