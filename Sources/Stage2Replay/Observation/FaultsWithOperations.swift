public import KVMTypes

/// Fault windows, each with the operation that it led to: that is known some thousand events later, so the windows wait for it.
///
/// They wait in the order in which they ended, so those of a thread are settled in the order of time. The replay settles each within
/// its lag of 4,096 records and some thousand steps: where `waitingMax` wait, the first of them led to nothing.
public struct FaultsWithOperations {
  /// So many wait at most: 3 MB.
  public static let waitingMax = 1 << 14

  /// An operation, and what whoever gave it calls it.
  public struct Led: Hashable, Sendable {
    /// The operation.
    public var operation: Stage2Operation
    /// A number of the caller's.
    public var note: Int
  }

  /// What waits no more.
  public enum Settled: Hashable, Sendable {
    /// A fault, and what it led to.
    case fault(ObservedFault, Led?)
    /// An operation of a fault that nobody saw.
    case operation(Led)
  }

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
    var led: Led?
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
  private var ahead: [ThreadID: Led] = [:]

  /// The host's pages, of which a function of an address alone is about one. A replay says at its beginning.
  public var pageSize = PageSize.size4K

  /// Nothing waits.
  public init() {}

  /// A window has ended.
  ///
  /// - Parameter settle: takes what waits no more.
  public mutating func add(_ fault: ObservedFault, settle: (Settled) throws -> Void) rethrows {
    if next - first == Self.waitingMax { try settleFirst(settle) }
    var entry = Waiting(fault: fault, beforeOfThread: lastOfThread[fault.tid])
    lastOfThread[fault.tid] = next
    if let time = fault.end {
      let end = End(tid: fault.tid, time: time)
      entry.before = last[end]
      last[end] = next
    }
    if let early = ahead.removeValue(forKey: fault.tid) {
      if Self.isOf(fault, early.operation) {
        entry.led = early
      } else {
        try settle(.operation(early))
      }
    }
    waiting[next % Self.waitingMax] = entry
    next += 1
  }

  /// An operation of a fault is known (`map`, `relaxPerms` or `mkyoung`).
  ///
  /// - Returns: the fault that waited for it, nil where none did: then it is for `keep`.
  public mutating func attach(_ operation: Stage2Operation, note: Int) -> ObservedFault? {
    guard let number = number(for: operation) ?? numberAround(operation) else { return nil }
    let place = number % Self.waitingMax
    waiting[place]!.led = Led(operation: operation, note: note)
    return waiting[place]!.fault
  }

  /// An operation of a fault is known that has not been told.
  public mutating func keep(
    _ operation: Stage2Operation, note: Int, settle: (Settled) throws -> Void
  ) rethrows {
    let other = ahead.updateValue(Led(operation: operation, note: note), forKey: operation.tid)
    if let other { try settle(.operation(other)) }
  }

  /// Settles all that waits.
  public mutating func finish(settle: (Settled) throws -> Void) rethrows {
    while first < next { try settleFirst(settle) }
    for early in ahead.values.sorted(by: {
      ($0.operation.time, $0.operation.tid) < ($1.operation.time, $1.operation.tid)
    }) {
      try settle(.operation(early))
    }
    ahead = [:]
  }

  /// Whether an operation lies in a fault's window.
  private static func isOf(_ fault: ObservedFault, _ operation: Stage2Operation) -> Bool {
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
      guard entry.fault.vm == operation.vm, entry.led == nil else { continue }
      let isOnPage =
        entry.fault.ipa >= operation.address
        && entry.fault.ipa.rawValue - operation.address.rawValue < max(operation.size, pageSize.bytes)
      if isOnPage || !(found?.isOnPage ?? false) { found = (number, isOnPage) }
    }
    return found?.number
  }

  /// The fault in whose window an operation lies: those of a thread follow each other.
  private func numberAround(_ operation: Stage2Operation) -> Int? {
    var candidate = lastOfThread[operation.tid]
    while let number = candidate, number >= first, let entry = waiting[number % Self.waitingMax] {
      if entry.led == nil, Self.isOf(entry.fault, operation) { return number }
      if entry.fault.begin <= operation.time { return nil }
      candidate = entry.beforeOfThread
    }
    return nil
  }

  private mutating func settleFirst(_ settle: (Settled) throws -> Void) rethrows {
    let place = first % Self.waitingMax
    guard let entry = waiting[place] else { return }
    waiting[place] = nil
    if let time = entry.fault.end {
      let end = End(tid: entry.fault.tid, time: time)
      if last[end] == first { last[end] = nil }
    }
    first += 1
    try settle(.fault(entry.fault, entry.led))
  }
}
