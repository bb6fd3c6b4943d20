internal import Glibc
internal import KVMTypes

/// The state of `MergedPages`, which one call fills a page with: what is kept here is reached without the checks of an object.
///
/// Invariant: `lanes` and `times` hold `laneCount` entries until deinit; an entry of `times` is the stamp of the lane's event, `ended`
/// where it has none. `pending` is what is missing before the lanes' events, and `behindEnds`.
struct WriterMerge: ~Copyable {
  /// No event has this stamp.
  private static let ended = UInt64.max

  private(set) var pageOffset = 0
  private(set) var isBehindGap = false
  /// Whether the page tells of losses alone that are counted elsewhere: where the writer's own next event is, or behind all.
  private(set) var repeatsLoss = false
  var damage: DamageLog

  private let lanes: UnsafeMutablePointer<WriterLane>
  private let times: UnsafeMutablePointer<UInt64>
  private let laneCount: Int
  private let identity: EventIdentity
  private var writer: PageWriter
  private var groups: StampGroups
  /// What is missing behind the last events of writers that have no more.
  private var behindEnds: BundleRun.Flags = []
  /// What is missing and not told yet, or is to be told again.
  private var pending: BundleRun.Flags = []
  /// What was told before the page's first event.
  private var told: BundleRun.Flags = []

  init(_ sources: [BundlePages], _ identity: EventIdentity, pageBytes: Int) {
    self.identity = identity
    laneCount = sources.count
    lanes = .allocate(capacity: laneCount)
    times = .allocate(capacity: laneCount)
    groups = StampGroups(pageBytes: pageBytes)
    damage = DamageLog(cpu: sources[0].cpu)
    writer = PageWriter(pageBytes: pageBytes)
    for (index, source) in sources.enumerated() {
      (lanes + index).initialize(to: WriterLane(source))
      (times + index).initialize(to: 0)
    }
    for index in sources.indices { goOn(index) }
  }

  deinit {
    lanes.deinitialize(count: laneCount)
    lanes.deallocate()
    times.deallocate()
  }

  mutating func next() -> UnsafeRawBufferPointer? {
    writer.begin()
    tell(groups.missing, isRepeated: true)
    defer { for lane in 0..<laneCount { lanes[lane].report(to: &damage) } }
    while groups.isEmpty || groups.write(into: &writer, identity) {
      let (first, bound) = earliest
      let time = times[first]
      if time == Self.ended { return finishLast() }
      // Nothing of another writer's comes before, or has its stamp.
      let isAlone = time < bound
      guard pending.isEmpty || tellMissing(before: first, isAlone: isAlone) else { break }
      if writer.eventCount == 0 { pageOffset = lanes[first].pageOffset }
      if isAlone {
        // Of what lies anywhere, the next event has to be told, too.
        let limit = pending.isDisjoint(with: .anywhere) ? bound : 0
        let hasRoom = lanes[first].write(before: limit, into: &writer)
        goOn(first)
        if !hasRoom { break }
      } else if areSame(at: time, as: first) {
        guard writeOnce(of: first, at: time) else { break }
      } else {
        fillGroups(from: first)
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
      pending.formUnion(lanes[lane].missing)
    } else {
      end(lane)
    }
  }

  @inline(never)
  private mutating func end(_ lane: Int) {
    times[lane] = Self.ended
    behindEnds.formUnion(lanes[lane].missing)
    pending.formUnion(behindEnds)
    lanes[lane].tell(lanes[lane].missing)
  }

  /// All events are written: what is missing behind them has a page of its own.
  private mutating func finishLast() -> UnsafeRawBufferPointer? {
    if writer.eventCount > 0 { return writer.finish() }
    guard !behindEnds.isEmpty else { return nil }
    tell(behindEnds)
    behindEnds = []
    return writer.finish()
  }
}

// What several writers have at one time.
extension WriterMerge {
  /// Whether all lanes with events of that time are at the same event: it comes next then, whatever each has behind it.
  private func areSame(at time: UInt64, as first: Int) -> Bool {
    guard laneCount <= StampGroups.groupsMax else { return false }
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

  /// Takes the events with the stamp of `first`'s, of the lanes that have such, as many as can be compared.
  private mutating func fillGroups(from first: Int) {
    let (time, end) = (times[first], end(ofLanesWith: first, isAlone: false))
    groups.begin(at: time)
    for lane in first..<end where times[lane] == time {
      groups.add(from: &lanes[lane])
      goOn(lane)
    }
    // In which order they come is not known yet: what may lie before or behind one of them may lie before each.
    groups.missing = (writer.eventCount == 0 ? told.union(pending) : pending).intersection(.anywhere)
  }

  /// The lanes before this one that have the stamp of `first`'s event are those whose events are taken next.
  private func end(ofLanesWith first: Int, isAlone: Bool) -> Int {
    var (end, count) = (first + 1, 1)
    while !isAlone, end < laneCount, count < StampGroups.groupsMax {
      if times[end] == times[first] { count += 1 }
      end += 1
    }
    return end
  }
}

// What is missing.
extension WriterMerge {
  /// Tells what is missing before the next event, `first`'s; false where the page has events already.
  ///
  /// - Parameter isAlone: whether no other lane has an event with its stamp.
  @inline(never)
  private mutating func tellMissing(before first: Int, isAlone: Bool) -> Bool {
    let end = end(ofLanesWith: first, isAlone: isAlone)
    var (here, due) = (BundleRun.Flags(), behindEnds.intersection(.anywhere))
    for lane in 0..<laneCount {
      due.formUnion(lanes[lane].missing.intersection(.anywhere))
      if isNext(lane, first, end) { here.formUnion(lanes[lane].missing) }
    }
    // The kernel's loss behind a writer's last event is one that the others tell yet, if they are reading on.
    let ended =
      lanes[first].hasBegun && here.isDisjoint(with: .isBehindLoss)
      ? [] : behindEnds.intersection(.isBehindLoss)
    due.formUnion(here.union(ended))
    guard !due.isEmpty else { return true }
    guard writer.eventCount == 0 else { return false }
    tell(due, isRepeated: here.isEmpty && ended.isEmpty)
    let lost = takeLost(before: first, end, isKernels: due.contains(.isBehindLoss))
    if ended.isEmpty, lost > 0 { writer.lost = lost }
    behindEnds.subtract(ended)
    pending = behindEnds
    for lane in 0..<laneCount { pending.formUnion(lanes[lane].missing) }
    return true
  }

  /// Whether a lane's event is one of those that are taken next.
  private func isNext(_ lane: Int, _ first: Int, _ end: Int) -> Bool {
    (first..<end).contains(lane) && times[lane] == times[first]
  }

  /// How many events are lost before the next one, 0 where that is not known, or lanes say different numbers.
  private mutating func takeLost(before first: Int, _ end: Int, isKernels: Bool) -> UInt64 {
    let hasBegun = lanes[first].hasBegun
    var lost: UInt64?
    for lane in 0..<laneCount where !lanes[lane].missing.isEmpty {
      let missing = lanes[lane].missing
      let isHere = isNext(lane, first, end)
      // It lies between the last event of `lane` and its next one, as this one does; before its first one it may be any.
      let isSame = isKernels && hasBegun && lanes[lane].hasBegun && missing.contains(.isBehindLoss)
      guard isHere || isSame else { continue }
      if !missing.isDisjoint(with: .losses) {
        lost = lost ?? lanes[lane].lost == lanes[lane].lost ? lanes[lane].lost : 0
      }
      lanes[lane].tell(isHere ? missing : .isBehindLoss)
    }
    return lost ?? 0
  }

  /// Tells what is missing before the page's events; how many events that are is not known.
  ///
  /// - Parameter isRepeated: whether all of it is told, and counted, elsewhere, too.
  private mutating func tell(_ missing: BundleRun.Flags, isRepeated: Bool = false) {
    (told, repeatsLoss) = (missing, isRepeated)
    isBehindGap = missing.contains(.isBehindGap)
    if !missing.isDisjoint(with: .losses) { writer.lost = 0 }
  }
}
