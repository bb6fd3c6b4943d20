public import KVMTrace
public import KVMTypes

/// A pass over a trace that finds out what it tells of memslots: by probes, or by faults and notifiers that fit together.
///
/// A probe on `kvm_arch_commit_memory_region` tells what has happened and comes first; one on `kvm_set_memory_region` tells
/// what was asked for; without either, or on request, the slots are inferred. Memory is bounded by the slots that probes
/// record, and by about 20 MiB while nothing is recorded.
public struct MemslotSurvey: Sendable {
  /// The probes that told of memslots.
  private struct SeenProbes {
    private var commit = false
    private var request = false
    private var requestReturn = false

    mutating func insert(_ kind: EventKind) {
      switch kind {
      case .commitMemoryRegion: commit = true
      case .setMemoryRegion: request = true
      case .setMemoryRegionReturn: requestReturn = true
      default: break
      }
    }

    /// That which counts: what has happened before what was asked for.
    var best: MemslotProbe? {
      if commit { return .commits }
      return request ? requestReturn ? .requestsAndReturns : .requests : nil
    }
  }

  private let pageSize: PageSize
  private let infers: Bool
  private var seen = SeenProbes()
  private var collector: PairCollector
  /// Until a probe tells.
  private(set) var isCollecting = true
  /// Where nobody else keeps them.
  private var windows = FaultWindows()
  private var recorders: [MemslotProbe: MemslotRecorder] = [:]
  /// When the first probe told anything, if vCPUs had run before.
  private var ranUntil: Nanoseconds?
  private var sawLifeProbe = false
  /// Of the slots that commits tell of, those that were there before the trace began.
  private var earlier: MemslotRecorder
  /// The time of the last event, and how many of that time there were.
  private var moment = Nanoseconds(0)
  private var eventsOfMoment = 0

  /// A survey of a host with pages of `pageSize`.
  ///
  /// - Parameter infers: whether probes are left out of account.
  public init(pageSize: PageSize, infers: Bool = false) {
    self.init(pageSize: pageSize, infers: infers, recordsHistory: true)
  }

  init(pageSize: PageSize, infers: Bool, recordsHistory: Bool) {
    self.pageSize = pageSize
    self.infers = infers
    collector = PairCollector(pageSize: pageSize)
    earlier = MemslotRecorder(.commits, pageSize: pageSize, keepsAll: false)
    guard recordsHistory else { return }
    for probe in [MemslotProbe.commits, .requests, .requestsAndReturns] {
      recorders[probe] = MemslotRecorder(probe, pageSize: pageSize)
    }
  }

  /// Takes in consecutive events of one CPU.
  public mutating func consume(_ run: EventRun) {
    run.withRecords { records in
      for index in records.indices { consumeAlone(records[index]) }
    }
  }

  /// Any event, where nobody else keeps the windows of faults.
  private mutating func consumeAlone(_ record: TraceRecord) {
    if record.kind.isOperationProbe { return }
    if record.time != moment { (moment, eventsOfMoment) = (record.time, 0) }
    defer { eventsOfMoment += 1 }
    if let end = windows.end(by: record), let thread = windows.thread {
      close(windows[thread], thread, end)
    }
    consume(record, windows)
    windows.take(record)
  }

  /// The window of a thread's fault ended.
  mutating func close(_ window: FaultWindows.Window, _ thread: ThreadIndex, _ end: FaultWindows.End) {
    if isCollecting { collector.close(window, thread, end) }
  }

  /// Any event, and the windows of faults as they are before it begins one.
  @inline(__always)
  mutating func consume(_ record: TraceRecord, _ windows: FaultWindows) {
    if record.kind.isLifeProbe {
      consume(probe: record)
    } else {
      if record.kind == .lost { lose() }
      if isCollecting { collector.consume(record, windows) }
    }
  }

  /// Events are missing.
  mutating func lose() {
    earlier.lose()
    for probe in recorders.keys { recorders[probe]!.lose() }
  }

  private mutating func consume(probe record: TraceRecord) {
    guard !infers else { return }
    seen.insert(record.kind)
    if !sawLifeProbe, collector.sawVCPU { ranUntil = record.time }
    sawLifeProbe = true
    // Where a VM was running, probes may not tell all of its slots.
    if probe != nil, isCollecting, ranUntil == nil {
      isCollecting = false
      collector = PairCollector(pageSize: pageSize)
    }
    earlier.consume(record)
    for probe in recorders.keys { recorders[probe]!.consume(record, place: eventsOfMoment) }
  }

  /// The probe that tells, nil where none does.
  var probe: MemslotProbe? { seen.best }

  /// What a replay goes by, with the windows of faults as the pass left them.
  func source(_ windows: FaultWindows) -> MemslotSource {
    if let probe { return sourceOfRecorded(probe, windows) }
    return MemslotSource(probe: nil, history: inferred(windows), isInferred: true)
  }

  private func sourceOfRecorded(_ probe: MemslotProbe, _ windows: FaultWindows) -> MemslotSource {
    var source = MemslotSource(probe: probe, history: earlier.earlier)
    let guests = guestsBeforeProbes(windows)
    // Who asks for a slot does not say whether there was one.
    source.showsCreation =
      probe == .commits ? earlier.sawCreation(areRunning: guests?.areAll ?? false) : nil
    guard let guests else { return source }
    let completed = completed(guests)
    source.history = completed
    source.isCompleted = completed.vms.flatMap(\.slots).contains { $0.evidence != nil }
    return source
  }

  /// The guests that ran before the first probe told anything.
  private struct EarlyGuests {
    var inferred: MemslotHistory
    /// Whether no others come: whoever gets new slots is one that was running.
    var areAll: Bool
  }

  /// Nil where none ran.
  private func guestsBeforeProbes(_ windows: FaultWindows) -> EarlyGuests? {
    guard let ranUntil else { return nil }
    var collector = collector
    collector.finish(windows)
    let all = collector.guests(windows)
    let guests = all.filter { $0.first < ranUntil }
    return EarlyGuests(
      inferred: SlotInference(collector, pageSize: pageSize).history(of: guests),
      areAll: guests.count == all.count)
  }

  /// The VMs that were running before the first probe, with slots that are inferred where none is recorded.
  private func completed(_ guests: EarlyGuests) -> MemslotHistory {
    SlotCompletion(earlier.running(all: guests.areAll), pageSize: pageSize).history(with: guests.inferred.vms)
  }

  private func inferred(_ windows: FaultWindows) -> MemslotHistory {
    var collector = collector
    collector.finish(windows)
    return SlotInference(collector, pageSize: pageSize).history(of: collector.guests(windows))
  }

  /// The memslots, as far as the trace tells them.
  public var history: MemslotHistory {
    guard let probe, var history = recorders[probe]?.history else { return inferred(windows) }
    for vm in guestsBeforeProbes(windows).map({ completed($0) })?.vms ?? [] {
      if let kvm = vm.kvm, let place = history.vms.firstIndex(where: { $0.kvm == kvm }) {
        history.vms[place].complete(by: vm)
      } else if vm.slots.contains(where: { $0.evidence != nil }) {
        history.vms.append(vm)
      }
    }
    return history
  }
}

extension MemslotHistory.VM {
  /// Adds what was inferred of the time before the trace: who runs vCPUs, other slots, and the host memory of those of which
  /// no event told it.
  fileprivate mutating func complete(by other: Self) {
    tids = tids ?? other.tids
    isPartial = isPartial || other.isPartial
    for added in other.slots where added.evidence != nil {
      let same = slots.firstIndex {
        $0.from == nil && $0.slot.base == added.slot.base && $0.slot.pages == added.slot.pages
      }
      if let same {
        if slots[same].slot.hva == nil {
          (slots[same].slot.hva, slots[same].evidence) = (added.slot.hva, added.evidence)
        }
      } else {
        slots.append(added)
      }
    }
  }
}
