/// The slots that wait for the lock, first come, first served: a ring that grows when it is full.
@usableFromInline
struct WaitQueue {
  @usableFromInline var ring: ContiguousArray<Int>
  @usableFromInline var head = 0
  @usableFromInline var count = 0

  @inlinable
  init(capacity: Int) {
    var size = 16
    while size < capacity { size *= 2 }
    ring = ContiguousArray(repeating: 0, count: size)
  }

  @inlinable
  @inline(__always)
  var first: Int { ring[head] }

  @inlinable
  mutating func append(_ slot: Int) {
    if count == ring.count { grow() }
    ring[(head &+ count) & (ring.count &- 1)] = slot
    count &+= 1
  }

  @inlinable
  @inline(__always)
  mutating func removeFirst() {
    head = (head &+ 1) & (ring.count &- 1)
    count &-= 1
  }

  @usableFromInline
  mutating func grow() {
    var wider = ContiguousArray<Int>(repeating: 0, count: ring.count * 2)
    for place in 0..<count { wider[place] = ring[(head + place) & (ring.count - 1)] }
    ring = wider
    head = 0
  }
}
