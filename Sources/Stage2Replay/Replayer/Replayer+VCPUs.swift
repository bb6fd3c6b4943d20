internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

// The loop of a vCPU's thread: kvm_entry, the guest runs, kvm_exit, perhaps kvm_guest_fault and what follows from it.

extension Replayer where Backend: ~Copyable {
  mutating func entry(_ record: TraceRecord) {
    guard let position = thread(record.tid) else { return }
    leaveMemoryManagement(position)
    reach(position)
    note(threads[position].order.entry(isInSlot: isFaultInSlot(position), recorded), position, record)
    closeOpenFault(of: position, time: record.time, cpu: record.cpu)
    threads[position].lastEntry = sequence
    threads[position].entryEpoch = losses.epoch
    threads[position].isInUserspace = false
    threads[position].place.windows &+= 1
    if let vm = threads[position].vm { vms[vm].noteActivity(sequence, at: record.time) }
  }

  mutating func exit(_ record: TraceRecord) {
    guard let position = thread(record.tid) else { return }
    leaveMemoryManagement(position)
    reach(position)
    let exit = record.vcpuExit
    note(
      threads[position].order.exit(isTrap: exit.isTrap, exceptionClass: exit.exceptionClass), position, record
    )
    closeFaultUnseen(of: position, time: record.time, cpu: record.cpu)
    threads[position].ranOn = record.cpu
    threads[position].exits += 1
    if let vm = threads[position].vm { vms[vm].lastSeen = record.time }
  }

  /// kvm_access_fault, kvm_mmio and kvm_userspace_exit: what became of the fault whose window is open.
  mutating func windowEvent(_ record: TraceRecord) {
    guard let position = knownThread(record.tid) else { return }
    leaveMemoryManagement(position)
    reach(position)
    switch record.kind {
    case .userspaceExit:
      note(
        threads[position].order.userspaceExit(isInSlot: isFaultInSlot(position), recorded), position,
        record)
      // -EINTR only says that a signal came.
      let errno = record.userspaceExit.errno
      if errno < 0, errno != -4 {
        threads[position].openFault?.record.failed = true
        threads[position].openFault?.record.isBadAddress = errno == KernelResult.badAddress.rawValue
      }
      closeOpenFault(of: position, time: record.time, cpu: record.cpu)
      threads[position].isInUserspace = true
      if let vm = threads[position].vm { vms[vm].noteActivity(sequence, at: record.time) }
    case .mmio, .mmioNISV:
      // Type 1 completes a read, at once or after the VMM has answered it.
      let isAccess = record.kind == .mmio && record.mmio.type != 1
      if isAccess { threads[position].mmioExits += 1 }
      note(
        threads[position].order.mmio(
          isAccess ? record.mmio.address : nil, far: threads[position].openFault?.event.far), position, record
      )
      threads[position].openFault?.record.sawMMIO = true
    // kvm_access_fault tells the replay nothing that the fault's own syndrome did not.
    default: note(threads[position].order.accessFault(record.accessFaultIPA), position, record)
    }
  }

  mutating func guestFault(_ record: TraceRecord) {
    guard let position = thread(record.tid) else {
      unattributedFaults += 1
      return
    }
    leaveMemoryManagement(position)
    reach(position)
    closeFaultUnseen(of: position, time: record.time, cpu: record.cpu)
    let event = record.guestFault
    note(threads[position].order.guestFault(event.ipa, event.esr), position, record)
    checkAlone(event, position, record)
    settle(position, event)
    compareWithLastFault(of: position, event)
    let esr = event.esr
    let page = event.ipa.alignedDown(to: profile.pageSize.bytes)
    let gfn = page.gfn(profile.pageSize)
    let vm = vm(ofThread: position, touching: gfn, at: record)
    vms[vm].tally.faults.add(esr)
    vms[vm].lastSeen = record.time
    guard page.rawValue < IPA.limit else {
      vms[vm].tally.nothing[Int(FaultOutcome.Reason.noSlot.rawValue)] += 1
      return
    }

    let slot = vms[vm].slots.slot(gfn)
    if slot == nil { vms[vm].hasFaultsWithoutSlot = true }
    let level = esr.level ?? .l3
    var node = TimelineNode(
      kind: TimelineNode.Kind(esr.faultKind), level: level, isWrite: esr.isWrite, isExec: esr.isExec,
      sequence: sequence, entry: threads[position].lastEntry, frames: FrameRange(start: gfn, end: gfn + 1))
    node.tid = record.tid
    node.isStage1Walk = esr.isStage1Walk
    node.ranOn = threads[position].ranOn
    let canHoldBlock =
      slot?.supportsBlock(of: profile.pageSize.pmdBytes, at: gfn, profile.pageSize) ?? false
    let index = timelines.append(fault: node, vm: vm, canHoldBlock: canHoldBlock)
    var fault = FaultRecord(
      cpu: record.cpu, tid: record.tid, page: page, address: event.ipa, kind: esr.faultKind, level: level,
      isWrite: esr.isWrite,
      isExec: esr.isExec, isStage1Walk: esr.isStage1Walk, vcpu: threads[position].vcpu, slot: slot,
      place: threads[position].place, node: index, begin: sequence)
    fault.isMemShare = vms[vm].isProtected && event.isMemShare
    if vms[vm].unfinishedUnmaps > 0 {
      fault.mayBeInvalidated = true
      fault.mayRaceCopyOnWrite = openThreads.contains {
        threads[$0].unfinishedUnmaps.contains { $0.vm == vm }
      }
    }
    if !isSettled(vms[vm]), !vms[vm].isProtected { fault.mayBeInvalidated = true }
    fault.evidence = evidence(
      event, gfn, isInSlot: slot != nil, canHoldBlock: canHoldBlock && slot?.isLogging == false, vm: vm,
      position)
    noteRivals(of: &fault, canHoldBlock: canHoldBlock, vm)
    threads[position].openFault = OpenFault(record: fault, event: event)
    openThreads.append(position)
    boundTimelines()
  }

  /// The window of a thread's fault ends: the fault joins the queue.
  private mutating func closeOpenFault(of position: Int, time: Nanoseconds, cpu: CPUIndex) {
    guard let open = takeOpenFault(of: position), let vm = threads[position].vm else { return }
    var fault = open.record
    if var node = open.parkedNode {
      node.sequence = sequence
      fault.node = timelines.append(fault: node, vm: vm, canHoldBlock: false)
    }
    fault.end = sequence
    completeEvidence(of: &fault, vm: vm, on: cpu)
    timelines.close(fault.node, at: sequence)
    if fault.sawMMIO { vms[vm].tally.faults.mmio += 1 }
    if fault.mayBeInvalidated || fault.sharesEntry {
      threads[position].lastFault = LastFault(sequence: sequence, event: open.event)
      threads[position].lastFaultEpoch = fault.evidence.entryEpoch
    }
    enqueue(
      PendingRecord(
        action: .fault(fault), vm: vm, sequence: sequence, time: time, cpu: fault.cpu, tid: fault.tid,
        place: ThreadPlace(windows: fault.place.windows, notifiers: threads[position].place.notifiers)))
  }

  /// The window of a thread's open fault, if it has one, ends unseen: its kvm_entry was not recorded, or lost, and the
  /// thread is past it. Whether the fault did anything only later faults can tell.
  mutating func closeFaultUnseen(of position: Int, time: Nanoseconds, cpu: CPUIndex) {
    guard threads[position].openFault != nil else { return }
    threads[position].openFault!.record.mayBeInvalidated = true
    threads[position].openFault!.record.isEndUnseen = true
    // It cannot have ended after its VM.
    let time = min(time, threads[position].vm.flatMap { vms[$0].end?.time } ?? time)
    closeOpenFault(of: position, time: time, cpu: cpu)
    threads[position].place.windows &+= 1
  }

  /// Nothing will be known of the thread's open fault.
  mutating func abandonOpenFault(of position: Int) {
    guard let open = takeOpenFault(of: position) else { return }
    if let vm = threads[position].vm, open.parkedNode == nil {
      timelines.release(fault: open.record.node, vm: vm)
    }
  }

  private mutating func takeOpenFault(of position: Int) -> OpenFault? {
    guard let open = threads[position].openFault else { return nil }
    threads[position].openFault = nil
    if let index = openThreads.firstIndex(of: position) { openThreads.remove(at: index) }
    return open
  }

  /// The thread does something that it cannot do inside an invalidation: those that it began are over.
  mutating func leaveMemoryManagement(_ position: Int) {
    threads[position].run = nil
    threads[position].lastNotification = 0
    guard !threads[position].unfinishedUnmaps.isEmpty else { return }
    for unmap in threads[position].unfinishedUnmaps {
      vms[unmap.vm].unfinishedUnmaps -= 1
      noteEnd(of: unmap, position)
    }
    threads[position].unfinishedUnmaps = []
  }

  /// The VM whose vCPU a thread runs: the one it was last known to run, unless that is gone; else the one that the first
  /// pass settled on; else a VM whose slots hold the address; else any; a VM without slots where no probe told of any.
  private mutating func vm(ofThread position: Int, touching gfn: GFN, at record: TraceRecord) -> Int {
    if let known = threads[position].vm, !vms[known].isGone { return known }
    let tid = threads[position].tid
    let vm =
      settledVM(of: tid) ?? likelyVM(of: tid) { vms[$0].slots.slot(gfn) != nil } ?? likelyVM(of: tid) { _ in
        true
      }
      ?? addVM(kvm: nil, creator: nil, wasRunning: true, at: record)
    // What the thread did since the VM is there was for it; what a thread did before its first fault, too.
    let since = threads[position].vm == nil ? Nanoseconds(0) : vms[vm].since
    vcpuSpans.append(VCPUSpan(tid: tid, vm: vm, since: since))
    timeline?.note(thread: tid, ofVM: vm, since: since)
    threads[position].vm = vm
    threads[position].vcpu = vms[vm].vcpus.count
    vms[vm].vcpus.append(tid)
    vms[vm].startLevel = min(vms[vm].startLevel, survey.lowestLevels[tid] ?? .l3)
    return vm
  }

  func settledVM(of tid: ThreadID) -> Int? {
    for settled in vcpuEvidence.vms(of: tid) {
      let vm = liveVMs.first { vms[$0].kvm == settled.kvm && vms[$0].since == settled.since }
      if let vm { return vm }
    }
    return nil
  }

  /// Of the live VMs that satisfy a condition, that of the thread's own process, as far as numbers tell: a VMM creates
  /// its vCPUs' threads after itself, so it is the nearest creator below; else the youngest VM.
  private func likelyVM(of tid: ThreadID, where condition: (Int) -> Bool) -> Int? {
    var nearest: (vm: Int, creator: ThreadID)?
    var youngest: Int?
    for vm in liveVMs where condition(vm) {
      if let tids = vms[vm].tids {
        if tids.contains(tid) { return vm }
        continue
      }
      youngest = vm
      if let creator = vms[vm].creator, creator <= tid, nearest.map({ $0.creator <= creator }) ?? true {
        nearest = (vm, creator)
      }
    }
    return nearest?.vm ?? youngest
  }
}

extension FaultCounts {
  mutating func add(_ esr: ESR) {
    total += 1
    switch esr.faultKind {
    case .translation: translation += 1
    case .permission: permission += 1
    case .accessFlag: accessFlag += 1
    default: other += 1
    }
    if let level = esr.level { byLevel[Int(level.rawValue) + 1] += 1 }
  }
}

extension TimelineNode.Kind {
  init(_ kind: FaultKind) {
    switch kind {
    case .permission: self = .permissionFault
    case .accessFlag: self = .accessFault
    default: self = .translationFault
    }
  }
}
