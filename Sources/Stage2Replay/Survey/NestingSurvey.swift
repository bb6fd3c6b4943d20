internal import KVMTrace
internal import KVMTypes

/// Which vCPUs run guests of their guest, and where an event says that one did before: a trace may begin in a nested guest, or lose
/// the event that led there.
struct NestingSurvey {
  /// What an event says of the time since the one before it that tells: it is otherwise than that one left it.
  private struct Correction {
    var from: Nanoseconds
    var until: Nanoseconds
    var isNested: Bool
  }

  private struct Thread {
    var context = NestingContext()
    /// The last event that told.
    var told = Nanoseconds(0)
  }

  /// By `ThreadIndex`, from the first event on that tells of nesting.
  private var threads: [Thread] = []
  private var corrections: [ThreadID: [Correction]] = [:]
  /// How many corrections are kept.
  private static let correctionsMax = 1 << 16
  /// Whether any event tells that a guest has guests.
  private(set) var isSeen = false
  /// Grows with what a replay has to know.
  var revision: Int { correctionCount + (isSeen ? 1 : 0) }
  private var correctionCount = 0
  private var sawERET = false
  private var sawException = false
  /// A guest hypervisor's ERET was trapped and had no event; a nested guest was left without an exception.
  private var lacksERET = false
  private var lacksException = false

  /// The kinds that happened and were not recorded.
  var missing: Set<EventKind> {
    var kinds: Set<EventKind> = []
    if lacksERET, !sawERET { kinds.insert(.nestedERET) }
    if lacksException, !sawException { kinds.insert(.nestedException) }
    return kinds
  }

  /// Whether a thread ran a nested guest at a moment when that was not known otherwise; nil where nothing corrects what was.
  func correction(of tid: ThreadID, at time: Nanoseconds) -> Bool? {
    guard let list = corrections[tid] else { return nil }
    let position = list.partitioningIndex { $0.until >= time }
    return position < list.count && list[position].from <= time ? list[position].isNested : nil
  }

  /// Whether a stage-2 fault of a thread is one of a shadow stage 2, as far as is known by now.
  @inline(__always)
  func isNested(_ thread: ThreadIndex?) -> Bool {
    guard isSeen, let thread, thread.position < threads.count else { return false }
    return threads[thread.position].context.isNested
  }

  /// kvm_entry.
  mutating func enter(_ thread: ThreadIndex?, at pc: GuestVA) {
    guard let thread, thread.position < threads.count else { return }
    if threads[thread.position].context.isReturning { lacksERET = true }
    let wasNested = threads[thread.position].context.isNested
    threads[thread.position].context.enter(at: pc, tellsExceptions: sawException)
    if wasNested, !threads[thread.position].context.isNested { lacksException = true }
  }

  /// kvm_exit.
  mutating func exit(_ exit: VCPUExit, _ thread: ThreadIndex?, at time: Nanoseconds) {
    guard let thread else { return }
    if exit.isERET { isSeen = true }
    grow(to: thread)
    let wasNested = threads[thread.position].context.isNested
    threads[thread.position].context.exit(exit, in: Epoch(0), tellsExceptions: sawException)
    guard exit.isERET else { return }
    if wasNested, !sawException { lacksException = true }
    if !wasNested { threads[thread.position].told = time }
  }

  /// kvm_nested_eret and kvm_inject_nested_exception.
  mutating func consume(_ record: TraceRecord, _ thread: ThreadIndex?) {
    isSeen = true
    guard let thread else { return }
    grow(to: thread)
    let context = threads[thread.position].context
    let isERET = record.kind == .nestedERET
    // Only the guest hypervisor's own ERET is emulated.
    let wasNested = !isERET && !record.nestedRegime.isHypervisor
    if !context.isReturning, context.isNested != wasNested {
      if isERET, !sawException { lacksException = true }
      correct(record, from: threads[thread.position].told, wasNested)
    }
    if isERET { sawERET = true } else { sawException = true }
    threads[thread.position].context.take(record, in: Epoch(0))
    threads[thread.position].told = record.time
  }

  private mutating func correct(_ record: TraceRecord, from: Nanoseconds, _ isNested: Bool) {
    guard correctionCount < Self.correctionsMax else { return }
    let correction = Correction(from: from, until: record.time, isNested: isNested)
    corrections[record.tid, default: []].append(correction)
    correctionCount += 1
  }

  private mutating func grow(to thread: ThreadIndex) {
    while threads.count <= thread.position { threads.append(Thread()) }
  }
}
