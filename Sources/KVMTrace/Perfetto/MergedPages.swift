internal import Glibc
internal import KVMTypes

/// The pages of one CPU whose events several writers recorded: each data source for ftrace reads the same pages of the kernel's buffers,
/// and writes those events of them that it was asked for. What two of them have is one event.
///
/// It is the same event only if stamp, kind, thread and all fields are the same, and the order in which each writer has the events with
/// that stamp allows it: a second event that one writer has stays. A loss of the kernel's that several writers tell between the same
/// events is one loss; what a writer's packets, or damage, took is told for each.
final class MergedPages: PageSupply {
  /// The events of so many writers are compared at most.
  private static let comparedMax = 8

  private(set) var pageOffset = 0
  private(set) var isBehindGap = false
  var damage: DamageLog

  let cpu: UInt16
  private let lanes: [WriterLane]
  private let identity: EventIdentity
  private var tournament: StreamTournament
  private var writer: PageWriter
  /// The events with one stamp of several writers; the first `groupCount` are in use.
  private var groups: [StampGroup] = []
  private var groupCount = 0
  private var groupTime: UInt64 = 0
  /// What is missing behind the last events of writers that have no more.
  private var behindEnds: BundleRun.Flags = []

  /// - Parameters:
  ///   - sources: the pages of each writer, one at least.
  ///   - pageBytes: how long those are.
  init(_ sources: [BundlePages], _ identity: EventIdentity, pageBytes: Int) {
    lanes = sources.map(WriterLane.init)
    self.identity = identity
    cpu = lanes[0].cpu
    damage = DamageLog(cpu: cpu)
    writer = PageWriter(pageBytes: pageBytes)
    tournament = StreamTournament(lanes.map { $0.hasEvent ? Nanoseconds($0.time) : nil })
    for lane in lanes where !lane.hasEvent { end(lane) }
  }

  func next() -> UnsafeRawBufferPointer? {
    writer.begin()
    isBehindGap = false
    defer { for lane in lanes { lane.report(to: &damage) } }
    while writeGroups() {
      guard let top = tournament.top else { return finishLast() }
      let lane = lanes[top]
      // What comes before it is no other writer's.
      let limit = tournament.bound.map { max($0.rawValue, 1) - 1 } ?? .max
      let isAlone = lane.time < limit
      guard tellMissing(before: lane, isAlone: isAlone) else { break }
      if writer.eventCount == 0 { pageOffset = lane.pageOffset }
      guard isAlone else {
        fillGroups(at: lane.time)
        continue
      }
      let hasRoom = lane.write(before: limit, into: &writer)
      goOn(top)
      if !hasRoom { break }
    }
    return writer.finish()
  }

  /// The lane that won goes on with its next event.
  private func goOn(_ top: Int) {
    let lane = lanes[top]
    if lane.hasEvent { return tournament.replaceTop(time: Nanoseconds(lane.time)) }
    tournament.removeTop()
    end(lane)
  }

  private func end(_ lane: WriterLane) {
    behindEnds.formUnion(lane.missing)
    lane.tell(lane.missing)
  }

  /// All events are written: what is missing behind them has a page of its own.
  private func finishLast() -> UnsafeRawBufferPointer? {
    if writer.eventCount > 0 { return writer.finish() }
    guard !behindEnds.isEmpty else { return nil }
    isBehindGap = behindEnds.contains(.isBehindGap)
    if !behindEnds.isDisjoint(with: .losses) { writer.lost = 0 }
    behindEnds = []
    return writer.finish()
  }
}

// What several writers have at one time.
extension MergedPages {
  /// Takes the events with the stamp `time` of the lanes that have such.
  private func fillGroups(at time: UInt64) {
    (groupCount, groupTime) = (0, time)
    var last = -1
    // A lane that comes again has more such events than a group.
    while groupCount < Self.comparedMax, let top = tournament.top, top > last, lanes[top].time == time {
      if groupCount == groups.count { groups.append(StampGroup(byteCount: writer.pageBytes, identity)) }
      groups[groupCount].fill(from: lanes[top])
      groupCount += 1
      last = top
      goOn(top)
    }
  }

  /// Writes the events of the groups, each once; false where the page is full.
  private func writeGroups() -> Bool {
    while let leader, let event = groups[leader].next {
      guard let record = writer.reserve(event.count, at: Nanoseconds(groupTime)) else { return false }
      memcpy(record, event.baseAddress!, event.count)
      for index in 0..<groupCount where index == leader || groups[index].isNext(event) {
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
      for other in 0..<groupCount where other != index { isLater = isLater || groups[other].hasLater(event) }
      if !isLater { return index }
    }
    return first
  }
}

// What is missing.
extension MergedPages {
  /// Tells what is missing before the next event, `lane`'s; false where the page has events already.
  ///
  /// - Parameter isAlone: whether no other lane has an event with its stamp.
  private func tellMissing(before lane: WriterLane, isAlone: Bool) -> Bool {
    var due = lane.missing
    if !isAlone {
      for other in lanes where other.hasEvent && other.time == lane.time { due.formUnion(other.missing) }
    }
    // The kernel's loss behind a writer's last event is one that the others tell yet, if they are reading on.
    let ended =
      lane.hasBegun && due.isDisjoint(with: .isBehindLoss)
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
  private func takeLost(before lane: WriterLane, isAlone: Bool, isKernels: Bool) -> UInt64 {
    var lost: UInt64?
    for other in lanes where !other.missing.isEmpty {
      let isHere = other === lane || !isAlone && other.time == lane.time
      // It lies between the last event of `other` and its next one, as this one does; before its first one it may be any.
      let isSame = isKernels && lane.hasBegun && other.hasBegun && other.missing.contains(.isBehindLoss)
      guard isHere || isSame else { continue }
      if !other.missing.isDisjoint(with: .losses) { lost = lost ?? other.lost == other.lost ? other.lost : 0 }
      other.tell(isHere ? other.missing : .isBehindLoss)
    }
    return lost ?? 0
  }
}
