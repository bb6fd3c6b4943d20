internal import Glibc
internal import KVMTypes

/// The events of several writers that have one stamp, and how far they are written.
///
/// Invariant: `groups` holds `groupsMax` entries until deinit, of which the first `count` are in use.
struct StampGroups: ~Copyable {
  /// The events of so many writers are compared at most.
  static let groupsMax = 8

  private let groups: UnsafeMutablePointer<StampGroup>
  private var count = 0
  private var time: UInt64 = 0
  /// What may be missing before each of the events, so that each begins a page.
  var missing: BundleRun.Flags = []

  /// - Parameter pageBytes: how long pages are.
  init(pageBytes: Int) {
    groups = .allocate(capacity: Self.groupsMax)
    for group in 0..<Self.groupsMax { (groups + group).initialize(to: StampGroup(byteCount: pageBytes)) }
  }

  deinit {
    groups.deinitialize(count: Self.groupsMax)
    groups.deallocate()
  }

  /// Whether all events are written.
  @inline(__always)
  var isEmpty: Bool { count == 0 }

  /// Groups of events with the stamp `time` follow.
  mutating func begin(at time: UInt64) { (count, self.time) = (0, time) }

  /// Takes the events of a lane, of which there are not more than `groupsMax`.
  mutating func add(from lane: inout WriterLane) {
    groups[count].fill(from: &lane)
    count += 1
  }

  /// Writes the events, each once; false where the page is full, or done with.
  mutating func write(into writer: inout PageWriter, _ identity: EventIdentity) -> Bool {
    while let leader = leader(identity), let event = groups[leader].next {
      guard missing.isEmpty || writer.eventCount == 0,
        let record = writer.reserve(event.count, at: Nanoseconds(time))
      else { return false }
      memcpy(record, event.baseAddress!, event.count)
      for index in 0..<count where index == leader || groups[index].isNext(event, identity) {
        groups[index].step()
      }
    }
    (count, missing) = (0, [])
    return true
  }

  /// The group whose next event comes before those of the others: none of them has it behind another one.
  private func leader(_ identity: EventIdentity) -> Int? {
    var first: Int?
    for index in 0..<count {
      guard let event = groups[index].next else { continue }
      if first == nil { first = index }
      var isLater = false
      for other in 0..<count where other != index {
        isLater = isLater || groups[other].hasLater(event, identity)
      }
      if !isLater { return index }
    }
    return first
  }
}
