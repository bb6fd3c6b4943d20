internal import KVMTypes
internal import Stage2Replay

/// Fault windows as slices, each with the operation that it led to: that is known some thousand events later, so the windows wait
/// for it.
///
/// They wait in the order in which they ended, so those of a thread are written in the order of time. The replay settles each within
/// its lag of 4,096 records and some thousand steps: where `waitingMax` wait, the first of them led to nothing.
struct FaultSlices {
  /// So many wait at most: 3 MB.
  static let waitingMax = 1 << 14

  private struct End: Hashable {
    var tid: ThreadID
    var time: Nanoseconds
  }

  private struct Waiting {
    var fault: ObservedFault
    /// The number of the thread's last fault before it that ended at the same stamp, if that waits.
    var before: Int?
    /// The number of the thread's last fault before it.
    var beforeOfThread: Int?
    var operation: Stage2Operation?
    var takings: [TakenPages.Taking] = []
  }

  /// A ring: the fault of number n at n modulo its size.
  private var waiting: [Waiting?] = Array(repeating: nil, count: waitingMax)
  /// The number of the first that waits, and of the next one that comes.
  private var (first, next) = (0, 0)
  /// The number of a thread's last fault that ended at a stamp.
  private var last: [End: Int] = [:]
  /// The number of a thread's last fault.
  private var lastOfThread: [ThreadID: Int] = [:]
  /// Operations of windows that have not ended yet: what follows, such as a fault of another vCPU on the page, may show that a map
  /// is done long before its thread goes on.
  private var ahead: [ThreadID: Ahead] = [:]

  /// An operation whose fault is told later.
  private struct Ahead {
    var operation: Stage2Operation
    var takings: [TakenPages.Taking]
  }

  /// A window has ended.
  mutating func add(_ fault: ObservedFault, to tree: TrackTree) throws {
    if next - first == Self.waitingMax { try writeFirst(to: tree) }
    var entry = Waiting(fault: fault, beforeOfThread: lastOfThread[fault.tid])
    lastOfThread[fault.tid] = next
    if let time = fault.end {
      let end = End(tid: fault.tid, time: time)
      entry.before = last[end]
      last[end] = next
    }
    if let early = ahead.removeValue(forKey: fault.tid) {
      if isOf(fault, early.operation) {
        entry.operation = early.operation
        entry.takings = early.takings.filter { $0.time <= fault.begin }
      } else {
        try tree.add(early.operation)
      }
    }
    waiting[next % Self.waitingMax] = entry
    next += 1
  }

  /// An operation of a fault is known.
  ///
  /// - Parameter takings: finds the unmaps that took away what it maps, before a moment.
  /// - Returns: whether the fault waited for it.
  mutating func attach(
    _ operation: Stage2Operation, _ takings: (_ begin: Nanoseconds) -> [TakenPages.Taking]
  ) -> Bool {
    guard let number = number(for: operation) ?? numberAround(operation) else { return false }
    let place = number % Self.waitingMax
    waiting[place]!.operation = operation
    waiting[place]!.takings = takings(waiting[place]!.fault.begin)
    return true
  }

  /// An operation of a fault is known that has not been told.
  mutating func keep(
    _ operation: Stage2Operation, _ takings: [TakenPages.Taking], for tree: TrackTree
  ) throws {
    let other = ahead.updateValue(Ahead(operation: operation, takings: takings), forKey: operation.tid)
    if let other { try tree.add(other.operation) }
  }

  /// Writes all that wait.
  mutating func finish(_ tree: TrackTree) throws {
    while first < next { try writeFirst(to: tree) }
    for early in ahead.values.sorted(by: {
      ($0.operation.time, $0.operation.tid) < ($1.operation.time, $1.operation.tid)
    }) {
      try tree.add(early.operation)
    }
    ahead = [:]
  }

  /// Whether an operation lies in a fault's window.
  private func isOf(_ fault: ObservedFault, _ operation: Stage2Operation) -> Bool {
    fault.vm == operation.vm && fault.begin <= operation.time
      && fault.end.map { operation.time <= $0 } ?? true
  }

  /// The fault that an operation is of: by a coarse clock several may have ended at its stamp, and the first of them without an
  /// operation is it, of those on the page if there is any.
  private func number(for operation: Stage2Operation) -> Int? {
    var found: (number: Int, isOnPage: Bool)?
    var candidate = last[End(tid: operation.tid, time: operation.time)]
    while let number = candidate, number >= first, let entry = waiting[number % Self.waitingMax] {
      candidate = entry.before
      guard entry.fault.vm == operation.vm, entry.operation == nil else { continue }
      let isOnPage =
        entry.fault.ipa >= operation.address
        && entry.fault.ipa.rawValue - operation.address.rawValue < max(operation.size, 4096)
      if isOnPage || !(found?.isOnPage ?? false) { found = (number, isOnPage) }
    }
    return found?.number
  }

  /// The fault in whose window an operation lies: those of a thread follow each other.
  private func numberAround(_ operation: Stage2Operation) -> Int? {
    var candidate = lastOfThread[operation.tid]
    while let number = candidate, number >= first, let entry = waiting[number % Self.waitingMax] {
      if entry.operation == nil, isOf(entry.fault, operation) { return number }
      if entry.fault.begin <= operation.time { return nil }
      candidate = entry.beforeOfThread
    }
    return nil
  }

  private mutating func writeFirst(to tree: TrackTree) throws {
    let place = first % Self.waitingMax
    guard let entry = waiting[place] else { return }
    waiting[place] = nil
    if let time = entry.fault.end {
      let end = End(tid: entry.fault.tid, time: time)
      if last[end] == first { last[end] = nil }
    }
    first += 1
    try write(entry, to: tree)
  }

  private func write(_ entry: Waiting, to tree: TrackTree) throws {
    let fault = entry.fault
    let thread = try tree.thread(fault.tid, ofVM: fault.vm, vcpu: fault.vcpu)
    try tree.slice(.faults, of: thread, from: fault.begin, to: fault.end) { event in
      event.varint(EventField.categoryIIDs, Category.fault.rawValue)
      event.varint(EventField.nameIID, (fault.isMMIO ? EventName.device : EventName(fault.kind)).rawValue)
      event.argument(.ipa, fault.ipa)
      if let level = fault.level { event.argument(.level, signed: Int64(level.rawValue)) }
      event.argument(.access, fault.isExec ? .exec : fault.isWrite ? .write : .read)
      event.argument(.cpu, UInt64(fault.cpu.rawValue))
      if !fault.isInSlot, !fault.isMMIO { event.flag(.noSlot) }
      for taking in entry.takings { event.fixed64(EventField.flowIDs, taking.flow) }
      if let taking = entry.takings.first, let operation = entry.operation {
        event.argument(.afterUnmap, Word(max(taking.basis, operation.basis)))
        event.argument(.unmappedFor, fault.begin.rawValue - taking.time.rawValue)
      }
      // Who ends the slice does not know what it led to.
      if fault.end == nil, let operation = entry.operation { event.outcome(of: operation) }
    } atEnd: { event in
      if !fault.isEndSeen { event.flag(.endUnseen) }
      if let operation = entry.operation { event.outcome(of: operation) }
    }
  }
}

extension WireBuffer {
  /// What an operation was, for the fault that led to it.
  fileprivate mutating func outcome(of operation: Stage2Operation) {
    argument(.operation, word: OperationWord.name(operation.kind))
    if operation.size > 0 { argument(.size, operation.size) }
    if let result = operation.result, result != 0 { argument(.result, signed: Int64(result)) }
    argument(.basis, Word(operation.basis))
  }
}
