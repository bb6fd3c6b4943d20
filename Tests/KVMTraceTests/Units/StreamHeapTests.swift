import KVMTypes
import SeededRandom
import Testing

@testable import KVMTrace

@Suite("StreamHeap")
struct StreamHeapTests {
  @Test("takes out what a sort would", arguments: 0..<40)
  func asSorted(seed: Int) {
    var random = SplitMix64(seed: UInt64(seed))
    let streams = 1 + Int(random.next() % 20)
    // Few different stamps, so that many are equal.
    var queues = (0..<streams).map { _ in
      (0..<Int(random.next() % 30)).map { _ in random.next() % 16 }.sorted()
    }
    let expected = queues.enumerated().flatMap { stream, times in times.map { ($0, stream) } }.sorted {
      $0 < $1
    }
    var heap = StreamHeap(capacity: streams)
    for stream in queues.indices where !queues[stream].isEmpty {
      heap.insert(time: Nanoseconds(queues[stream].removeFirst()), stream: stream)
    }
    var taken: [(UInt64, Int)] = []
    while let top = heap.top {
      if let second = heap.second { #expect(!(second < top)) }
      taken.append((top.time.rawValue, top.stream))
      if queues[top.stream].isEmpty {
        heap.removeTop()
      } else {
        heap.replaceTop(time: Nanoseconds(queues[top.stream].removeFirst()))
      }
    }
    #expect(taken.count == expected.count && zip(taken, expected).allSatisfy { $0 == $1 })
    #expect(heap.second == nil)
  }
}
