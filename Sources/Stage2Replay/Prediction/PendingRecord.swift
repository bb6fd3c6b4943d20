internal import KVMTrace
internal import KVMTypes

/// Something that happened to a VM's stage 2, waiting in the order in which the kernel acted until it is applied to
/// the model.
struct PendingRecord {
  enum Action {
    /// A fault whose window has ended.
    case fault(FaultRecord)
    /// A notifier's unmap of the frames.
    case unmap(FrameRange)
    /// A notifier's aging, or its test.
    case age(FrameRange, markOld: Bool)
    /// Dirty logging begins: the whole slot is write-protected.
    case wrprotect(FrameRange)
    /// A slot is deleted or moved away: everything in it is unmapped.
    case deleteSlot(FrameRange)
  }

  var action: Action
  var vm: Int
  var sequence: UInt64
  var time: Nanoseconds
  var cpu: CPUIndex
  var tid: ThreadID
  /// Which window and which notifier event of the thread this belongs to.
  var place: ThreadPlace
}

/// A place in a thread's stream of events that predicted and recorded operations share: how many kvm_entry and how
/// many notifier events the thread had before.
struct ThreadPlace: Hashable, Comparable {
  var windows: UInt32
  var notifiers: UInt32

  static func < (a: ThreadPlace, b: ThreadPlace) -> Bool {
    (a.windows, a.notifiers) < (b.windows, b.notifiers)
  }
}

/// A queue of limited length: what is put in comes out when so much else has come after it, or at the end.
///
/// The length is what bounds the replay's memory and how far it looks ahead: a decision about a fault sees the
/// events that came while `lag` further records entered the queue, never more.
struct LagQueue<Element> {
  private var elements: [Element?]
  private var head = 0
  private(set) var count = 0

  init(lag: Int) {
    elements = Array(repeating: nil, count: lag)
  }

  var isFull: Bool { count == elements.count }

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
}
