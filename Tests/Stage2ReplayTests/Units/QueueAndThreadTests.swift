import KVMTypes
import Testing

@testable import Stage2Replay

@Suite("Queue of waiting records")
struct LagQueueTests {
  @Test("What goes in first comes out first, around the end of the storage")
  func order() {
    var queue = LagQueue<Int>(lag: 3)
    var out: [Int] = []
    for element in 0..<10 {
      if queue.isFull, let oldest = queue.popFirst() { out.append(oldest) }
      queue.append(element)
      #expect(queue.first == max(0, element - 2))
    }
    while let element = queue.popFirst() { out.append(element) }
    #expect(out == Array(0..<10))
    #expect(queue.first == nil)
  }

  @Test("Elements change in place, the oldest first")
  func update() {
    var queue = LagQueue<Int>(lag: 2)
    for element in [1, 2, 3] {
      if queue.isFull { _ = queue.popFirst() }
      queue.append(element)
    }
    var seen: [Int] = []
    queue.update { element in
      seen.append(element)
      element *= 10
    }
    #expect(seen == [2, 3])
    let left = [queue.popFirst(), queue.popFirst(), queue.popFirst()]
    #expect(left == [20, 30, nil])
  }

  @Test("An element is put ahead of others, around the end of the storage")
  func insert() {
    var queue = LagQueue<Int>(lag: 4)
    for element in 0..<5 {
      if queue.isFull { _ = queue.popFirst() }
      queue.append(element)
    }
    _ = queue.popFirst()
    queue.insert(20, at: 1)
    var out: [Int] = []
    while let element = queue.popFirst() { out.append(element) }
    queue.insert(7, at: 0)
    #expect(out == [2, 20, 3, 4])
    #expect(queue.first == 7)
  }

  @Test(
    "There is always room for one, and never for more than a million",
    arguments: [Int.min, -1, 0, 1, Int.max])
  func length(lag: Int) {
    let queue = LagQueue<UInt8>(lag: lag)
    #expect((1...1 << 20).contains(queue.lag))
  }
}

@Suite("Threads by their numbers")
struct ThreadTableTests {
  @Test("A thread is found by its number, another one is not")
  func lookup() {
    var table = ThreadTable()
    #expect(table[ThreadID(5)] == nil)
    let inserted = table.insert(ThreadID(5), position: 7)
    #expect(inserted)
    #expect(table[ThreadID(5)] == 7)
    #expect(table[ThreadID(4)] == nil)
    #expect(table[ThreadID(6)] == nil)
  }

  @Test("Numbers that Linux cannot hand out are refused", arguments: [Int32.min, -1, 4_194_304, Int32.max])
  func impossible(number: Int32) {
    var table = ThreadTable()
    let inserted = table.insert(ThreadID(number), position: 0)
    #expect(!inserted)
    #expect(table[ThreadID(number)] == nil)
  }

  @Test("The highest number is as good as any", arguments: [Int32(0), 4_194_303])
  func limits(number: Int32) {
    var table = ThreadTable()
    let inserted = table.insert(ThreadID(number), position: 1)
    #expect(inserted)
    #expect(table[ThreadID(number)] == 1)
  }
}
