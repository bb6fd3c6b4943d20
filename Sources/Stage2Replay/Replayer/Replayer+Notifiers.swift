internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

// The MMU notifier's events: kvm_unmap_hva_range, kvm_age_hva, kvm_test_age_hva. They speak of host addresses, come
// from whatever thread changes the host's table, and are emitted once for every VM of the address space.

extension Replayer where Backend: ~Copyable {
  mutating func notifier(_ record: TraceRecord, _ kind: TimelineNode.Kind) {
    guard let position = thread(record.tid) else { return }
    reach(position)
    note(threads[position].order.other(), position, record)
    let range = record.hvaRange
    guard range.start < range.end else { return }
    if record.kind == .unmapHVARange { checkAlone(unmap: range, position, record) }
    let isCopy = countRun(of: record.kind, range, position)
    // Which of the copies was this VM's is not known: they are one place in the thread's stream.
    if !isCopy { threads[position].place.notifiers &+= 1 }
    threads[position].lastNotification = sequence
    if kind == .unmap {
      // Inside an invalidation only one that overlaps it can begin: a huge page splits while it is zapped.
      forgetUnmaps(of: position, unlike: range)
    } else {
      forgetUnmaps(of: position, unlike: nil)
    }

    var isOfSlot = false
    for vm in liveVMs {
      if vms[vm].creator == record.tid || threads[position].vm == vm { vms[vm].lastActivity = sequence }
      scratch.removeAll(keepingCapacity: true)
      vms[vm].slots.appendOverlaps(range, to: &scratch)
      // kvm_unmap_gfn_range and kvm_age_gfn leave a protected guest alone, and pkvm_mem_abort never retries.
      if vms[vm].isProtected {
        if !scratch.isEmpty { isOfSlot = true }
        continue
      }
      let process = scratch.isEmpty ? nil : process(of: range, position, vm: vm)
      guard !scratch.isEmpty, process != .another else {
        if kind == .unmap, vms[vm].hasUnplacedSlots { noteUnmapOfUnknownFrames(vm: vm) }
        continue
      }
      isOfSlot = true
      if kind == .unmap {
        vms[vm].lastUnmapEvent = sequence
        checkBeforeOwnUnmap(vm: vm, position, record)
        beginUnmap(vm: vm, range, position)
      }
      for frames in scratch {
        note(kind, frames, vm: vm, by: record.tid)
        if kind == .age { noteAge(frames, vm: vm, position) }
        guard !isCopy else { continue }
        let duringFault = kind != .unmap && hasOpenFault(around: frames, vm: vm)
        let action: PendingRecord.Action =
          switch kind {
          case .unmap: .unmap(frames)
          case .age: .age(frames, markOld: true, duringFault: duringFault)
          default: .age(frames, markOld: false, duringFault: duringFault)
          }
        var waiting = pending(action, vm: vm, record, threads[position].place)
        waiting.isElsewherePossible = process == .unknown
        enqueue(waiting)
      }
    }
    if !isOfSlot, !isCopy { unattributedNotifiers.add(kind) }
  }

  /// Whose memory a notifier's range is.
  private enum Process {
    case own, another, unknown
  }

  /// Whether a range in a VM's slots is that VM's memory. The address alone does not tell where VMMs run side by side:
  /// what one has at an address is not what another has there, and the events do not name their process.
  ///
  /// A VM's own threads change its own memory. Everybody else's, too, they change in reclaim, which unmaps one folio at
  /// a time: a block at most, and a power of two.
  private func process(of range: HVARange, _ position: Int, vm: Int) -> Process {
    let creator = vms[vm].creator
    let tid = threads[position].tid
    if creator == tid || threads[position].vm == vm { return .own }
    let isCreator = survey.creators.contains(tid)
    guard isCreator || liveVMs.contains(where: { vms[$0].creator != creator }) else { return .own }
    let own = threads[position].vm ?? settledVM(of: tid) ?? liveVMs.first { vms[$0].creator == tid }
    if let own, own == vm || vms[own].creator == creator { return .own }
    // The VM of a thread that creates one may have no slots yet, or none any more.
    if own == nil, !isCreator { return .unknown }
    let bytes = range.end - range.start
    let isFolio = bytes <= profile.pageSize.pmdBytes && bytes.nonzeroBitCount == 1
    return isFolio ? .unknown : .another
  }

  /// An unmap hits no slot whose host address is known, but perhaps one where it is not: any fault may be retried.
  private mutating func noteUnmapOfUnknownFrames(vm: Int) {
    for position in openThreads where threads[position].vm == vm {
      threads[position].openFault!.record.mayBeInvalidated = true
    }
  }

  /// Counts identical events of a thread in a row, and says whether this one is another VM's copy of the one before.
  ///
  /// Hardly anything ages or tests one page of an address space twice running: MGLRU and rmap visit an entry once, DAMON's
  /// regions are disjoint. So the length of such a run is the number of VMs in that address space, some of them
  /// perhaps without slots, such as the one with which a VMM tries out the kernel's features. (Blocks do repeat: DAMON
  /// can sample several addresses of one.) What MGLRU's walk visited last, reclaim may look at next: a run that is longer
  /// than many before it is two.
  private mutating func countRun(of kind: EventKind, _ range: HVARange, _ position: Int) -> Bool {
    let blockBytes = profile.pageSize.pmdBytes
    let isPage =
      kind != .unmapHVARange && range.end - range.start <= profile.pageSize.bytes
      && range.start.rawValue & (blockBytes - 1) != 0
    if let run = threads[position].run, run.kind == kind, run.range == range {
      threads[position].run!.count += 1
    } else {
      if let run = threads[position].run, run.isPage {
        copies.note(run.count, inOneProcess: isOneProcess)
      }
      threads[position].run = NotifierRun(kind: kind, range: range, count: 1, isPage: isPage)
    }
    let count = threads[position].run!.count
    if isPage, count > 1, !(copies.isSettled && isOneProcess) {
      copies.count = count
      return true
    }
    return (count - 1) % copies.count != 0
  }

  /// Whether all VMs are of one process.
  private var isOneProcess: Bool {
    guard let first = liveVMs.first else { return false }
    return liveVMs.allSatisfy { vms[$0].creator == vms[first].creator }
  }

  /// An unmap begins: faults whose windows are open may have to be retried because of it.
  private mutating func beginUnmap(vm: Int, _ range: HVARange, _ position: Int) {
    let unmap = UnfinishedUnmap(vm: vm, range: range.rounded(to: profile.pageSize.pmdBytes))
    if !threads[position].unfinishedUnmaps.contains(unmap) {
      if threads[position].unfinishedUnmaps.count == UnfinishedUnmap.nestingMax {
        let oldest = threads[position].unfinishedUnmaps.removeFirst()
        vms[oldest.vm].unfinishedUnmaps -= 1
        noteEnd(of: oldest, position)
      }
      vms[vm].unfinishedUnmaps += 1
      threads[position].unfinishedUnmaps.append(unmap)
      noteUnmap(unmap, of: scratch, position)
    }
    let isCopyOnWrite = threads[position].openFault != nil
    for other in openThreads where threads[other].vm == vm {
      if other == position {
        threads[other].openFault!.record.sawOwnUnmap = true
      } else {
        threads[other].openFault!.record.mayBeInvalidated = true
        if isCopyOnWrite { threads[other].openFault!.record.mayRaceCopyOnWrite = true }
      }
    }
  }

  /// Whether a fault is open in one of the regions that the frames touch.
  private func hasOpenFault(around frames: FrameRange, vm: Int) -> Bool {
    let first = timelines.block(frames.start)
    let last = timelines.block(GFN(frames.end.rawValue - 1))
    return openThreads.contains { position in
      guard threads[position].vm == vm, let open = threads[position].openFault else { return false }
      let block = timelines.block(open.record.page.gfn(profile.pageSize))
      return first <= block && block <= last
    }
  }

  private mutating func forgetUnmaps(of position: Int, unlike range: HVARange?) {
    guard !threads[position].unfinishedUnmaps.isEmpty else { return }
    let rounded = range?.rounded(to: profile.pageSize.pmdBytes)
    var kept: [UnfinishedUnmap] = []
    for unmap in threads[position].unfinishedUnmaps {
      if let rounded, rounded.start < unmap.range.end, unmap.range.start < rounded.end {
        kept.append(unmap)
      } else {
        vms[unmap.vm].unfinishedUnmaps -= 1
        noteEnd(of: unmap, position)
      }
    }
    threads[position].unfinishedUnmaps = kept
  }
}

extension HVARange {
  /// The range, rounded outwards to multiples of `bytes`.
  func rounded(to bytes: UInt64) -> HVARange {
    let (up, overflows) = end.rawValue.addingReportingOverflow(bytes - 1)
    return HVARange(
      start: HVA(start.rawValue & ~(bytes - 1)), end: HVA(overflows ? .max : up & ~(bytes - 1)))
  }
}
