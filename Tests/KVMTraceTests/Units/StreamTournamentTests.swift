import KVMTypes
import SeededRandom
import Testing

@testable import KVMTrace

@Suite("StreamTournament")
struct StreamTournamentTests {
  @Test("takes out what a sort would", arguments: 0..<40)
  func asSorted(seed: Int) {
    var random = SplitMix64(seed: UInt64(seed))
    let streams = 1 + Int(random.next() % 20)
    // Of a machine that just started, and of one whose clock was set.
    let start = seed % 2 == 0 ? 0 : UInt64(1) << 61
    // Few different stamps, so that many are equal.
    var queues = (0..<streams).map { _ in
      (0..<Int(random.next() % 30)).map { _ in start + random.next() % 16 }.sorted()[...]
    }
    let expected = queues.enumerated().flatMap { stream, times in times.map { ($0, stream) } }.sorted {
      $0 < $1
    }
    var tournament = StreamTournament(queues.map { $0.first.map(Nanoseconds.init) })
    var times = queues.map(\.first)
    for stream in queues.indices { _ = queues[stream].popFirst() }
    var taken: [(UInt64, Int)] = []
    while let top = tournament.top {
      taken.append((times[top]!, top))
      // The first entry that is another stream's, as far as it is known yet.
      let next = expected[taken.count...].first { $0.1 != top }
      let bound = next.map { Nanoseconds($0.1 > top ? $0.0 + 1 : $0.0) }
      #expect(tournament.bound == bound)
      times[top] = queues[top].popFirst()
      if let time = times[top] {
        tournament.replaceTop(time: Nanoseconds(time))
      } else {
        tournament.removeTop()
      }
    }
    #expect(taken.count == expected.count && zip(taken, expected).allSatisfy { $0 == $1 })
    #expect(tournament.bound == nil)
  }

  @Test("stamps that no clock gives lose none of the others")
  func absurd() {
    var tournament = StreamTournament([Nanoseconds(.max), Nanoseconds(1 << 50), nil, Nanoseconds(0)])
    var taken: [Int] = []
    while let top = tournament.top {
      taken.append(top)
      if top == 1, taken.count < 4 {
        tournament.replaceTop(time: Nanoseconds(.max - 1))
      } else {
        tournament.removeTop()
      }
    }
    #expect(taken == [3, 1, 0, 1])
  }
}
