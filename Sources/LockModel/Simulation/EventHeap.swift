/// When something happens next to a slot of the simulation.
@usableFromInline
struct LockEvent {
  /// The moment.
  @usableFromInline var time: UInt64
  /// The slot, with `requestBit` where the event is a request and not the end of a hold. At one moment
  /// holds end before requests are made.
  @usableFromInline var tag: UInt64

  @usableFromInline static var requestBit: UInt64 { 1 << 63 }

  @inlinable
  init(time: UInt64, tag: UInt64) {
    self.time = time
    self.tag = tag
  }

  @inlinable
  @inline(__always)
  static func < (a: LockEvent, b: LockEvent) -> Bool {
    a.time != b.time ? a.time < b.time : a.tag < b.tag
  }
}

/// The coming events: a binary heap with the next one on top.
@usableFromInline
struct EventHeap {
  @usableFromInline var events: ContiguousArray<LockEvent> = []

  @inlinable
  init() {}

  @inlinable
  @inline(__always)
  var top: LockEvent? { events.isEmpty ? nil : events[0] }

  @inlinable
  mutating func insert(_ event: LockEvent) {
    var hole = events.count
    events.append(event)
    while hole > 0 {
      let parent = (hole &- 1) >> 1
      let above = events[parent]
      guard event < above else { break }
      events[hole] = above
      hole = parent
    }
    events[hole] = event
  }

  /// Takes the next event out.
  @inlinable
  mutating func removeTop() {
    let last = events.removeLast()
    if !events.isEmpty { replaceTop(last) }
  }

  /// Puts `event` in the place of the next event: cheaper than taking that out and `event` in.
  @inlinable
  mutating func replaceTop(_ event: LockEvent) {
    let count = events.count
    var hole = 0
    while true {
      var child = hole &* 2 &+ 1
      guard child < count else { break }
      if child &+ 1 < count, events[child &+ 1] < events[child] { child &+= 1 }
      let below = events[child]
      guard below < event else { break }
      events[hole] = below
      hole = child
    }
    events[hole] = event
  }
}
