internal import KVMTypes

/// A queue of limited length: what is put in comes out when so much else has come after it, or at the end.
///
/// The length is what bounds the replay's memory and how far it looks ahead: a decision about a fault sees the
/// events that came while `lag` further records entered the queue, never more.
struct LagQueue<Element: BitwiseCopyable>: ~Copyable {
  /// A ring. It grows with the queue: places are taken in their order, so the first one that was never taken is the
  /// next.
  private var elements = RecordStore<Element>()
  private var head = 0
  private(set) var count = 0
  /// For how many elements there is room.
  let lag: Int

  /// A queue for `lag` elements, one at least and a million at most.
  init(lag: Int) { self.lag = min(max(lag, 1), 1 << 20) }

  var isFull: Bool { count == lag }

  /// The element that has waited longest.
  var first: Element? { count == 0 ? nil : elements[head] }

  @inline(__always)
  mutating func append(_ element: Element) {
    precondition(!isFull)
    let index = index(count)
    if index == elements.count { elements.append(element) } else { elements[index] = element }
    count += 1
  }

  /// Puts an element in at a position from the head, ahead of those behind it.
  mutating func insert(_ element: Element, at position: Int) {
    append(element)
    var place = count - 1
    while place > position {
      let earlier = self[place - 1]
      self[place] = earlier
      place -= 1
    }
    self[position] = element
  }

  @inline(__always)
  mutating func popFirst() -> Element? {
    guard count > 0 else { return nil }
    let first = head
    head = index(1)
    count -= 1
    return elements[first]
  }

  /// Where the element at a position from the head lies.
  @inline(__always)
  private func index(_ position: Int) -> Int {
    let index = head + position
    return index < lag ? index : index - lag
  }

  /// The position, from the head, of the first element that `isBefore` is false for; the elements must be ordered so.
  func position(where isBefore: (Element) -> Bool) -> Int {
    (0..<count).partitioningIndex { !isBefore(self[$0]) }
  }

  /// The element at a position from the head.
  subscript(position: Int) -> Element {
    @inline(__always) unsafeAddress { UnsafePointer(elements.place(of: index(position))) }
    @inline(__always) unsafeMutableAddress { elements.place(of: index(position)) }
  }

  /// Changes the waiting elements in place, the oldest first.
  mutating func update(_ body: (inout Element) -> Void) {
    for position in 0..<count { body(&self[position]) }
  }

  /// Calls `body` with each waiting element, the oldest first.
  func forEach(_ body: (Element) -> Void) {
    for offset in 0..<count { body(self[offset]) }
  }
}

extension LagQueue where Element == PendingRecord {
  /// Whether all that waits is no younger than `record`.
  func isSorted(before record: PendingRecord) -> Bool {
    count == 0 || self[count - 1].sequence <= record.sequence
  }

  /// Of what waits at positions from the head, the notifications of a VM's frames may have met another slot.
  mutating func doubtNotifications(at positions: Range<Int>, of frames: FrameRange, vm: VMIndex) {
    for position in positions where self[position].vm == vm {
      if let range = self[position].notified, range.start < frames.end, frames.start < range.end {
        self[position].doubts.insert(.otherSlot)
      }
    }
  }

  /// It is not known when a notification at `sequence` was done, if it waits.
  mutating func doubtNotification(at sequence: Sequence) {
    var position = position { $0.sequence < sequence }
    while position < count, self[position].sequence == sequence {
      if self[position].notified != nil { self[position].doubts.insert(.lostWait) }
      position += 1
    }
  }

  /// The dirty log of the frames was cleared before it ended at `sequence`, if that waits.
  mutating func proveClear(of frames: FrameRange, vm: VMIndex, at sequence: Sequence) {
    var position = position { $0.sequence < sequence }
    while position < count, self[position].sequence == sequence {
      if self[position].vm == vm, case .dirtyLog(.clear(let cleared, _)) = self[position].action,
        cleared == frames
      {
        self[position].action = .dirtyLog(.clear(frames, isProven: true))
      }
      position += 1
    }
  }
}
