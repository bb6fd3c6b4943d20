internal import KVMTrace
internal import KVMTypes

/// What events tell of the dirty logs of a VM's slots.
///
/// The VMM reads a log by KVM_GET_DIRTY_LOG, or clears it by KVM_CLEAR_DIRTY_LOG. Either takes the right to write from all pages
/// that were written since the last time (`kvm_get_dirty_log_protect`), and leaves no event. But the next write of each faults:
/// a write fault for want of a right that was granted since logging began, and used, shows that the log was cleared in between.
/// What was granted before that is explained by it, so that the next such fault on what was granted later shows another time.
struct DirtyLogs {
  /// Of each slot that logs, or did before its last change.
  private var logs: [DirtyLog] = []
  /// The pages of these slots on which a write was granted last, and to whom.
  private var grants: [FrameKey: WriteGrant] = [:]
  /// The last fault of each vCPU's thread since a slot began to log.
  private var lastFaults: [FrameKey: GuestFault] = [:]

  /// Whether a slot logs, or did.
  @inline(__always)
  var isActive: Bool { !logs.isEmpty }

  // MARK: Slots

  /// The bitmap of a slot is allocated, by a change of a thread's.
  mutating func begin(_ frames: FrameRange, by tid: ThreadID, at now: Sequence) {
    forget(frames)
    logs.append(DirtyLog(frames: frames, tid: tid, cleared: now))
  }

  /// A slot that logs moves, and its bitmap with it. Nothing is mapped where it is now.
  mutating func move(_ frames: FrameRange, to base: GFN) {
    guard let index = logs.firstIndex(where: { $0.frames == frames }) else { return }
    forgetGrants(frames)
    logs[index].frames = FrameRange(start: base, end: base + frames.count)
  }

  /// A slot logs no longer.
  ///
  /// - Returns: who may have cleared it once more, for something was written since the last time; else nil.
  mutating func end(_ frames: FrameRange, at now: Sequence) -> ThreadID? {
    guard let index = logs.firstIndex(where: { $0.frames == frames && $0.ended == nil }) else { return nil }
    logs[index].ended = now
    return logs[index].lastGrant > logs[index].cleared ? logs[index].tid : nil
  }

  /// Whether a slot of these frames logs.
  func logs(_ frames: FrameRange) -> Bool { logs.contains { $0.frames == frames && $0.ended == nil } }

  /// A slot is gone.
  mutating func forget(_ frames: FrameRange) {
    logs.removeAll { $0.frames.start < frames.end && frames.start < $0.frames.end }
    forgetGrants(frames)
  }

  /// Frames are unmapped: what was granted there is gone.
  mutating func forgetGrants(_ frames: FrameRange) {
    if grants.isEmpty { return }
    if frames.count < UInt64(grants.count) {
      for offset in 0..<frames.count { grants[FrameKey((frames.start + offset).rawValue)] = nil }
    } else {
      grants = grants.filter { !frames.contains(GFN($0.key.value)) }
    }
  }

  // MARK: Faults

  /// The window of a write fault that may have been granted its right ends.
  ///
  /// - Parameter cpu: the processor on which the thread was all the while, nil where it was on several.
  mutating func grant(_ gfn: GFN, _ fault: FaultWindow, cpu: CPUIndex?, at now: Sequence) {
    let key = FrameKey(gfn.rawValue)
    guard let slot = fault.slot, slot.isLogging,
      let index = logs.firstIndex(where: { $0.frames.contains(gfn) && $0.ended == nil })
    else {
      grants[key] = nil
      return
    }
    logs[index].lastGrant = now
    grants[key] = WriteGrant(tid: fault.tid, cpu: cpu, isMap: fault.kind == .translation, sequence: now)
  }

  /// A vCPU's thread faults.
  ///
  /// - Parameters:
  ///   - entry: its last kvm_entry.
  ///   - ranOn: the processor on which the guest ran.
  /// - Returns: the log that was cleared, as this fault shows first: just before it at the latest, or, where the log has ended,
  ///   before that; nil for none.
  mutating func fault(
    _ event: GuestFault, _ gfn: GFN, by tid: ThreadID, ranOn: CPUIndex?, entry: Sequence, at now: Sequence
  ) -> DirtyLog? {
    // Who faults again in the same way has not used what it was granted.
    let thread = FrameKey(UInt64(UInt32(bitPattern: tid.rawValue)))
    let last = lastFaults.updateValue(event, forKey: thread)
    let isAgain = last.map { event.next(after: $0) == .again } ?? false
    let key = FrameKey(gfn.rawValue)
    let access = FaultAccess(event.esr)
    if access.kind == .translation { grants[key] = nil }
    guard access.kind == .permission, access.isWrite, access.level == .l3, !isAgain, let grant = grants[key],
      entry >= grant.sequence, grant.isSeen(by: tid, on: ranOn),
      let index = logs.firstIndex(where: { $0.frames.contains(gfn) }), grant.sequence > logs[index].cleared
    else { return nil }
    logs[index].cleared = logs[index].ended ?? now
    return logs[index]
  }
}

/// The dirty log of a slot, from the change by which it began.
struct DirtyLog {
  var frames: FrameRange
  /// The thread that switched it on, which is taken to read it, too.
  let tid: ThreadID
  /// When it was cleared last, or began.
  var cleared: Sequence
  /// When a write was granted last.
  var lastGrant = Sequence.start
  /// When it was switched off.
  var ended: Sequence?
}

/// Who was granted the right to write to a page, and where in the merged trace.
private struct WriteGrant {
  var tid: ThreadID
  /// The processor whose TLB was told, nil where the thread was on several.
  var cpu: CPUIndex?
  /// Nothing was mapped before, so that no TLB can hold anything older.
  var isMap: Bool
  var sequence: Sequence

  /// Whether a guest that faults for want of the right has looked at the mapping that had it: rights are added without a flush
  /// of other processors' TLBs (`__kvm_tlb_flush_vmid_ipa_nsh`).
  func isSeen(by other: ThreadID, on ranOn: CPUIndex?) -> Bool {
    isMap || (other == tid && cpu != nil && cpu == ranOn)
  }
}
