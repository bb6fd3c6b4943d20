internal import KVMTrace
internal import KVMTypes

// Events of any kind that are left out, doubled, or change places.

extension TraceMutator {
  /// A notifier's event is left out, one on which KVM walked a table.
  ///
  /// The host might as well not have touched that memory: then the table stayed as it was.
  mutating func drop(_ kind: EventKind) -> Found? {
    let changes = subject.execution.notifierChanges
    guard
      let record = randomRecord({ $0.kind == kind }),
      let affected = changes[subject.positions[record]], let vm = affected.first?.vm,
      affected.allSatisfy({ $0.vm == vm })
    else { return nil }
    var edit = TraceEdit()
    edit.removed = [record]
    let range = subject.trace.records[record].hvaRange
    return (
      edit, "left out \(kind) of \(String(range.start.rawValue, radix: 16))",
      witness(
        vm: vm, without: Set(affected.map(\.change)),
        removedUnmaps: kind == .unmapHVARange ? [subject.positions[record]] : [])
    )
  }

  /// Two neighbouring events of a vCPU's thread change places, times and CPUs apart.
  ///
  /// - Two returns of KVM_RUN: it returns at once when asked to (`immediate_exit`).
  /// - A notification and the return of KVM_RUN, while no fault is open: KVM may reclaim memory wherever it may
  ///   allocate, and so may the VMM.
  /// - Anything else: the loop of a vCPU's thread leaves no other order.
  mutating func swapThreadEvents() -> Found? {
    guard let (_, _, fault) = randomFault(), let thread = subject.threads[fault.tid], thread.count > 1 else {
      return nil
    }
    let records = subject.trace.records
    let place = below(thread.count - 1)
    let (first, second) = (thread[place], thread[place + 1])
    let (a, b) = (records[first], records[second])
    func isOfVCPU(_ kind: EventKind) -> Bool { !kind.isNotifier && kind != .commitMemoryRegion }
    guard a.kind != b.kind || !a.tellsSame(as: b), isOfVCPU(a.kind) || isOfVCPU(b.kind) else { return nil }
    if a.tellsSame(as: b) { return nil }
    var edit = TraceEdit()
    edit.replaced = [first: b.moved(to: a), second: a.moved(to: b)]
    let summary = "swapped \(a.kind) and \(b.kind) of a thread"

    let kinds = Set([a.kind, b.kind])
    let isAtReturn = kinds.contains(.userspaceExit) && (a.kind.isNotifier || b.kind.isNotifier)
    let position = subject.positions[first]
    let isInFault = subject.execution.vms.contains { vm in
      vm.faults.contains {
        $0.tid == fault.tid && $0.event < position && $0.end >= position && !$0.hasMMIO
      }
    }
    if kinds == [.userspaceExit] {
      return (edit, summary, .order("KVM_RUN returns with any reason"))
    }
    guard isAtReturn, !isInFault else { return (edit, summary, .none("a vCPU's thread has no such order")) }
    return (edit, summary, .order("the host notifies whenever it reclaims memory"))
  }

  /// An event is told twice.
  ///
  /// The host may notify twice of the same memory, and a KVM_RUN may return at once (`immediate_exit`). Nothing changes
  /// in between. Of a vCPU's other events, none can follow itself; nor can a slot go twice, or get flags that it has.
  mutating func duplicateEvent() -> Found? {
    guard
      let record = randomRecord({
        $0.kind.isOfKVM
          && !($0.kind == .commitMemoryRegion && $0.memslotCommit.change == .create)
      })
    else { return nil }
    let original = subject.trace.records[record]
    var edit = TraceEdit()
    edit.inserted = (record, [original])
    let isPossible = original.kind.isNotifier || original.kind == .userspaceExit
    return (
      edit, "doubled \(original.kind)",
      isPossible ? .order("it happens twice") : .none("\(original.kind) cannot follow itself")
    )
  }
}
