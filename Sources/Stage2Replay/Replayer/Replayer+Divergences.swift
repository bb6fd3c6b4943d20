internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

// What the divergence rules need when events come in: the order of each thread's events, which needs no model, and the
// evidence of a fault's window, which could not be gathered any more when the fault is applied.

extension Replayer where Backend: ~Copyable {
  // MARK: The order of a thread's events

  /// An event of a thread: what was known of its place before a gap in the trace is not known behind it.
  @inline(__always)
  mutating func reach(_ position: Int) {
    threads[position].lastEvent = sequence
    if threads[position].epoch != losses.epoch || losses.isInGap {
      threads[position].epoch = losses.epoch
      threads[position].order.forget()
      threads[position].ranOn = nil
    }
  }

  /// The rule about the order of a thread's events that an event broke, if it broke one.
  @inline(__always)
  mutating func note(_ rule: DivergenceRule?, _ position: Int, _ record: TraceRecord) {
    if let rule, recorded.loop, checksRules { noteBroken(rule, position, record) }
  }

  /// Whether a slot holds the address of the fault that a thread is handling, and is not on its way out.
  @inline(__always)
  func isFaultInSlot(_ position: Int) -> Bool { threads[position].openFault?.record.slot != nil }

  private mutating func noteBroken(_ rule: DivergenceRule, _ position: Int, _ record: TraceRecord) {
    let vm = threads[position].vm
    let ipa: IPA? =
      switch record.kind {
      case .guestFault: record.guestFault.ipa
      case .accessFault: record.accessFaultIPA
      case .mmio: record.mmio.address
      default: nil
      }
    let observed = DivergenceWords.event(record)
    divergences.note(.unexplained(rule), vm: vm, block: nil) { judgement in
      Divergence(
        rule: rule, verdict: judgement.verdict, exception: judgement.exception, time: record.time,
        cpu: record.cpu,
        tid: record.tid,
        vm: vm, ipa: ipa, expected: rule.statement, observed: observed, basis: .recorded, count: 1,
        state: nil,
        recentEvents: [])
    }
  }

  /// D9, D19 and D20: what an event must satisfy by itself.
  mutating func checkAlone(_ fault: GuestFault, _ position: Int, _ record: TraceRecord) {
    guard checksRules, let rule = SyndromeRules.check(fault.esr, fault.ipa) else { return }
    // What EL2 makes up for a protected guest lacks a bit in some kernels.
    if fault.isMemShare, let vm = threads[position].vm, vms[vm].isProtected { return }
    noteBroken(rule, position, record)
  }

  mutating func checkAlone(unmap range: HVARange, _ position: Int, _ record: TraceRecord) {
    if checksRules, !SyndromeRules.coversPages(start: range.start, end: range.end, profile.pageSize) {
      noteBroken(.notifierCoversPages, position, record)
    }
  }

  // MARK: Unmaps that began before the trace, or in a gap

  /// Whether every unmap that may be under way has been seen to begin.
  @inline(__always)
  func isSettled(_ vm: GuestVM<Backend>) -> Bool {
    vm.knownFrom == losses.epoch || vm.settledEpoch == losses.epoch
  }

  /// A thread faults again. If it got through its fault before, that was not made to retry, so no unmap was under way
  /// in its window (`mmu_invalidate_retry`).
  mutating func settle(_ position: Int, _ event: GuestFault) {
    guard let last = threads[position].lastFault, let vm = threads[position].vm, !isSettled(vms[vm]),
      !losses.isInGap, threads[position].entryEpoch == losses.epoch,
      threads[position].lastFaultEpoch == losses.epoch,
      event.next(after: last.event) == .progressed
    else { return }
    vms[vm].settledEpoch = losses.epoch
  }

  // MARK: The evidence of a fault's window

  /// What is known of a fault when it comes in.
  mutating func evidence(
    _ event: GuestFault, _ gfn: GFN, isInSlot: Bool, canHoldBlock: Bool, vm: Int, _ position: Int
  ) -> FaultEvidence {
    var evidence = FaultEvidence()
    evidence.entry = threads[position].lastEntry
    evidence.entryEpoch = threads[position].entryEpoch
    evidence.esr = event.esr
    evidence.ranOn = threads[position].ranOn
    let block = timelines.block(gfn)
    for other in openThreads where other != position && threads[other].vm == vm {
      guard threads[other].openFault?.record.slot != nil else { continue }
      evidence.peers.insert(.inVM)
      let page = threads[other].openFault!.record.page.gfn(profile.pageSize)
      guard timelines.block(page) == block else { continue }
      evidence.peers.insert(.inRegion)
      if page == gfn { evidence.peers.insert(.onPage) }
      let breaksBlock =
        threads[other].openFault!.record.kind == .permission && threads[other].openFault!.record.level == .l2
      if canHoldBlock || breaksBlock { evidence.peers.insert(.mayResize) }
    }
    guard isInSlot else { return evidence }
    evidence.region = vms[vm].regions.insert(gfn)
    // The age that a thread asked for last is under way until the thread does anything else.
    let region = vms[vm].regions[evidence.region]
    if region.lastAgeThread >= 0, threads[Int(region.lastAgeThread)].lastEvent == region.lastAge {
      evidence.mayBeAged = true
    }
    return evidence
  }

  /// The window of a fault ends: what was unmapped and aged in it is known now.
  mutating func completeEvidence(of fault: inout FaultRecord, vm: Int, on cpu: CPUIndex) {
    fault.evidence.endEpoch = losses.epoch
    fault.evidence.endedOn = cpu
    let entry = fault.evidence.entry
    if vms[vm].unfinishedUnmaps > 0 {
      fault.evidence.unmapOfVM = .underway
      let block = timelines.block(fault.page.gfn(profile.pageSize))
      if unmapsUnderway.contains(where: { $0.unmap.vm == vm && $0.first <= block && block <= $0.last }) {
        fault.evidence.unmapOfRegion = .underway
      }
    } else if vms[vm].lastUnmap > entry {
      fault.evidence.unmapOfVM = .ended
    }
    guard fault.evidence.region >= 0 else { return }
    let region = vms[vm].regions[fault.evidence.region]
    if fault.evidence.unmapOfRegion == .none, region.lastUnmap > entry {
      fault.evidence.unmapOfRegion = .ended
    }
    if region.lastAge > fault.begin { fault.evidence.mayBeAged = true }
  }

  /// A fault's own thread is about to unmap memory of its VM: the fault is held against the model as it is before.
  mutating func checkBeforeOwnUnmap(vm: Int, _ position: Int, _ record: TraceRecord) {
    guard threads[position].vm == vm, var fault = threads[position].openFault?.record,
      !fault.evidence.isChecked
    else { return }
    completeEvidence(of: &fault, vm: vm, on: record.cpu)
    threads[position].openFault!.record.evidence.isChecked = true
    enqueue(pending(.check(fault), vm: vm, record, threads[position].place))
  }

  // MARK: Unmaps and ages

  /// An unmap of the frames begins.
  mutating func noteUnmap(_ unmap: UnfinishedUnmap, of frames: [FrameRange], _ position: Int) {
    for range in frames {
      unmapsUnderway.append(
        UnmapUnderway(
          thread: position, unmap: unmap, first: timelines.block(range.start),
          last: timelines.block(GFN(range.end.rawValue - 1))))
    }
  }

  /// An unmap is over, at the latest.
  mutating func noteEnd(of unmap: UnfinishedUnmap, _ position: Int) {
    vms[unmap.vm].lastUnmap = sequence
    var kept = 0
    for index in unmapsUnderway.indices {
      let entry = unmapsUnderway[index]
      if entry.thread == position, entry.unmap == unmap {
        noteUnmapped(blocks: entry.first, entry.last, vm: unmap.vm)
      } else {
        unmapsUnderway[kept] = entry
        kept += 1
      }
    }
    unmapsUnderway.removeSubrange(kept...)
  }

  /// Memory was unmapped until now.
  mutating func noteUnmapped(_ frames: FrameRange, vm: Int) {
    vms[vm].lastUnmap = sequence
    noteUnmapped(
      blocks: timelines.block(frames.start), timelines.block(GFN(frames.end.rawValue - 1)), vm: vm)
  }

  /// A slot with these frames was removed: its commit comes after it went out of force, which was after `since`.
  mutating func noteRemoval(of frames: FrameRange, vm: Int, since: UInt64) {
    noteUnmapped(frames, vm: vm)
    vms[vm].removals.append(SlotRemoval(sequence: sequence, since: since, frames: frames))
    for position in openThreads where threads[position].vm == vm {
      guard let fault = threads[position].openFault?.record, frames.contains(fault.page.gfn(profile.pageSize))
      else { continue }
      threads[position].openFault!.record.evidence.isSlotRemoved = true
    }
  }

  private mutating func noteUnmapped(blocks first: UInt64, _ last: UInt64, vm: Int) {
    let sequence = sequence
    vms[vm].regions.forEach(in: first, last) { position, regions in
      regions[position].lastUnmap = sequence
    }
  }

  /// An age of the frames begins.
  mutating func noteAge(_ frames: FrameRange, vm: Int, _ position: Int) {
    if profile.hasHardwareAccessFlag { return }
    let sequence = sequence
    vms[vm].regions.forEach(
      in: timelines.block(frames.start), timelines.block(GFN(frames.end.rawValue - 1))
    ) { region, regions in
      regions[region].lastAge = sequence
      regions[region].lastAgeThread = Int32(position)
    }
  }
}

/// An unmap that is not over, in terms of the guest's memory.
struct UnmapUnderway {
  var thread: Int
  var unmap: UnfinishedUnmap
  /// The regions that it touches.
  var first: UInt64
  var last: UInt64
}
