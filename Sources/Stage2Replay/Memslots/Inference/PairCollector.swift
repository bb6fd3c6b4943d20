internal import KVMTrace
internal import KVMTypes

/// Finds faults whose cause can be named, in one pass over a trace, in bounded memory.
///
/// Faults speak of guest addresses and notifiers of host addresses; no event has both. But a notifier is the only thing
/// that unmaps a frame or clears its access flag while its slot stays. So
///
/// - a translation fault on a frame that was mapped before means that one of the unmaps since then covers the frame.
///   That it was mapped is proven by a permission or access flag fault on it, or by a translation fault that performed
///   its map for certain: no unmap was under way.
/// - an access flag fault on a frame whose flag was set before means that one of the ages since then covers it. A map
///   sets the flag, and so does an access flag fault.
///
/// Everything is kept by thread, which is sound whichever VM the threads run. What can mislead is what leaves no event:
/// a slot that is deleted or moved, and a thread that goes on to another VM.
struct PairCollector {
  private struct Thread {
    var tid: ThreadID
    /// The place of its last kvm_entry.
    var entry = FrameStates.Moment(sequence: 0, time: Nanoseconds(0))
    var fault: OpenFault?
    /// Its last event was an unmap, which may not have been carried out yet.
    var isUnmapping = false
  }

  private struct OpenFault {
    var gfn: GFN
    var kind: FaultKind
    /// Of the leaf that faulted, nil where the event does not tell it.
    var level: TranslationLevel?
    var moment: FrameStates.Moment
    /// No unmap was under way when the vCPU faulted.
    var wasQuiet: Bool
    var sawMMIO = false
  }

  private(set) var pairs: FaultPairs
  private(set) var memory = FaultedMemory()
  private let pageSize: PageSize
  private var unmaps = HostRangeHistory()
  private var ages = HostRangeHistory()
  private var pages = FrameStates()
  private var blocks = FrameStates()
  private var threads: [Thread] = []
  private var threadTable = ThreadTable()
  private var unmappingThreads = 0
  private var lastUnmap: UInt64 = 0
  private var sequence: UInt64 = 0
  /// Whether the trace has kvm_entry.
  private var sawEntry = false
  /// The place of each CPU's last event.
  private var lastSequences: [UInt64] = []

  init(pageSize: PageSize) {
    self.pageSize = pageSize
    pairs = FaultPairs(pageSize: pageSize)
  }

  mutating func consume(_ record: TraceRecord) {
    sequence += 1
    switch record.kind {
    case .entry:
      sawEntry = true
      guard let position = thread(record.tid) else { break }
      leaveMemoryManagement(position)
      closeFault(of: position)
      threads[position].entry = moment(record)
    case .guestFault: fault(record)
    case .mmio, .mmioNISV:
      guard let position = threadTable[record.tid] else { break }
      leaveMemoryManagement(position)
      threads[position].fault?.sawMMIO = true
    case .userspaceExit:
      guard let position = threadTable[record.tid] else { break }
      leaveMemoryManagement(position)
      // -EINTR only says that a signal came; any other error, that the fault came to nothing.
      let errno = record.userspaceExit.errno
      if errno < 0, errno != -4 { threads[position].fault = nil }
      closeFault(of: position)
    case .exit:
      guard let position = threadTable[record.tid] else { break }
      leaveMemoryManagement(position)
      closeFault(of: position)
    case .accessFault:
      if let position = threadTable[record.tid] { leaveMemoryManagement(position) }
    case .unmapHVARange, .setSPTEHVA:
      unmaps.append(wholePages(record.hvaRange), at: sequence)
      lastUnmap = sequence
      guard let position = thread(record.tid), !threads[position].isUnmapping else { break }
      threads[position].isUnmapping = true
      unmappingThreads += 1
    case .ageHVA:
      ages.append(wholePages(record.hvaRange), at: sequence)
      if let position = threadTable[record.tid] { leaveMemoryManagement(position) }
    case .lost: lose(record.cpu)
    default: break
    }
    note(record.cpu)
  }

  /// All events have been seen. Without kvm_entry nothing marks the end of a thread's last fault.
  mutating func finish() {
    guard !sawEntry else { return }
    for position in threads.indices { closeFault(of: position) }
  }

  // MARK: Faults

  private mutating func fault(_ record: TraceRecord) {
    guard let position = thread(record.tid), record.guestFault.ipa.rawValue < IPA.limit else { return }
    leaveMemoryManagement(position)
    closeFault(of: position)
    let event = record.guestFault
    let page = event.ipa.alignedDown(to: pageSize.bytes)
    let gfn = page.gfn(pageSize)
    let kind = event.esr.faultKind
    // Emulators report the level of the stage-1 table for a fault of its walk.
    let level = event.esr.isStage1Walk ? nil : event.esr.level
    let entry = threads[position].entry
    var state = pages[record.tid, gfn]
    switch kind {
    case .translation:
      if let since = state.mappedSince { pair(page, pageSize.bytes, since, unmaps, record) }
      state.mappedSince = nil
      state.youngSince = nil
    case .accessFlag:
      if level == .l3, let since = state.youngSince { pair(page, pageSize.bytes, since, ages, record) }
      if level == .l2, let since = blocks[record.tid, block(gfn)].youngSince {
        pair(page.alignedDown(to: pageSize.pmdBytes), pageSize.pmdBytes, since, ages, record)
      }
      state.mappedSince = entry
    case .permission: state.mappedSince = entry
    default: return
    }
    pages[record.tid, gfn] = state
    threads[position].fault = OpenFault(
      gfn: gfn, kind: kind, level: level, moment: moment(record),
      wasQuiet: unmappingThreads == 0 && lastUnmap < entry.sequence)
  }

  private mutating func pair(
    _ address: IPA, _ bytes: UInt64, _ since: FrameStates.Moment, _ history: HostRangeHistory,
    _ record: TraceRecord
  ) {
    // Before its first kvm_entry, and its first after a loss, nothing is known of a thread.
    guard since.sequence > 0 else { return }
    pairs.append(record.tid, address, bytes: bytes, since: since, in: history, at: sequence, record.time)
  }

  /// The window of a thread's fault ends: with its kvm_entry, or where that is missing with its next event.
  private mutating func closeFault(of position: Int) {
    guard let fault = threads[position].fault else { return }
    threads[position].fault = nil
    let tid = threads[position].tid
    var frames = FrameRange(start: fault.gfn, end: fault.gfn + 1)
    if fault.kind != .translation, fault.level == .l2 {
      let first = GFN(fault.gfn.rawValue & ~(pageSize.pagesPerPMD - 1))
      frames = FrameRange(start: first, end: first + pageSize.pagesPerPMD)
    }
    memory.add(tid, frames, isMemory: !fault.sawMMIO, pagesPerBlock: pageSize.pagesPerPMD)
    guard !fault.sawMMIO else { return }
    switch fault.kind {
    case .translation:
      if fault.wasQuiet, unmappingThreads == 0, lastUnmap < fault.moment.sequence {
        pages[tid, fault.gfn].mappedSince = fault.moment
      }
      pages[tid, fault.gfn].youngSince = fault.moment
      blocks[tid, block(fault.gfn)].youngSince = fault.moment
    case .accessFlag:
      pages[tid, fault.gfn].youngSince = fault.moment
      if fault.level == .l2 { blocks[tid, block(fault.gfn)].youngSince = fault.moment }
    default: break
    }
  }

  // MARK: Threads, places and losses

  private mutating func thread(_ tid: ThreadID) -> Int? {
    if let position = threadTable[tid] { return position }
    guard threadTable.insert(tid, position: threads.count) else { return nil }
    threads.append(Thread(tid: tid))
    return threads.count - 1
  }

  private mutating func leaveMemoryManagement(_ position: Int) {
    guard threads[position].isUnmapping else { return }
    threads[position].isUnmapping = false
    unmappingThreads -= 1
  }

  private func moment(_ record: TraceRecord) -> FrameStates.Moment {
    FrameStates.Moment(sequence: sequence, time: record.time)
  }

  private func block(_ gfn: GFN) -> GFN { GFN(gfn.rawValue / pageSize.pagesPerPMD) }

  private func wholePages(_ range: HVARange) -> HVARange { range.rounded(to: pageSize.bytes) }

  private mutating func note(_ cpu: CPUIndex) {
    let index = Int(cpu.rawValue)
    if index >= lastSequences.count {
      lastSequences.append(contentsOf: repeatElement(0, count: index + 1 - lastSequences.count))
    }
    lastSequences[index] = sequence
  }

  /// Events of a CPU are missing since its last one: anything may have been unmapped or aged meanwhile.
  private mutating func lose(_ cpu: CPUIndex) {
    let index = Int(cpu.rawValue)
    pairs.remove(from: index < lastSequences.count ? lastSequences[index] : 0)
    pages.removeAll()
    blocks.removeAll()
    for position in threads.indices {
      threads[position].fault = nil
      threads[position].entry.sequence = 0
    }
  }
}
