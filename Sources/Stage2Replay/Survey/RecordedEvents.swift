public import KVMTrace
internal import KVMTypes

/// Which of the events that a replay lives on a trace records, as far as it tells.
///
/// A kind that was seen was recorded. A kind that was not seen either did not happen or was not recorded: the latter if
/// the trace has no format of it, or if other events show that it happened. What is left is taken not to have happened.
public struct RecordedEvents: Hashable, Sendable {
  /// What is known of a trace's events whichever of them were seen.
  struct Known: Hashable {
    /// What the source tells of the events that are not in it.
    var account = SourceAccount()
    /// Of a part what the whole recording lacks, which other parts tell better; nil where nothing says so.
    var lackedByWhole: Set<EventKind>?
    /// The kinds that had not come when the replay began, if that was before the last event.
    var unseen: Set<EventKind> = []
    /// Whether the clock does not tell in which order events of different CPUs happened.
    var isUnordered = false
  }

  /// The kinds that were not recorded, or not as far as the trace tells.
  public let missing: Set<EventKind>
  /// Those, and the kinds of which it was not known whether they are recorded when the replay began.
  private let doubtful: Set<EventKind>
  /// Those of the missing ones that happened, as other events show.
  private let shown: Set<EventKind>
  private let known: Known

  /// - Parameters:
  ///   - unlisted: kinds that did not come and that the source does not say that there can be.
  ///   - shown: kinds that did not come, and happened.
  init(unlisted: Set<EventKind> = [], shown: Set<EventKind> = [], _ known: Known = Known()) {
    missing = unlisted.union(shown)
    doubtful = missing.union(known.unseen)
    self.shown = shown
    self.known = known
  }

  /// Whether the clock does not tell in which order events of different CPUs happened.
  public var isUnordered: Bool { known.isUnordered }
  /// Whether the source says where events were lost.
  public var tellsLosses: Bool { known.account.untoldLosses == nil }

  /// Whether events are missing of which the source does not say where.
  var lacksSomewhere: Bool { known.account.untoldLosses?.reason == .missingEntries }

  /// Why a kind is missing.
  private func reason(_ kind: EventKind) -> MissingEvents.Reason {
    if known.account.kindsWithoutFields.contains(kind) { return .withoutFields }
    return known.account.listsKinds || shown.contains(kind) ? .notRecorded : .noneCame
  }

  /// Whether what happened to tables can be told at all: each change by a guest begins with a fault.
  public var tellsFaults: Bool { !missing.contains(.guestFault) }

  /// Whether no fact follows from what the trace does not have: the end of a fault's window, an unmap that made a fault
  /// retry, a KVM_RUN that failed; nor from an order that is none, nor from an event that may have been lost without a word.
  var supportsDerivation: Bool {
    !isUnordered && tellsLosses
      && doubtful.isDisjoint(with: [
        .guestFault, .entry, .userspaceExit, .unmapHVARange, .nestedERET, .nestedException,
      ])
  }

  /// Whether what a thread waits for within a fault's window is the fault's: nothing else ends the window, and no notifier's call of the
  /// thread, which takes the VM's lock to write on every host, can be there without an event.
  var attributesWaits: Bool { supportsDerivation && doubtful.isDisjoint(with: [.ageHVA, .testAgeHVA]) }

  /// Whether an event that breaks a rule contradicts the model, and not only what is missing.
  func allows(_ rule: DivergenceRule) -> Bool {
    switch rule {
    // These speak of one event alone.
    case .notifierCoversPages, .syndromeIsConsistent, .addressHasPageGranularity: true
    case .mmioLiesOutsideSlots: supportsDerivation && !doubtful.contains(.mmio)
    case .permissionImpliesAccessFlag, .accessFlagNeedsLeaf, .accessFaultNeedsNewAge, .ageNeedsLeaf,
      .faultsMakeProgress:
      supportsDerivation && doubtful.isDisjoint(with: [.ageHVA, .testAgeHVA])
    default: supportsDerivation
    }
  }

  /// Why an event that breaks a rule contradicts nothing, where `allows` says so.
  var reasonNotAllowed: DivergenceException {
    isUnordered ? .unorderedClock : tellsLosses ? .notRecorded : .lostEvents
  }

  /// What is missing and what that costs, in the order of importance.
  ///
  /// - Parameter memslots: where the replay had the memslots from.
  func costs(memslots: MemslotSource) -> [MissingEvents] {
    var list: [MissingEvents] = []
    var idle: [MissingEvents.Reason: [String]] = [:]
    for (kinds, isEssential, cost) in Self.allCosts {
      let all = Dictionary(grouping: kinds.filter { missing.contains($0.0) }) { reason($0.0) }
      for (reason, names) in Self.ordered(all.mapValues { $0.map(\.1) }) {
        if tellsFaults || kinds[0].0 == .guestFault || kinds[0].0 == .contentionBegin {
          list.append(MissingEvents(events: names, isEssential: isEssential, cost: cost, reason: reason))
        } else {
          idle[reason, default: []] += names
        }
      }
    }
    for (reason, names) in Self.ordered(idle) {
      list.append(
        MissingEvents(
          events: names, isEssential: false, cost: "of no account without kvm_guest_fault", reason: reason))
    }
    if known.account.lacksErrno, !missing.contains(.userspaceExit) {
      list.append(
        MissingEvents(
          events: ["errno of kvm_userspace_exit"], isEssential: false,
          cost: "every KVM_RUN is taken for one that did not fail"))
    }
    if memslots.isInferred {
      list.append(
        MissingEvents(
          events: ["memslots"], isEssential: false, cost: "no probe tells them, they are inferred and assumed"
        ))
    }
    if memslots.isCompleted {
      list.append(
        MissingEvents(
          events: ["memslots of before the trace"], isEssential: false,
          cost: "those that do not change are inferred and assumed"))
    }
    return list
  }

  private static func ordered(
    _ names: [MissingEvents.Reason: [String]]
  ) -> [(reason: MissingEvents.Reason, names: [String])] {
    MissingEvents.Reason.allCases.compactMap { reason in names[reason].map { (reason, $0) } }
  }

  /// The names of the events that tell of ages.
  static let ages = ["kvm_age_hva", "kvm_test_age_hva"]

  /// The events that a replay looks at, with their names, whether they are essential, and what it costs to do without.
  static let allCosts: [([(EventKind, String)], Bool, String)] = [
    ([(.guestFault, "kvm_guest_fault")], true, "faults, what they mapped, and memory are unknown"),
    (
      [(.entry, "kvm_entry")], true, "a fault ends with its thread's next event at the latest, all is assumed"
    ),
    (
      [(.unmapHVARange, "kvm_unmap_hva_range")], true, "what was unmapped is unknown, all is assumed"
    ),
    (
      [(.userspaceExit, "kvm_userspace_exit")], true,
      "which faults failed is unknown, all is assumed"
    ),
    (
      [(.nestedERET, "kvm_nested_eret"), (.nestedException, "kvm_inject_nested_exception")], true,
      "which faults are of nested guests is uncertain, all is assumed"
    ),
    ([(.exit, "kvm_exit")], false, "the order of a vCPU's events is not checked"),
    ([(.mmio, "kvm_mmio")], false, "which faults are device accesses only memslots tell"),
    ([(.accessFault, "kvm_access_fault")], false, "rule D5 is not checked"),
    (
      [(.ageHVA, ages[0]), (.testAgeHVA, ages[1])], false,
      "test_clear_young is unknown, access flags are not checked"
    ),
    (
      [(.contentionBegin, "contention_begin"), (.contentionEnd, "contention_end")], false,
      "waits for mmu_lock are unknown"
    ),
  ]
}

/// Events that a trace does not record, and what a report cannot say for want of them.
public struct MissingEvents: Hashable, Sendable {
  /// Why there are none.
  public enum Reason: String, Hashable, Sendable, CaseIterable {
    /// They were not recorded.
    case notRecorded
    /// None came, and the source does not say which events were recorded.
    case noneCame
    /// They were recorded without what they are read for.
    case withoutFields
  }

  /// Their names.
  public var events: [String]
  /// Whether operations, and the memory that follows from them, are less certain or unknown without them.
  public var isEssential: Bool
  /// What that costs.
  public var cost: String
  /// Why they are missing.
  public var reason: Reason

  /// Events that are missing, and what that costs.
  public init(events: [String], isEssential: Bool, cost: String, reason: Reason = .notRecorded) {
    self.events = events
    self.isEssential = isEssential
    self.cost = cost
    self.reason = reason
  }

  /// Why they are missing, in a few words.
  public var why: String {
    switch reason {
    case .notRecorded: "not recorded"
    case .noneCame: "none came: not recorded, or none occurred"
    case .withoutFields:
      events.allSatisfy { $0.hasPrefix("contention_") }
        ? "recorded without the lock's address" : "recorded without the fields that tell"
    }
  }

  /// One line: "kvm_entry not recorded: ...".
  public var statement: String {
    "\(events.joined(separator: ", ")) \(reason == .notRecorded ? why : "(\(why))"): \(cost)"
  }
}

/// Finds out, from the events of one pass, which kinds of event happened without being recorded.
struct RecordingSurvey {
  /// The kinds that were seen, a bit each.
  private var seenMask: UInt64 = 0
  /// Threads that left the guest, or faulted, before any kvm_entry came; and those that entered before any kvm_exit.
  private var outside: Set<FrameKey> = []
  private var lacksEntry = false
  private var lacksExit = false
  private var aborts = 0
  private var accessFlagFaults = 0
  /// Ages before any kvm_exit.
  private var ages = 0
  private var sawMMIOExit = false
  private var refaults = Refaults()

  /// kvm_entry or kvm_exit.
  @inline(__always)
  mutating func consumeRun(of tid: ThreadID, isEntry: Bool) {
    seenMask |= isEntry ? Self.bit(.entry) : Self.bit(.exit)
    if !sawLoop { consumeRunOfPart(tid, isEntry: isEntry) }
  }

  /// What a kvm_exit says.
  @inline(__always)
  mutating func note(_ exit: VCPUExit) {
    if exit.isTrap, exit.exceptionClass == 0x20 || exit.exceptionClass == 0x24 { aborts += 1 }
  }

  /// Whether both halves of the loop are recorded.
  private var sawLoop: Bool {
    let loop = Self.bit(.entry) | Self.bit(.exit)
    return seenMask & loop == loop
  }

  private mutating func consumeRunOfPart(_ tid: ThreadID, isEntry: Bool) {
    if isEntry {
      if !lacksExit, repeats(.entry, of: tid) { lacksExit = true }
    } else {
      if !lacksEntry, repeats(.exit, of: tid) { lacksEntry = true }
    }
  }

  /// Any other event, of a thread that may have a place.
  mutating func consume(_ record: TraceRecord, _ thread: ThreadIndex?) {
    seenMask |= Self.bit(record.kind)
    switch record.kind {
    case .userspaceExit: if record.userspaceExit.reason == Self.mmioReason { sawMMIOExit = true }
    case .mmio, .mmioNISV: if let thread { refaults.forget(thread) }
    case .ageHVA, .testAgeHVA: if !saw(.exit) { ages += 1 }
    default: break
    }
  }

  private static let enough = 3
  private static let manyAges = 64
  /// KVM_EXIT_MMIO.
  private static let mmioReason: UInt32 = 6

  @inline(__always)
  private static func bit(_ kind: EventKind) -> UInt64 { 1 &<< UInt64(kind.rawValue) }

  /// Whether events of a kind were seen.
  @inline(__always)
  func saw(_ kind: EventKind) -> Bool { seenMask & Self.bit(kind) != 0 }

  private mutating func repeats(_ kind: EventKind, of tid: ThreadID) -> Bool {
    !outside.insert(FrameKey(UInt64(UInt32(bitPattern: tid.rawValue)) << 8 | UInt64(kind.rawValue))).inserted
  }

  /// kvm_guest_fault, which says `fault`.
  @inline(__always)
  mutating func consume(
    _ fault: GuestFault, _ kind: FaultKind, _ thread: ThreadIndex?, _ tid: ThreadID
  ) {
    seenMask |= Self.bit(.guestFault)
    if !saw(.entry), !lacksEntry, repeats(.guestFault, of: tid) { lacksEntry = true }
    switch kind {
    case .accessFlag: accessFlagFaults += 1
    case .translation: if !saw(.unmapHVARange), let thread { refaults.note(thread, fault) }
    default: break
    }
  }

  /// kvm_guest_fault of a guest of a guest.
  mutating func consumeNested() { seenMask |= Self.bit(.guestFault) }

  /// Whether any event of KVM's own was seen.
  var sawKVM: Bool {
    (EventKind.entry.rawValue...EventKind.hypercall.rawValue).contains { seenMask & 1 << UInt64($0) != 0 }
  }

  private static let observable: [EventKind] = [
    .entry, .exit, .guestFault, .accessFault, .userspaceExit, .mmio, .unmapHVARange, .ageHVA, .testAgeHVA,
    .contentionBegin, .contentionEnd,
  ]

  /// The kinds that a replay lives on of which no event was seen.
  var unseen: Set<EventKind> { Set(Self.observable.filter { !saw($0) }) }

  /// What was recorded, given what is known besides.
  ///
  /// - Parameter lacking: kinds of which it is known that they happened and were not recorded.
  func recorded(_ known: RecordedEvents.Known, lacking: Set<EventKind>) -> RecordedEvents {
    let unlisted = known.account.kinds.map { kinds in
      Set(Self.observable.filter { !saw($0) && !kinds.contains($0) })
    }
    if let lacked = known.lackedByWhole {
      return RecordedEvents(unlisted: lacked.union(unlisted ?? []), shown: lacking, known)
    }
    var shown = lacking
    func lack(_ kind: EventKind, if isMissing: Bool) {
      if isMissing, !saw(kind) { shown.insert(kind) }
    }
    // The last abort of a trace may be cut off from its fault.
    lack(.guestFault, if: aborts > 1 || saw(.accessFault) || saw(.mmio) || lacksExit)
    // A guest that ran, or memory that is aged all the time: without its exits nothing says that it never faulted.
    lack(.guestFault, if: !saw(.exit) && (saw(.userspaceExit) || ages >= Self.manyAges))
    lack(.entry, if: lacksEntry)
    lack(.exit, if: lacksExit)
    lack(.accessFault, if: accessFlagFaults > 0)
    lack(.mmio, if: sawMMIOExit)
    lack(.unmapHVARange, if: refaults.isTelling)
    // An access flag is set where it was cleared, and only an age clears it. One or two such faults may be wrong.
    lack(.ageHVA, if: accessFlagFaults >= Self.enough)
    return RecordedEvents(unlisted: unlisted ?? [], shown: shown, known)
  }
}

/// Translation faults of a thread on pages that it was given before: something unmapped them. In a table of fixed size,
/// which forgets pages that others take the place of.
private struct Refaults {
  private struct Page: Hashable {
    var thread: ThreadIndex
    var page: UInt64
  }

  private static let bits = 12
  private var pages: [Page?] = []
  /// By `ThreadIndex`, the last fault of a thread, which is not given its page yet.
  private var last: ContiguousArray<GuestFault?> = []
  private var count = 0
  /// So many are more than chance: a fault that the CPU reports once more, or a vCPU that another thread runs.
  private static let enough = 3
  private static let threadsMax = 1024

  var isTelling: Bool { count >= Self.enough }

  mutating func note(_ thread: ThreadIndex, _ fault: GuestFault) {
    guard thread.position < Self.threadsMax else { return }
    if pages.isEmpty { pages = Array(repeating: nil, count: 1 << Self.bits) }
    while last.count <= thread.position { last.append(nil) }
    let previous = last[thread.position]
    if let previous, previous.ipa != fault.ipa || previous.pc != fault.pc {
      let page = Page(thread: thread, page: previous.ipa.rawValue >> 12)
      pages[Self.place(page)] = page
    }
    let page = Page(thread: thread, page: fault.ipa.rawValue >> 12)
    if pages[Self.place(page)] == page, previous?.ipa != fault.ipa {
      count += 1
      pages[Self.place(page)] = nil
    }
    last[thread.position] = fault
  }

  /// The thread's fault was an access to a device, which maps nothing.
  mutating func forget(_ thread: ThreadIndex) {
    if thread.position < last.count { last[thread.position] = nil }
  }

  private static func place(_ page: Page) -> Int {
    let mixed = (page.page ^ UInt64(page.thread.position) << 40) &* 0x9e37_79b9_7f4a_7c15
    return Int(mixed >> UInt64(64 - bits))
  }
}
