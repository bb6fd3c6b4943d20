public import KVMTypes

/// The records of one CPU in one buffer, or of several CPUs that lie in one order: a page of them, which is of one CPU, decoded at a
/// time.
///
/// Invariant: once a page was read, `records` has room for every record that one page can hold, and `count` of them
/// are initialised; `page` is valid until the next `refill`.
struct CPUStream: ~Copyable {
  private var decoder: PageDecoder
  private let source: any PageSupply
  /// Of the events of the first page's CPU, and of those of others.
  private let lanes: (own: UInt8, others: UInt8)
  private let ownCPU: UInt16
  private var continuity: PageContinuity
  /// How many events are missing since the last one, as `PageDecoder.Outcome.lost` counts them.
  private var pendingLoss: UInt64?
  private var isPendingKernels = true
  private var capacity = 0
  /// Whether the CPU's first events may be one that was written twice.
  private var mayRepeat: Bool
  private var storage: UnsafeMutablePointer<TraceRecord>?
  private(set) var count = 0
  var position = 0
  private(set) var page = UnsafeRawBufferPointer(start: nil, count: 0)
  /// How many damaged places there are so far behind which the state is in doubt; a gap is told by a record instead.
  private(set) var doubtCount = 0
  /// How many damaged places there are so far at which something is missing that nothing else tells of.
  private(set) var lackCount = 0
  /// How many there are so far in all.
  private var damageCount = 0
  /// How many events are missing behind the last one, 0 for an unknown number; nil for none. Known at the end.
  private(set) var missingBehind: UInt64?
  /// Whether the kernel lost those.
  private var isBehindKernels = false
  /// The least and the greatest stamp so far.
  private(set) var first: Nanoseconds?
  private(set) var last: Nanoseconds?
  /// The first losses, `lossesMax` at most; `lossCount` counts them all.
  private(set) var losses: [Loss] = []
  private(set) var lossCount = 0
  /// How many of them are pages that are missing.
  private(set) var gapCount = 0
  private(set) var lostEvents: UInt64 = 0
  private static let lossesMax = 1024

  /// - Parameters:
  ///   - source: where the pages come from.
  ///   - lanes: which of a CPU's streams it is, for the CPU of its first events and for others.
  ///   - clock: whose stamps they have, nil for one that is not known.
  ///   - mayRepeat: whether the CPU's first event may be written twice.
  init(
    _ source: any PageSupply, lanes: (own: UInt8, others: UInt8), contents: borrowing TraceDatContents,
    clock: TraceClock?, mayRepeat: Bool
  ) {
    let time = contents.time(ofCPU: source.cpu)
    decoder = PageDecoder(
      bigEndian: contents.bigEndian, headerBytes: 8 + contents.kernelLongSize, time: time,
      cpu: CPUIndex(source.cpu))
    continuity = PageContinuity(time, clock: clock)
    self.source = source
    self.lanes = lanes
    ownCPU = source.cpu
    self.mayRepeat = mayRepeat
  }

  /// The CPU of the page that was read last.
  var cpu: UInt16 { source.cpu }

  deinit { storage?.deallocate() }

  /// The records of the page; there are some only while `hasRecord`.
  var records: UnsafeMutablePointer<TraceRecord> { storage! }

  /// How far the records from `position` on come before `bound`: the first one does.
  ///
  /// Runs are short and no predictor knows their lengths, so four records are compared at once, without a branch.
  @inline(__always)
  func end(before bound: Nanoseconds) -> Int {
    var end = position &+ 1
    while end &+ 4 <= count {
      var (steps, isBefore) = (0, 1)
      for index in 0..<4 {
        isBefore &= records[end &+ index].time < bound ? 1 : 0
        steps &+= isBefore
      }
      end &+= steps
      if steps < 4 { return end }
    }
    while end < count, records[end].time < bound { end &+= 1 }
    return end
  }

  var damage: [Damage] { source.damage.places }
  /// Whether what is missing at damaged places the runs tell, and the ends, of whichever CPU it may be.
  var tellsDamage: Bool { source.lastOfCPUs != nil }
  /// The ends of the CPUs that it has, of a buffer; where more may be missing than pages tell, behind each an unknown number.
  func ends(ofBuffer buffer: Int, isWhole: Bool) -> [EventStatistics.StreamEnd] {
    let missing = isWhole ? missingBehind : 0
    let isKernels = isWhole && isBehindKernels
    func end(_ cpu: UInt16, _ last: Nanoseconds?) -> EventStatistics.StreamEnd {
      .init(
        bufferIndex: buffer, cpu: cpu, lane: lane(of: cpu), last: last, missing: missing,
        isKernels: isKernels, isDamaged: !tellsDamage && !damage.isEmpty)
    }
    let ends = source.lastOfCPUs ?? []
    return ends.isEmpty ? [end(cpu, last)] : ends.map { end($0.cpu, $0.last) }
  }
  var hasRecord: Bool { position < count }
  /// Where in the file the page lies that was read last.
  var pageOffset: Int { source.pageOffset }

  /// Decodes pages until one yields a record; false at the end of the stream.
  mutating func refill(plan: borrowing DecodePlan, counts: UnsafeMutablePointer<UInt64>) -> Bool {
    count = 0
    position = 0
    while let next = source.next() {
      decoder.cpu = CPUIndex(source.cpu)
      decoder.lane = lane(of: source.cpu)
      let header = decoder.header(of: next)
      if source.isBehindGap { noteGap() }
      if continuity.skips(next, header, room: next.count - decoder.headerBytes, at: source.pageOffset) {
        continue
      }
      if let hole = continuity.takeHole(before: header.stamp) { report(hole) }
      let records = room(forPageOf: next.count)
      var outcome = decoder.decode(next, lost: pendingLoss, plan: plan, into: records, counts: counts)
      if !isPendingKernels, outcome.recordCount > 0, records[0].kind == .lost {
        records[0][RecordLayout.Lost.isDamage] = 1
      }
      note(outcome, header)
      if isMisplaced(outcome, header, room: next.count - decoder.headerBytes) { putLoss(before: &outcome) }
      if outcome.recordCount > 0 {
        page = next
        count = outcome.recordCount
        note(source.damage)
        if mayRepeat { skipRepetition(plan, counts) }
        return true
      }
    }
    if let hole = continuity.takeHole(before: nil) { report(hole) }
    let isDamaged = source.damage.isEndMissing || source.damage.count > damageCount
    missingBehind = isDamaged ? 0 : pendingLoss
    isBehindKernels = !isDamaged && pendingLoss != nil && isPendingKernels
    if let lost = pendingLoss { note(lost: lost, before: last ?? Nanoseconds(0), isBehindLast: true) }
    return false
  }
}

extension CPUStream {
  /// Which of a CPU's streams this one is.
  private func lane(of cpu: UInt16) -> UInt8 { cpu == ownCPU ? lanes.own : lanes.others }

  /// Room for the records of a page of so many bytes. Not before there is one: a damaged table can name thousands of areas that hold no
  /// page.
  @inline(__always)
  private mutating func room(forPageOf bytes: Int) -> UnsafeMutablePointer<TraceRecord> {
    let needed = PageDecoder.recordsMax(pageBytes: bytes)
    if let storage, needed <= capacity { return storage }
    storage?.deallocate()
    let room = UnsafeMutablePointer<TraceRecord>.allocate(capacity: needed)
    (storage, capacity) = (room, needed)
    return room
  }

  /// Whether the page that was read may not stand in its place, as the one behind it shows.
  @inline(__always)
  private func isMisplaced(_ outcome: PageDecoder.Outcome, _ header: PageDecoder.Header, room: Int) -> Bool {
    guard let head = source.nextHead else { return false }
    return continuity.isMisplaced(header, end: outcome.end, before: decoder.header(of: head), room: room)
  }

  /// Events may be missing before a page as well as behind it, where that is told: the record says so once more, and is no loss of
  /// its own.
  private func putLoss(before outcome: inout PageDecoder.Outcome) {
    guard let first = outcome.least else { return }
    if outcome.lost == nil {
      // There is room: a page has one record more than events.
      (records + 1).moveInitialize(from: records, count: outcome.recordCount)
      records.initialize(to: decoder.loss(of: 0, before: first))
      outcome.recordCount += 1
    }
    records[0][RecordLayout.Lost.count] = 0
    records[0][RecordLayout.Lost.isDamage] = 1
  }

  /// `trace-cmd split` writes the first event of each CPU twice: the second is none. Nothing happens twice within a nanosecond. But where
  /// later events stand there twice, too, the first one does for whatever reason those do.
  private mutating func skipRepetition(_ plan: borrowing DecodePlan, _ counts: UnsafeMutablePointer<UInt64>) {
    mayRepeat = false
    guard count > 1, isRepeated(0) else { return }
    for position in 1..<count - 1 where isRepeated(position) { return }
    position = 1
    counts[plan.plan(of: records[0].formatID).pointee.formatIndex] -= 1
  }

  /// Whether the event behind the one at `position` is the same.
  private func isRepeated(_ position: Int) -> Bool {
    let (event, next) = (records[position], records[position + 1])
    return event.time == next.time && event.formatID == next.formatID && event.kind != .lost
      && data(of: event).elementsEqual(data(of: next))
  }

  /// So much is damaged before the end of the page that was read.
  private mutating func note(_ log: DamageLog) {
    (doubtCount, lackCount, damageCount) = (log.places.count - log.gapCount, log.lackCount, log.count)
  }

  /// An event's data in the page.
  private func data(of record: TraceRecord) -> Slice<UnsafeRawBufferPointer> {
    let begin = Int(record.payloadOffset)
    return page[begin..<min(begin + Int(record.payloadLength), page.count)]
  }

  /// Takes in what a page turned out to be.
  private mutating func note(_ outcome: PageDecoder.Outcome, _ header: PageDecoder.Header) {
    if let damage = outcome.damage {
      source.damage.report(at: source.pageOffset + damage.offset, damage.what)
    }
    if let short = outcome.short {
      source.damage.report(
        at: source.pageOffset + short, "an event of CPU \(cpu) is shorter than its format; it is only counted"
      )
    }
    if outcome.end < header.stamp, outcome.stepBack == nil {
      reportStepBack(at: 0, from: decoder.time.nanoseconds(.max), to: decoder.time.nanoseconds(outcome.end))
    }
    if let from = continuity.note(header, end: outcome.end) {
      reportStepBack(at: 0, from: decoder.time.nanoseconds(from), to: decoder.time.nanoseconds(header.stamp))
    }
    if let step = outcome.stepBack, (step.from - step.to).rawValue > continuity.jitter {
      reportStepBack(at: step.offset, from: step.from, to: step.to)
    }
    // A page without events may tell of a loss all the same; it stands before the next event.
    pendingLoss = outcome.lost
    if let lost = outcome.lost, let first = outcome.least {
      if source.repeatsLoss { endLoss() } else { note(lost: lost, before: first) }
    }
    if let least = outcome.least { first = first.map { min($0, least) } ?? least }
    if let greatest = outcome.greatest { last = last.map { max($0, greatest) } ?? greatest }
  }

  private mutating func noteGap() {
    pendingLoss = 0
    isPendingKernels = false
  }

  private mutating func report(_ hole: (offset: Int, pages: Int)) {
    noteGap()
    let what = hole.pages == 1 ? "a page of CPU \(cpu) holds" : "\(hole.pages) pages of CPU \(cpu) hold"
    source.damage.reportGap(at: hole.offset, "\(what) no events where some must be")
  }

  private mutating func reportStepBack(at offset: Int, from: Nanoseconds, to: Nanoseconds) {
    source.damage.reportStepBack(
      of: cpu, at: source.pageOffset + offset, from: from, to: to, isShown: true,
      isOfTicks: continuity.isOfTicks)
  }

  private mutating func note(lost count: UInt64, before time: Nanoseconds, isBehindLast: Bool = false) {
    lossCount += 1
    lostEvents = lostEvents.addingSaturated(count)
    if !isPendingKernels { gapCount += 1 }
    if losses.count < Self.lossesMax {
      losses.append(
        Loss(
          cpu: cpu, before: time, count: count == 0 ? nil : count, isKernels: isPendingKernels,
          isBehindLast: isBehindLast))
    }
    endLoss()
  }

  /// What was missing has been told.
  private mutating func endLoss() { (pendingLoss, isPendingKernels) = (nil, true) }
}

/// A place where events are missing: the kernel lost them because its buffer was full, or the file lacks the pages that
/// held them.
public struct Loss: Hashable, Sendable {
  /// The processor whose events are missing.
  public var cpu: UInt16
  /// The stamp of the first event after the gap; of the last one before it, where that is the CPU's last.
  public var before: Nanoseconds
  /// How many events are missing, nil where that is not known.
  public var count: UInt64?
  /// Whether the kernel lost them; else pages are missing, and their place is among the damaged ones.
  public var isKernels = true
  /// Whether no event of the CPU follows; where it has none at all, `before` is 0.
  public var isBehindLast = false

  /// Where events are missing, as seen from the moment that is told.
  package enum Place: String, CaseIterable, Sendable {
    /// Before the first event behind the gap.
    case before
    /// After the last one before it.
    case after
    /// The CPU has no event at all.
    case anywhere

    /// The place of a gap at `moment`.
    package init(_ moment: Nanoseconds, isBehindLast: Bool) {
      self = !isBehindLast ? .before : moment == Nanoseconds(0) ? .anywhere : .after
    }
  }

  /// Where they are missing, as seen from `before`.
  package var place: Place { Place(before, isBehindLast: isBehindLast) }

  /// Events of `cpu` are missing before the one at `before`, or behind it: `count` of them, nil where that is not known.
  public init(
    cpu: UInt16, before: Nanoseconds, count: UInt64?, isKernels: Bool = true, isBehindLast: Bool = false
  ) {
    self.isBehindLast = isBehindLast
    self.cpu = cpu
    self.before = before
    self.count = count
    self.isKernels = isKernels
  }
}
