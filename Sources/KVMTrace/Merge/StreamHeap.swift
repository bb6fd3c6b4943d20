internal import KVMTypes

/// A binary heap of the streams' next stamps.
struct StreamHeap {
  struct Entry: Comparable {
    var time: Nanoseconds
    var stream: Int

    @inline(__always)
    static func < (a: Entry, b: Entry) -> Bool {
      a.time == b.time ? a.stream < b.stream : a.time < b.time
    }
  }

  private var entries: [Entry] = []

  init(capacity: Int) { entries.reserveCapacity(capacity) }

  /// The earliest entry.
  var top: Entry? { entries.first }

  /// The earliest entry but for the top one.
  var second: Entry? {
    switch entries.count {
    case ...1: nil
    case 2: entries[1]
    default: min(entries[1], entries[2])
    }
  }

  mutating func insert(time: Nanoseconds, stream: Int) {
    var index = entries.count
    entries.append(Entry(time: time, stream: stream))
    while index > 0, entries[index] < entries[(index - 1) / 2] {
      entries.swapAt(index, (index - 1) / 2)
      index = (index - 1) / 2
    }
  }

  mutating func replaceTop(time: Nanoseconds) {
    entries[0].time = time
    siftDown()
  }

  mutating func removeTop() {
    entries[0] = entries[entries.count - 1]
    entries.removeLast()
    siftDown()
  }

  private mutating func siftDown() {
    var index = 0
    while true {
      var least = index
      let left = 2 * index + 1
      if left < entries.count, entries[left] < entries[least] { least = left }
      if left + 1 < entries.count, entries[left + 1] < entries[least] { least = left + 1 }
      if least == index { return }
      entries.swapAt(index, least)
      index = least
    }
  }
}
