internal import KVMTypes
internal import Stage2Replay

/// Fault windows as slices, each with the operation that it led to.
struct FaultSlices {
  private var pairs = FaultsWithOperations()
  /// The unmaps that took away what an operation maps, by the operation's number, for those that wait.
  private var takings: [Int: [TakenPages.Taking]] = [:]
  /// How many operations there were.
  private var count = 0

  /// The host's pages.
  var pageSize: PageSize {
    get { pairs.pageSize }
    set { pairs.pageSize = newValue }
  }

  /// A window has ended.
  mutating func add(_ fault: ObservedFault, to tree: TrackTree) throws {
    var settled: [FaultsWithOperations.Settled] = []
    pairs.add(fault) { settled.append($0) }
    try write(settled, to: tree)
  }

  /// An operation of a fault is known.
  ///
  /// - Parameter takings: finds the unmaps that took away what it maps, before a moment.
  /// - Returns: whether the fault waited for it.
  mutating func attach(
    _ operation: Stage2Operation, _ takings: (_ begin: Nanoseconds) -> [TakenPages.Taking]
  ) -> Bool {
    guard let fault = pairs.attach(operation, note: count) else { return false }
    note(takings(fault.begin))
    return true
  }

  /// An operation of a fault is known that has not been told.
  mutating func keep(
    _ operation: Stage2Operation, _ takings: [TakenPages.Taking], for tree: TrackTree
  ) throws {
    var settled: [FaultsWithOperations.Settled] = []
    pairs.keep(operation, note: count) { settled.append($0) }
    note(takings)
    try write(settled, to: tree)
  }

  /// Writes all that wait.
  mutating func finish(_ tree: TrackTree) throws {
    var settled: [FaultsWithOperations.Settled] = []
    pairs.finish { settled.append($0) }
    try write(settled, to: tree)
  }

  private mutating func note(_ found: [TakenPages.Taking]) {
    if !found.isEmpty { takings[count] = found }
    count += 1
  }

  private mutating func write(_ settled: [FaultsWithOperations.Settled], to tree: TrackTree) throws {
    for settled in settled {
      switch settled {
      case .fault(let fault, let led):
        let found = led.flatMap { takings.removeValue(forKey: $0.note) } ?? []
        try write(fault, led?.operation, found.filter { $0.time <= fault.begin }, to: tree)
      case .operation(let led):
        takings[led.note] = nil
        try tree.add(led.operation)
      }
    }
  }

  private func write(
    _ fault: ObservedFault, _ operation: Stage2Operation?, _ takings: [TakenPages.Taking], to tree: TrackTree
  ) throws {
    let thread = try tree.thread(fault.tid, ofVM: fault.vm, vcpu: fault.vcpu)
    try tree.slice(.faults, of: thread, from: fault.begin, to: fault.end) { event in
      event.varint(EventField.categoryIIDs, Category.fault.rawValue)
      event.varint(EventField.nameIID, (fault.isMMIO ? EventName.device : EventName(fault.kind)).rawValue)
      event.argument(.ipa, fault.ipa)
      if let level = fault.level { event.argument(.level, signed: Int64(level.rawValue)) }
      event.argument(.access, fault.isExec ? .exec : fault.isWrite ? .write : .read)
      event.argument(.cpu, UInt64(fault.cpu.rawValue))
      if !fault.isInSlot, !fault.isMMIO { event.flag(.noSlot) }
      for taking in takings { event.fixed64(EventField.flowIDs, taking.flow) }
      if let taking = takings.first, let operation {
        event.argument(.afterUnmap, Word(max(taking.basis, operation.basis)))
        event.argument(.unmappedFor, fault.begin.rawValue - taking.time.rawValue)
      }
      // Who ends the slice does not know what it led to.
      if fault.end == nil, let operation { event.outcome(of: operation) }
    } atEnd: { event in
      if !fault.isEndSeen { event.flag(.endUnseen) }
      if let operation { event.outcome(of: operation) }
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
