internal import KVMTrace
internal import KVMTypes
package import Stage2Replay

/// A recording that is to be changed: its events without the probes, and its execution as the probes tell it.
package struct MutationSubject {
  /// The recording without probes.
  package let trace: MemoryTrace
  package let execution: RecordedExecution
  /// The position of each record in the execution.
  let positions: [Position]
  /// The records of each thread that takes faults.
  let threads: [ThreadID: [Int]]
  /// All faults, as VM and index there.
  let faults: [(vm: Int, index: Int)]
  let histories: [TableHistory]
  /// Unexplained divergences of the recording as it was.
  let cleanDivergences: Int

  /// Reads a recording with operation probes.
  package init(_ recording: MemoryTrace, replayed: ReplayResult) throws {
    let execution = try RecordedExecution(recording, replayed)
    self.execution = execution
    var records: [TraceRecord] = []
    var positions: [Position] = []
    var threads: [ThreadID: [Int]] = [:]
    for (index, record) in recording.records.enumerated() where !record.kind.isOperationProbe {
      // Waits for locks are no part of what is changed.
      if record.kind.isOfKVM { threads[record.tid, default: []].append(records.count) }
      records.append(record)
      positions.append((index + 1) * RecordedExecution.stride)
    }
    var trace = recording.with(records)
    trace.hasOperationProbes = false
    self.trace = trace
    self.positions = positions
    cleanDivergences = replayed.divergences.unexplained
    let vcpus = Set(replayed.vcpuSpans.map(\.tid))
    self.threads = threads.filter { vcpus.contains($0.key) }
    faults = execution.vms.enumerated().flatMap { vm, each in each.faults.indices.map { (vm, $0) } }
    histories = execution.vms.map {
      TableHistory($0.changes, pageSize: execution.pageSize, startLevel: execution.startLevel)
    }
  }

  /// The record at a position of the execution.
  func record(at position: Position) -> Int {
    positions.partitioningIndex { $0 >= position }
  }

  /// The place of a record among those of its thread.
  func place(of record: Int, in thread: [Int]) -> Int {
    thread.partitioningIndex { $0 >= record }
  }
}

extension EventKind {
  /// Whether the event is KVM's own, and told of a vCPU, of the MMU notifier or of memslots.
  var isOfKVM: Bool {
    switch self {
    case .entry, .exit, .guestFault, .accessFault, .mmio, .mmioNISV, .userspaceExit, .unmapHVARange, .ageHVA,
      .testAgeHVA, .commitMemoryRegion:
      true
    default: false
    }
  }

  var isNotifier: Bool { self == .unmapHVARange || self == .ageHVA || self == .testAgeHVA }
}
