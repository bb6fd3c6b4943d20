internal import Glibc
internal import KVMTypes

/// The state of `MergedPages`, which one call fills a page with.
///
/// Invariant: `lanes` and `times` hold `laneCount` entries until deinit, `groups` `comparedMax`; an entry of `times` is the stamp of the
/// lane's event, `ended` where it has none.
struct WriterMerge: ~Copyable {
  /// The events of so many writers are compared at most.
  private static let comparedMax = 8
  /// No event has this stamp.
  private static let ended = UInt64.max

  private(set) var pageOffset = 0
  private(set) var isBehindGap = false
  var damage: DamageLog

  private let lanes: UnsafeMutablePointer<WriterLane>
  private let times: UnsafeMutablePointer<UInt64>
  private let laneCount: Int
  private let identity: EventIdentity
  private var writer: PageWriter
  /// The events with one stamp of several writers; the first `groupCount` are in use.
  private let groups: UnsafeMutablePointer<StampGroup>
  private var groupCount = 0
  private var groupTime: UInt64 = 0
  /// What is missing behind the last events of writers that have no more.
  private var behindEnds: BundleRun.Flags = []

  init(_ sources: [BundlePages], _ identity: EventIdentity, pageBytes: Int) {
    self.identity = identity
    laneCount = sources.count
    lanes = .allocate(capacity: laneCount)
    times = .allocate(capacity: laneCount)
    groups = .allocate(capacity: Self.comparedMax)
    damage = DamageLog(cpu: sources[0].cpu)
    writer = PageWriter(pageBytes: pageBytes)
    for group in 0..<Self.comparedMax { (groups + group).initialize(to: StampGroup(byteCount: pageBytes)) }
    for (index, source) in sources.enumerated() {
      (lanes + index).initialize(to: WriterLane(source))
      (times + index).initialize(to: 0)
      goOn(index)
    }
  }

  deinit {
    groups.deinitialize(count: Self.comparedMax)
    groups.deallocate()
    lanes.deinitialize(count: laneCount)
    lanes.deallocate()
    times.deallocate()
  }

  mutating func next() -> UnsafeRawBufferPointer? {
    writer.begin()
    isBehindGap = false
    defer { for lane in 0..<laneCount { lanes[lane].report(to: &damage) } }
    while writeGroups() {
      let (first, bound) = earliest
      let time = times[first]
      if time == Self.ended { return finishLast() }
      // Nothing of another writer's comes before, or has its stamp.
      let isAlone = time < bound
      guard tellMissing(before: first, isAlone: isAlone) else { break }
      if writer.eventCount == 0 { pageOffset = lanes[first].pageOffset }
      if isAlone {
        let hasRoom = lanes[first].write(before: bound, into: &writer)
        goOn(first)
        if !hasRoom { break }
      } else if areSame(at: time, as: first) {
        guard writeOnce(of: first, at: time) else { break }
      } else {
        fillGroups(at: time)
      }
    }
    return writer.finish()
  }

  /// The lane whose event comes first, and the least stamp of the others: writers are few.
  private var earliest: (lane: Int, bound: UInt64) {
    var (lane, time, bound) = (0, times[0], Self.ended)
    for other in 1..<laneCount {
      let otherTime = times[other]
      if otherTime < time {
        (lane, time, bound) = (other, otherTime, time)
      } else if otherTime < bound {
        bound = otherTime
      }
    }
    return (lane, bound)
  }

  /// A lane is at another event, or at its end.
  @inline(__always)
  private mutating func goOn(_ lane: Int) {
    if lanes[lane].hasEvent {
      times[lane] = lanes[lane].time
    } else {
      end(lane)
    }
  }

  @inline(never)
  private mutating func end(_ lane: Int) {
    times[lane] = Self.ended
    behindEnds.formUnion(lanes[lane].missing)
    lanes[lane].tell(lanes[lane].missing)
  }

  /// All events are written: what is missing behind them has a page of its own.
  private mutating func finishLast() -> UnsafeRawBufferPointer? {
    if writer.eventCount > 0 { return writer.finish() }
    guard !behindEnds.isEmpty else { return nil }
    isBehindGap = behindEnds.contains(.isBehindGap)
    if !behindEnds.isDisjoint(with: .losses) { writer.lost = 0 }
    behindEnds = []
    return writer.finish()
  }
}

// What several writers have at one time.
extension WriterMerge {
  /// Whether all lanes with events of that time are at the same event: it comes next then, whatever each has behind it.
  private func areSame(at time: UInt64, as first: Int) -> Bool {
    guard laneCount <= Self.comparedMax else { return false }
    let event = lanes[first].data
    for lane in (first + 1)..<laneCount where times[lane] == time {
      if !identity.areSame(event, lanes[lane].data) { return false }
    }
    return true
  }

  /// Writes the event that all lanes of that time are at; false where the page is full.
  private mutating func writeOnce(of first: Int, at time: UInt64) -> Bool {
    let event = lanes[first].data
    guard let record = writer.reserve(event.count, at: Nanoseconds(time)) else { return false }
    memcpy(record, event.baseAddress!, event.count)
    for lane in first..<laneCount where times[lane] == time {
      lanes[lane].step()
      goOn(lane)
    }
    return true
  }

  /// Takes the events with the stamp `time` of the lanes that have such.
  private mutating func fillGroups(at time: UInt64) {
    (groupCount, groupTime) = (0, time)
    for lane in 0..<laneCount where times[lane] == time && groupCount < Self.comparedMax {
      groups[groupCount].fill(from: &lanes[lane])
      groupCount += 1
      goOn(lane)
    }
  }

  /// Writes the events of the groups, each once; false where the page is full.
  @inline(__always)
  private mutating func writeGroups() -> Bool { groupCount == 0 || writeOpenGroups() }

  private mutating func writeOpenGroups() -> Bool {
    while let leader, let event = groups[leader].next {
      guard let record = writer.reserve(event.count, at: Nanoseconds(groupTime)) else { return false }
      memcpy(record, event.baseAddress!, event.count)
      for index in 0..<groupCount where index == leader || groups[index].isNext(event, identity) {
        groups[index].step()
      }
    }
    groupCount = 0
    return true
  }

  /// The group whose next event comes before those of the others: none of them has it behind another one.
  private var leader: Int? {
    var first: Int?
    for index in 0..<groupCount {
      guard let event = groups[index].next else { continue }
      if first == nil { first = index }
      var isLater = false
      for other in 0..<groupCount where other != index {
        isLater = isLater || groups[other].hasLater(event, identity)
      }
      if !isLater { return index }
    }
    return first
  }
}

// What is missing.
extension WriterMerge {
  /// Tells what is missing before the next event, `lane`'s; false where the page has events already.
  ///
  /// - Parameter isAlone: whether no other lane has an event with its stamp.
  @inline(__always)
  private mutating func tellMissing(before lane: Int, isAlone: Bool) -> Bool {
    var due = lanes[lane].missing.union(behindEnds)
    if !isAlone {
      let time = times[lane]
      for other in 0..<laneCount where times[other] == time { due.formUnion(lanes[other].missing) }
    }
    return due.isEmpty || tellDue(before: lane, isAlone: isAlone)
  }

  @inline(never)
  private mutating func tellDue(before lane: Int, isAlone: Bool) -> Bool {
    let time = times[lane]
    var due = lanes[lane].missing
    if !isAlone {
      for other in 0..<laneCount where times[other] == time { due.formUnion(lanes[other].missing) }
    }
    // The kernel's loss behind a writer's last event is one that the others tell yet, if they are reading on.
    let ended =
      lanes[lane].hasBegun && due.isDisjoint(with: .isBehindLoss)
      ? behindEnds.subtracting(.isBehindLoss) : behindEnds
    due.formUnion(ended)
    guard !due.isEmpty else { return true }
    guard writer.eventCount == 0 else { return false }
    isBehindGap = due.contains(.isBehindGap)
    let lost = takeLost(before: lane, isAlone: isAlone, isKernels: due.contains(.isBehindLoss))
    if !due.isDisjoint(with: .losses) { writer.lost = ended.isDisjoint(with: .losses) ? lost : 0 }
    behindEnds.subtract(ended)
    return true
  }

  /// How many events are lost before the next one, 0 where that is not known, or lanes say different numbers.
  private mutating func takeLost(before lane: Int, isAlone: Bool, isKernels: Bool) -> UInt64 {
    let (time, hasBegun) = (times[lane], lanes[lane].hasBegun)
    var lost: UInt64?
    for other in 0..<laneCount where !lanes[other].missing.isEmpty {
      let missing = lanes[other].missing
      let isHere = other == lane || !isAlone && times[other] == time
      // It lies between the last event of `other` and its next one, as this one does; before its first one it may be any.
      let isSame = isKernels && hasBegun && lanes[other].hasBegun && missing.contains(.isBehindLoss)
      guard isHere || isSame else { continue }
      if !missing.isDisjoint(with: .losses) {
        lost = lost ?? lanes[other].lost == lanes[other].lost ? lanes[other].lost : 0
      }
      lanes[other].tell(isHere ? missing : .isBehindLoss)
    }
    return lost ?? 0
  }
}
