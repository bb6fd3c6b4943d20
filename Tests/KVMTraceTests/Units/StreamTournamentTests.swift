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
    // Few different stamps, so that many are equal.
    var queues = (0..<streams).map { _ in
      (0..<Int(random.next() % 30)).map { _ in random.next() % 16 }.sorted()[...]
    }
    let expected = queues.enumerated().flatMap { stream, times in times.map { ($0, stream) } }.sorted {
      $0 < $1
    }
    var tournament = StreamTournament(queues.map { $0.first.map(Nanoseconds.init) })
    for stream in queues.indices { _ = queues[stream].popFirst() }
    var taken: [(UInt64, Int)] = []
    while let top = tournament.top {
      taken.append((top.time.rawValue, top.stream))
      // The first entry that is another stream's, as far as it is known yet.
      let next = expected[taken.count...].first { $0.1 != top.stream }
      let bound = next.map { Nanoseconds($0.1 > top.stream ? $0.0 + 1 : $0.0) }
      #expect(tournament.bound == bound)
      if queues[top.stream].isEmpty {
        tournament.removeTop()
      } else {
        tournament.replaceTop(time: Nanoseconds(queues[top.stream].removeFirst()))
      }
    }
    #expect(taken.count == expected.count && zip(taken, expected).allSatisfy { $0 == $1 })
    #expect(tournament.bound == nil)
  }
}
