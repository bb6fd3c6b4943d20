internal import KVMTypes
internal import Reporting
internal import Stage2Model
public import Stage2Replay

/// The rows of one recording that come while it is replayed.
public final class RecordingRows {
  private let position: Int
  private let vms: Set<Int>?
  private let measuresTime: Bool
  private let faults: Insertion
  private let operations: Insertion
  private let memory: Insertion
  private let holds: Insertion
  private let waits: Insertion
  private let divergences: Insertion
  private let numbers: RowNumbers
  private var pairs = FaultsWithOperations()
  private var isPKVM = false

  init(
    _ connection: Connection, _ position: Int, _ numbers: RowNumbers, vms: Set<Int>?, measuresTime: Bool
  ) throws {
    self.numbers = numbers
    (self.position, self.vms, self.measuresTime) = (position, vms, measuresTime)
    faults = try Insertion(
      connection, into: "faults",
      [
        "recording", "vm", "vcpu", "time_ns", "end_ns", "is_end_seen", "cpu", "tid", "ipa", "kind", "level",
        "access", "mmio", "in_slot", "operation_id",
      ])
    operations = try Insertion(
      connection, into: "operations",
      [
        "id", "recording", "vm", "time_ns", "cpu", "tid", "operation", "ipa", "size_bytes", "prot", "ret",
        "basis", "prot_basis",
      ])
    memory = try Insertion(
      connection, into: "memory",
      [
        "recording", "vm", "time_ns", "page_mappings", "block_mappings", "mapping_tree_bytes", "table_pages",
        "memcache_pages", "total_bytes",
      ])
    holds = try Insertion(
      connection, into: "lock_holds",
      ["recording", "vm", "time_ns", "held_ns", "mode", "cpu", "tid", "operation", "ipa", "size_bytes"])
    waits = try Insertion(
      connection, into: "lock_waits",
      [
        "recording", "vm", "time_ns", "waited_ns", "mode", "cpu", "tid", "operation", "ipa", "holder_tid",
        "holder_cpu", "holder_operation", "holder_ipa", "holder_size_bytes",
      ])
    divergences = try Insertion(
      connection, into: "divergence_events",
      ["recording", "rule", "verdict", "exception", "time_ns", "cpu", "tid", "vm", "ipa"])
  }

  /// What looks at a replay for the rows. Operations are for `add`.
  public var observer: ReplayObserver {
    var observer = ReplayObserver()
    observer.onBegin = {
      self.isPKVM = $0.isPKVM
      self.pairs.pageSize = $0.pageSize
    }
    observer.onFault = { fault in
      if self.isWanted(fault.vm) { try self.pairs.add(fault, settle: self.write) }
    }
    // Ticks tell nothing of how long a lock was held, and the report has no such times either.
    if measuresTime {
      observer.onHold = { if self.isWanted($0.vm) { try self.add($0.hold, ofVM: $0.vm) } }
      observer.onWait = { if self.isWanted($0.vm) { try self.add($0.wait, ofVM: $0.vm) } }
    }
    observer.onMemory = { if self.isWanted($0.vm) { try self.add($0) } }
    observer.onDivergence = { divergence in
      if divergence.vm.map(self.isWanted) ?? (self.vms == nil) { try self.add(divergence) }
    }
    return observer
  }

  /// An operation was performed.
  public func add(_ operation: Stage2Operation) throws {
    guard isWanted(operation.vm) else { return }
    let id = numbers.next()
    try write(operation, id)
    switch operation.kind {
    case .map, .relaxPerms, .mkyoung:
      if pairs.attach(operation, note: id) == nil { try pairs.keep(operation, note: id, settle: write) }
    case .unmap, .wrprotect, .testClearYoung, .flush, .split: break
    }
  }

  /// The replay is over: writes the faults that waited for what they led to.
  public func finish() throws { try pairs.finish(settle: write) }

  private func write(_ settled: FaultsWithOperations.Settled) throws {
    // Operations are written as they come.
    if case .fault(let fault, let led) = settled { try write(fault, led?.note) }
  }

  private func write(_ operation: Stage2Operation, _ id: Int) throws {
    try operations.add(id)
    try operations.add(position)
    try operations.add(operation.vm)
    try operations.add(operation.time.rawValue)
    try operations.add(operation.cpu.rawValue)
    try operations.add(operation.tid.rawValue)
    try operations.add(operation.kind.name)
    try operations.add(operation.address.rawValue)
    try operations.add(Self.size(operation.size))
    try operations.add(operation.prot?.rawValue)
    try operations.add(operation.result)
    try operations.add(operation.basis.name)
    try operations.add(operation.prot == nil ? nil : operation.protBasis?.name)
    try operations.end()
  }

  private func write(_ fault: ObservedFault, _ operation: Int?) throws {
    try faults.add(position)
    try faults.add(fault.vm)
    try faults.add(fault.vcpu)
    try faults.add(fault.begin.rawValue)
    try faults.add(fault.end?.rawValue)
    try faults.add(fault.isEndSeen)
    try faults.add(fault.cpu.rawValue)
    try faults.add(fault.tid.rawValue)
    try faults.add(fault.ipa.rawValue)
    try faults.add(fault.kind.word)
    try faults.add(fault.level?.rawValue)
    try faults.add(fault.isExec ? "exec" : fault.isWrite ? "write" : "read")
    try faults.add(fault.isMMIO)
    try faults.add(fault.isInSlot)
    try faults.add(operation)
    try faults.end()
  }

  private func add(_ observed: ObservedMemory) throws {
    let sample = observed.sample
    try memory.add(position)
    try memory.add(observed.vm)
    try memory.add(observed.time.rawValue)
    try memory.add(isPKVM ? sample.pageMappings : nil)
    try memory.add(isPKVM ? sample.blockMappings : nil)
    try memory.add(isPKVM ? sample.mappingTreeBytes : nil)
    try memory.add(sample.tablePages)
    try memory.add(sample.memcachePages)
    try memory.add(sample.totalBytes)
    try memory.end()
  }

  private func add(_ hold: RecordedHold, ofVM vm: Int) throws {
    try holds.add(position)
    try holds.add(vm)
    try holds.add(hold.time.rawValue)
    try holds.add(hold.duration.rawValue)
    try holds.add(hold.mode.word)
    try holds.add(hold.cpu.rawValue)
    try holds.add(hold.tid.rawValue)
    try holds.add(hold.operation.kind.name)
    try holds.add(hold.operation.address.rawValue)
    try holds.add(Self.size(hold.operation.size))
    try holds.end()
  }

  private func add(_ wait: RecordedWait, ofVM vm: Int) throws {
    try waits.add(position)
    try waits.add(vm)
    try waits.add(wait.time.rawValue)
    try waits.add(wait.duration.rawValue)
    try waits.add(wait.mode.word)
    try waits.add(wait.cpu.rawValue)
    try waits.add(wait.tid.rawValue)
    try waits.add(wait.operation?.kind.name)
    try waits.add(wait.faultAddress?.rawValue)
    try waits.add(wait.holder?.tid.rawValue)
    try waits.add(wait.holder?.cpu.rawValue)
    try waits.add(wait.holder?.operation.kind.name)
    try waits.add(wait.holder?.operation.address.rawValue)
    try waits.add(wait.holder.flatMap { Self.size($0.operation.size) })
    try waits.end()
  }

  private func add(_ divergence: ObservedDivergence) throws {
    try divergences.add(position)
    try divergences.add(divergence.rule.word)
    try divergences.add(divergence.verdict.word)
    try divergences.add(divergence.exception?.word)
    try divergences.add(divergence.place.time.rawValue)
    try divergences.add(divergence.place.cpu.rawValue)
    try divergences.add(divergence.place.tid.rawValue)
    try divergences.add(divergence.vm)
    try divergences.add(divergence.place.ipa?.rawValue)
    try divergences.end()
  }

  private func isWanted(_ vm: Int) -> Bool { vms?.contains(vm) ?? true }

  /// A function of an address alone has no size.
  private static func size(_ bytes: UInt64) -> UInt64? { bytes == 0 ? nil : bytes }
}

/// The numbers of operations, over all recordings.
final class RowNumbers {
  private var last = 0

  func next() -> Int {
    last += 1
    return last
  }
}

extension FaultKind {
  /// As the report counts them.
  fileprivate var word: String {
    switch self {
    case .translation: "translation"
    case .permission: "permission"
    case .accessFlag: "accessFlag"
    case .addressSize: "addressSize"
    case .externalAbort: "externalAbort"
    case .exclusiveOrAtomic: "exclusiveOrAtomic"
    case .other: "other"
    }
  }
}
