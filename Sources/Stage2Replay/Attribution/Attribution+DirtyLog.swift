internal import KVMTrace
internal import KVMTypes

// Dirty logs of slots: when they begin and end is told by commits, when they are cleared by the faults that follow.

extension Attribution {
  /// A slot comes into force, with or without a dirty log.
  ///
  /// - Parameters:
  ///   - before: what it was, of a change of its flags.
  ///   - oldFrames: where it was, of a move.
  mutating func changeDirtyLog(
    _ slot: Memslot, before: Memslot?, oldFrames: FrameRange?, vm: VMIndex, _ record: TraceRecord,
    _ place: ThreadPlace
  ) {
    let frames = FrameRange(start: slot.base, end: slot.end)
    guard slot.isLogging else {
      if let before, before.isLogging { endDirtyLog(frames, vm: vm, record) }
      return
    }
    if let before, before.isLogging { return }
    if let oldFrames, vms[vm].dirtyLogs.isActive, vms[vm].dirtyLogs.logs(oldFrames) {
      vms[vm].dirtyLogs.move(oldFrames, to: slot.base)
      enqueue(.dirtyLog(.move(from: oldFrames.start, to: slot.base)), vm: vm, record, place)
      return
    }
    vms[vm].dirtyLogs.begin(frames, by: record.tid, at: clock.now)
    enqueue(.dirtyLog(.allocate(slot.base)), vm: vm, record, place)
  }

  /// Logging of a slot is switched on or off by the change at `record`, which was made after `since` and the VM's last change.
  mutating func switchLogging(
    _ slot: Memslot, vm: VMIndex, _ record: TraceRecord, _ place: ThreadPlace, since: Sequence
  ) {
    lookahead.switchLogging(
      of: slot, vm: vm, since: since,
      mayBeSplit: slot.isLogging && !context.profile.isPKVM, threads, by: record.tid, at: clock.now)
    if !slot.isLogging { enqueue(.endLogging(slot.frames), vm: vm, record, place) }
  }

  /// A slot's log ends. If the VMM cleared it before, that is the last moment at which it can have: what follows shows whether
  /// it did.
  private mutating func endDirtyLog(_ frames: FrameRange, vm: VMIndex, _ record: TraceRecord) {
    guard let tid = vms[vm].dirtyLogs.end(frames, at: clock.now) else { return }
    clearDirtyLog(frames, by: tid, isProven: false, vm: vm, record)
  }

  /// A thread's fault in a VM of which a slot logs, or did.
  mutating func readDirtyLog(
    _ event: GuestFault, _ gfn: GFN, vm: VMIndex, _ thread: ThreadIndex, _ record: TraceRecord
  ) {
    let vcpu = threads[thread].vcpu
    guard
      let log = vms[vm].dirtyLogs.fault(
        event, gfn, by: record.tid, ranOn: vcpu.ranOn, entry: vcpu.lastEntry, at: clock.now)
    else { return }
    if let end = log.ended {
      lookahead.proveClear(of: log.frames, vm: vm, at: end)
    } else {
      clearDirtyLog(log.frames, by: log.tid, isProven: true, vm: vm, record)
    }
  }

  /// The window of a fault ends in such a VM.
  mutating func noteGrant(of id: FaultID, vm: VMIndex) {
    guard lookahead[id].isWrite, lookahead[id].kind != .accessFlag else { return }
    let gfn = lookahead[id].page.gfn(context.pageSize)
    if lookahead[id].sawOwnUnmap || lookahead[id].failed || lookahead[id].sawMMIO {
      return vms[vm].dirtyLogs.forgetGrants(FrameRange(start: gfn, end: gfn + 1))
    }
    let (cpu, evidence) = (lookahead[id].cpu, lookahead[id].evidence)
    let stayed = evidence.ranOn == cpu && evidence.endedOn == cpu
    vms[vm].dirtyLogs.grant(gfn, lookahead[id], cpu: stayed ? cpu : nil, at: clock.now)
  }

  private mutating func clearDirtyLog(
    _ frames: FrameRange, by tid: ThreadID, isProven: Bool, vm: VMIndex, _ record: TraceRecord
  ) {
    var change = record
    change.tid = tid
    let place =
      threads.known(tid).map { threads[$0].place } ?? ThreadPlace(windows: 0, notifiers: 0)
    enqueue(.dirtyLog(.clear(frames, isProven: isProven)), vm: vm, change, place)
  }
}
