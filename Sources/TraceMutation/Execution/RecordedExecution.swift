internal import KVMTrace
package import KVMTypes
internal import Stage2Model
package import Stage2Replay

/// What a host did according to a recording's probes: which faults its vCPUs took, and every change of every table.
///
/// The replay is asked for two things only, which a mutation does not touch: which VM a thread runs, and the level at
/// which walks start.
package struct RecordedExecution {
  /// What happened to one VM.
  package struct VM {
    package var changes: [TableChange] = []
    package var faults: [ObservedFault] = []
  }

  package let pageSize: PageSize
  package let startLevel: TranslationLevel
  package let isPKVM: Bool
  package private(set) var vms: [VM]
  package private(set) var unmaps: [ObservedUnmap] = []
  /// For a notifier's event, the VM and the changes that it led to.
  package private(set) var notifierChanges: [Position: [(vm: Int, change: Int)]] = [:]

  private(set) var slots = SlotHistory()

  /// How far the positions of neighbouring records lie apart.
  package static let stride = 16

  private struct Call {
    var record: TraceRecord
    var position: Position
  }

  private struct Thread {
    var entry: Position = 0
    var exit: Position = 0
    var fault: ObservedFault?
    var calls: [Call] = []
    /// A call whose return is not recorded ends with the thread's next event.
    var youngCall: (vm: Int, change: Int)?
    var openUnmaps: [Int] = []
    var notifier: Position?
  }

  /// Reads the execution off `trace`, which has operation probes, with what its replay found.
  package init(_ trace: MemoryTrace, _ replayed: ReplayResult) throws {
    pageSize = replayed.profile.pageSize
    startLevel = try replayed.profile.profile.geometry().startLevel
    isPKVM = replayed.profile.isPKVM
    vms = Array(repeating: VM(), count: replayed.vms.count)
    var builder = Builder(spans: replayed.vcpuSpans, uname: trace.uname, pageSize: pageSize)
    for (index, record) in trace.records.enumerated() {
      builder.consume(record, at: (index + 1) * Self.stride, into: &self)
    }
    let end = (trace.records.count + 1) * Self.stride
    builder.finish(at: end, into: &self)
  }

  /// The faults that the recorded changes of their VM do not allow: none, unless this type knows too little.
  package func impossibleFaults(vm: Int) -> [ObservedFault] {
    check(vms[vm].changes, vms[vm].faults)
  }

  /// The faults that a table with these changes does not allow.
  package func check(_ changes: [TableChange], _ faults: [ObservedFault]) -> [ObservedFault] {
    let history = TableHistory(changes, pageSize: pageSize, startLevel: startLevel)
    return faults.filter { !history.allows($0) }
  }

  /// Whether a fault that came to nothing would have had no cause to, because the unmaps are not there that had been:
  /// `mmu_invalidate_retry` asks for one that was under way since the fault looked at the host's table.
  func leavesRetryWithoutUnmap(_ execution: VMExecution) -> Bool {
    if execution.removedUnmaps.isEmpty { return false }
    return execution.faults.contains { fault in
      guard fault.isRetried else { return false }
      let inReach = unmaps.filter { $0.canRetry(fault) }
      return !inReach.isEmpty && inReach.allSatisfy { execution.removedUnmaps.contains($0.event) }
    }
  }

  // MARK: Building

  private struct Builder {
    var threads: [ThreadID: Thread] = [:]
    var spans: [ThreadID: [VCPUSpan]]
    var vmsOfTables: [KernelAddress: Int] = [:]
    let hasEarlyProtBits: Bool
    let pageSize: PageSize

    init(spans: [VCPUSpan], uname: String, pageSize: PageSize) {
      self.spans = Dictionary(grouping: spans, by: \.tid)
      self.pageSize = pageSize
      let version = uname.split(separator: " ").dropFirst(2).first?.split(separator: ".") ?? []
      let (major, minor) = (
        version.first.flatMap { Int($0) } ?? 0, version.dropFirst().first.flatMap { Int($0) } ?? 0
      )
      hasEarlyProtBits = (major, minor) < (6, 19)
    }

    func vm(of record: TraceRecord) -> Int? { spans[record.tid]?.last { $0.since <= record.time }?.vm }

    mutating func consume(
      _ record: TraceRecord, at position: Position, into execution: inout RecordedExecution
    ) {
      var thread = threads.removeValue(forKey: record.tid) ?? Thread()
      defer { threads[record.tid] = thread }
      if let (vm, change) = thread.youngCall {
        execution.vms[vm].changes[change].to = position
        thread.youngCall = nil
      }
      if !record.kind.isOperationProbe, record.kind != .unmapHVARange {
        for unmap in thread.openUnmaps { execution.unmaps[unmap].end = position }
        thread.openUnmaps = []
      }
      switch record.kind {
      case .entry:
        close(&thread, at: position, into: &execution)
        thread.entry = position
      case .exit: thread.exit = position
      case .userspaceExit:
        if record.userspaceExit.errno < 0, record.userspaceExit.errno != -4 { thread.fault?.hasFailed = true }
        close(&thread, at: position, into: &execution)
      case .guestFault:
        close(&thread, at: position, into: &execution)
        guard let vm = vm(of: record) else { return }
        thread.fault = ObservedFault(
          vm: vm, tid: record.tid, cpu: record.cpu, fault: record.guestFault, entry: thread.entry,
          trap: thread.exit, event: position, end: .max)
      case .commitMemoryRegion, .initVM, .destroyVM: execution.slots.consume(record, at: position)
      case .mmio, .mmioNISV: thread.fault?.hasMMIO = true
      case .accessFault: thread.fault?.hasAccessFaultEvent = true
      case .unmapHVARange, .ageHVA, .testAgeHVA:
        thread.notifier = position
        if record.kind == .unmapHVARange {
          thread.fault?.hasOwnUnmap = true
          thread.openUnmaps.append(execution.unmaps.count)
          execution.unmaps.append(ObservedUnmap(tid: record.tid, event: position, end: .max))
        }
        return
      case .probeMap, .probeUnmap, .probeWrprotect, .probeTestClearYoung, .probeRelaxPerms:
        thread.calls.append(Call(record: record, position: position))
        return
      case .probeMapReturn, .probeUnmapReturn, .probeWrprotectReturn, .probeTestClearYoungReturn,
        .probeRelaxPermsReturn:
        guard let call = thread.calls.popLast() else { return }
        add(call, until: position, result: record.probedReturn, &thread, into: &execution)
        return
      case .probeMkyoung:
        add(
          Call(record: record, position: position), until: position + 1, result: 0, &thread, into: &execution)
        return
      default: return
      }
      thread.notifier = nil
    }

    mutating func finish(at position: Position, into execution: inout RecordedExecution) {
      for tid in threads.keys { close(&threads[tid]!, at: position, into: &execution) }
      for vm in execution.vms.indices { execution.vms[vm].faults.sort { $0.event < $1.event } }
      boundUnmaps(of: &execution)
    }

    /// An unmap that hits a VM is over once a fault that began after it has got through: `mmu_invalidate_retry` lets
    /// none through meanwhile. One that hits none concerns no fault.
    private func boundUnmaps(of execution: inout RecordedExecution) {
      let performed = execution.vms.map { vm in
        vm.faults.filter { !$0.changes.isEmpty && $0.fault.esr.faultKind != .accessFlag }
      }
      execution.unmaps = execution.unmaps.compactMap { unmap in
        guard let (vm, change) = execution.notifierChanges[unmap.event]?.last else { return nil }
        let operated = execution.vms[vm].changes[change].to
        var unmap = unmap
        let next = performed[vm].first { $0.event > operated }
        (unmap.vm, unmap.limit) = (vm, unmap.end)
        if let next { unmap.end = min(unmap.end, next.end) }
        return unmap
      }
    }

    private func close(
      _ thread: inout Thread, at position: Position, into execution: inout RecordedExecution
    ) {
      guard var fault = thread.fault else { return }
      thread.fault = nil
      fault.end = position
      execution.vms[fault.vm].faults.append(fault)
    }

    /// A stage-2 function returned.
    private mutating func add(
      _ call: Call, until position: Position, result: Int64, _ thread: inout Thread,
      into execution: inout RecordedExecution
    ) {
      let probed = call.record.probedOperation
      let known = thread.fault?.vm ?? vmsOfTables[probed.pageTable]
      guard let vm = known else { return }
      vmsOfTables[probed.pageTable] = vm
      let isError = Int32(truncatingIfNeeded: result) < 0
      let prot = probed.prot.map { hasEarlyProtBits ? Stage2Prot(beforeXNX: $0) : $0 } ?? []
      let first = probed.address.gfn(pageSize).rawValue
      let count = max(probed.size >> pageSize.shift, 1)
      let kind: TableChange.Kind? =
        switch call.record.kind {
        case .probeMap: isError ? nil : .map(prot: prot)
        case .probeUnmap: .unmap
        case .probeWrprotect: .writeProtect
        case .probeTestClearYoung: probed.markOld ? .makeOld : nil
        case .probeRelaxPerms: isError ? nil : .relax(prot: prot)
        default: .makeYoung
        }
      let change = TableChange(
        kind: kind ?? .makeYoung, frames: kind == nil ? first..<first : first..<(first + count),
        tid: call.record.tid, cpu: call.record.cpu, from: call.position, to: position)
      let index = execution.vms[vm].changes.count
      execution.vms[vm].changes.append(change)
      if call.record.kind == .probeMkyoung { thread.youngCall = (vm, index) }
      if let notifier = thread.notifier {
        execution.notifierChanges[notifier, default: []].append((vm, index))
      } else {
        thread.fault?.changes.append(index)
      }
    }
  }
}
