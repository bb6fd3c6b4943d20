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
    /// Its last event was an unmap, which may not have been carried out yet.
    var isUnmapping = false
    /// No unmap was under way when its vCPU faulted.
    var wasQuiet = false
  }

  /// The unmaps that may be under way.
  private struct Unmapping {
    /// How many threads are at it.
    var threads = 0
    /// The place of the last one that began.
    var last = Sequence.start

    /// Whether none was under way at any moment since `sequence`.
    func isNone(since sequence: Sequence) -> Bool { threads == 0 && last < sequence }
  }

  /// What notifiers told of.
  private struct Changes {
    var unmaps = HostRangeHistory()
    var ages = HostRangeHistory()
  }

  /// What is known of frames, one by one and in blocks.
  private struct Frames {
    var pages = FrameStates()
    var blocks = FrameStates()

    mutating func removeAll() {
      pages.removeAll()
      blocks.removeAll()
    }
  }

  private(set) var pairs: FaultPairs
  private(set) var memory = FaultedMemory()
  private var separation: VCPUSeparation
  private let pageSize: PageSize
  private var changes = Changes()
  private var frames = Frames()
  /// By `ThreadIndex`.
  private var threads: ContiguousArray<Thread> = []
  private var unmapping = Unmapping()
  /// Whether the trace has kvm_entry.
  private var sawEntry = false
  /// Whether a vCPU ran.
  private(set) var sawVCPU = false
  /// The place of the last loss: of what threads did before, nothing is known any more.
  private var lastLoss = Sequence.start
  /// The place of each stream's last event.
  private var lastSequences = StreamTable(none: Sequence.start)

  init(pageSize: PageSize) {
    self.pageSize = pageSize
    pairs = FaultPairs(pageSize: pageSize)
    separation = VCPUSeparation(pageSize: pageSize)
  }

  /// Any event, and the windows of faults as they are before it begins one.
  mutating func consume(_ record: TraceRecord, _ windows: FaultWindows) {
    if let thread = windows.thread {
      while threads.count <= thread.position { threads.append(Thread()) }
    }
    switch record.kind {
    case .entry:
      sawEntry = true
      sawVCPU = true
      if let thread = windows.thread {
        leaveMemoryManagement(thread)
        separation.enter(thread)
      }
    case .guestFault:
      sawVCPU = true
      fault(record, windows)
    case .mmio, .mmioNISV, .userspaceExit, .exit, .accessFault:
      if let thread = windows.thread { leaveMemoryManagement(thread) }
    case .unmapHVARange, .setSPTEHVA:
      changes.unmaps.append(wholePages(record.hvaRange), at: windows.now)
      separation.takeAny()
      unmapping.last = windows.now
      guard let thread = windows.thread, !threads[thread.position].isUnmapping else { break }
      threads[thread.position].isUnmapping = true
      unmapping.threads += 1
    case .ageHVA:
      changes.ages.append(wholePages(record.hvaRange), at: windows.now)
      if let thread = windows.thread { leaveMemoryManagement(thread) }
    case .lost: lose(record.stream, at: windows.now)
    default: break
    }
    lastSequences[record.stream] = windows.now
  }

  /// All events have been seen. Without kvm_entry nothing marks the end of a thread's last fault.
  mutating func finish(_ windows: FaultWindows) {
    guard !sawEntry else { return }
    for thread in threads.indices.map({ ThreadIndex($0) }) where windows[thread].isOpen {
      close(windows[thread], thread, .unseen)
    }
  }

  // MARK: Faults

  private mutating func fault(_ record: TraceRecord, _ windows: FaultWindows) {
    guard let thread = windows.thread, record.guestFault.ipa.rawValue < IPA.limit else { return }
    leaveMemoryManagement(thread)
    let event = record.guestFault
    let page = event.ipa.alignedDown(to: pageSize.bytes)
    let gfn = page.gfn(pageSize)
    let kind = event.esr.faultKind
    let level = Self.level(event)
    // Before its first kvm_entry, and its first after a loss, nothing is known of a thread.
    let last = windows[thread].lastEntry
    let entry = last.sequence > lastLoss ? last : .start
    let now = windows.now
    var state = frames.pages[record.tid, gfn]
    separation.settle(thread, event.next(after: windows[thread].fault))
    separation.fault(gfn, kind == .translation ? level : nil, thread, at: record.time)
    switch kind {
    case .translation:
      if let since = state.mappedSince { pair(page, pageSize.bytes, since, changes.unmaps, record, now) }
      state.mappedSince = nil
      state.youngSince = nil
    case .accessFlag:
      if level == .l3, let since = state.youngSince {
        pair(page, pageSize.bytes, since, changes.ages, record, now)
      }
      if level == .l2, let since = frames.blocks[record.tid, block(gfn)].youngSince {
        pair(page.alignedDown(to: pageSize.pmdBytes), pageSize.pmdBytes, since, changes.ages, record, now)
      }
      state.mappedSince = entry
    case .permission: state.mappedSince = entry
    default: return
    }
    frames.pages[record.tid, gfn] = state
    threads[thread.position].wasQuiet = unmapping.isNone(since: entry.sequence)
  }

  private mutating func pair(
    _ address: IPA, _ bytes: UInt64, _ since: TraceMoment, _ history: HostRangeHistory,
    _ record: TraceRecord, _ now: Sequence
  ) {
    guard since.sequence > .start else { return }
    pairs.append(
      record.tid, address, bytes: bytes, since: since, in: history, at: TraceMoment(now, record.time))
  }

  /// The window of a thread's fault ended: with its kvm_entry, or where that is missing with its next event.
  mutating func close(_ window: FaultWindows.Window, _ thread: ThreadIndex, _ end: FaultWindows.End) {
    leaveMemoryManagement(thread)
    let kind = window.fault.esr.faultKind
    let isHandled = kind == .translation || kind == .accessFlag || kind == .permission
    guard isHandled, window.fault.ipa.rawValue < IPA.limit, window.begin.sequence > lastLoss, !end.isFailure
    else { return }
    let gfn = window.fault.ipa.gfn(pageSize)
    let level = Self.level(window.fault)
    var range = FrameRange(start: gfn, end: gfn + 1)
    if kind != .translation, level == .l2 {
      let first = GFN(gfn.rawValue & ~(pageSize.pagesPerPMD - 1))
      range = FrameRange(start: first, end: first + pageSize.pagesPerPMD)
    }
    let tid = window.tid
    memory.add(tid, range, isMemory: !window.sawMMIO, pagesPerBlock: pageSize.pagesPerPMD)
    guard !window.sawMMIO else { return }
    switch kind {
    case .translation:
      if unmapping.isNone(since: window.begin.sequence), threads[thread.position].wasQuiet {
        frames.pages[tid, gfn].mappedSince = window.begin
      }
      separation.end(gfn, thread)
      frames.pages[tid, gfn].youngSince = window.begin
      frames.blocks[tid, block(gfn)].youngSince = window.begin
    case .accessFlag:
      frames.pages[tid, gfn].youngSince = window.begin
      if level == .l2 { frames.blocks[tid, block(gfn)].youngSince = window.begin }
    default: break
    }
  }

  /// The level of the leaf that faulted, nil where the event does not tell it: emulators report the level of the stage-1
  /// table for a fault of its walk.
  private static func level(_ fault: GuestFault) -> TranslationLevel? {
    fault.esr.isStage1Walk ? nil : fault.esr.level
  }

  /// The threads that faulted, as those of as few VMs as possible.
  func guests(_ windows: FaultWindows) -> [InferredGuest] {
    separation.guests { windows[$0].tid }.map { threads in
      InferredGuest(
        tids: Set(threads.map { windows[$0].tid }),
        first: threads.compactMap(separation.firstFault).min() ?? Nanoseconds(0),
        last: threads.map { max(windows[$0].begin.time, windows[$0].lastEntry.time) }.max() ?? Nanoseconds(0))
    }
  }

  // MARK: Threads, places and losses

  private mutating func leaveMemoryManagement(_ thread: ThreadIndex) {
    guard threads[thread.position].isUnmapping else { return }
    threads[thread.position].isUnmapping = false
    unmapping.threads -= 1
  }

  private func block(_ gfn: GFN) -> GFN { GFN(gfn.rawValue / pageSize.pagesPerPMD) }

  private func wholePages(_ range: HVARange) -> HVARange { range.rounded(to: pageSize.bytes) }

  /// Events of a stream are missing since its last one: anything may have been unmapped or aged meanwhile.
  private mutating func lose(_ stream: StreamID, at now: Sequence) {
    pairs.remove(from: lastSequences[stream])
    frames.removeAll()
    separation.takeAny()
    lastLoss = now
  }
}
