internal import KVMTypes

/// A queue of limited length: what is put in comes out when so much else has come after it, or at the end.
///
/// The length is what bounds the replay's memory and how far it looks ahead: a decision about a fault sees the
/// events that came while `lag` further records entered the queue, never more.
struct LagQueue<Element> {
  private var elements: [Element?]
  private var head = 0
  private(set) var count = 0

  /// A queue for `lag` elements, one at least and a million at most.
  init(lag: Int) {
    elements = Array(repeating: nil, count: min(max(lag, 1), 1 << 20))
  }

  var lag: Int { elements.count }

  var isFull: Bool { count == elements.count }

  /// The element that has waited longest.
  var first: Element? { elements[head] }

  mutating func append(_ element: Element) {
    precondition(!isFull)
    elements[(head + count) % elements.count] = element
    count += 1
  }

  mutating func popFirst() -> Element? {
    guard count > 0 else { return nil }
    let element = elements[head]
    elements[head] = nil
    head = (head + 1) % elements.count
    count -= 1
    return element
  }

  /// The position, from the head, of the first element that `isBefore` is false for; the elements must be ordered so.
  func position(where isBefore: (Element) -> Bool) -> Int {
    (0..<count).partitioningIndex { !isBefore(self[$0]) }
  }

  /// The element at a position from the head.
  subscript(position: Int) -> Element {
    get { elements[(head + position) % elements.count]! }
    set { elements[(head + position) % elements.count] = newValue }
  }

  /// Changes the waiting elements in place, the oldest first.
  mutating func update(_ body: (inout Element) -> Void) {
    for offset in 0..<count {
      let index = (head + offset) % elements.count
      if var element = elements[index] {
        body(&element)
        elements[index] = element
      }
    }
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
}
