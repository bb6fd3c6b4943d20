internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

/// Drives the events of a trace through one model for each VM.
///
/// An event goes through three stages.
///
/// 1. *Attribution*, at once: which VM, which slot, which frames, what else happened in the fault's window. What
///    concerns a region where a fault waits is noted in that region's timeline.
/// 2. *Waiting*: a fault enters the queue when its window ends, which is when KVM acted (between the event and the
///    thread's next kvm_entry), a notifier when it is called. The queue is long enough that what decides a fault has
///    usually been seen when the fault leaves it.
/// 3. *Application*, in the order of the queue: the rules decide, the model performs the operation and says what it
///    returns.
///
/// Probes on the kernel's own operations are held against the result and never used for it.
struct Replayer<Backend: ReplayedBackend & ~Copyable>: ~Copyable {
  let profile: ReplayProfile
  private let options: ReplayOptions
  private let makeBackend: () -> Backend
  /// Whether applied operations are kept until `takeOperations`.
  private let collectsOperations: Bool
  private var operations: [Stage2Operation] = []
  private var threads: [VCPUThread] = []
  private var threadTable = ThreadTable()
  private(set) var vms: [GuestVM<Backend>] = []
  private var notifierCounts: [ThreadID: UInt32] = [:]
  private var timelines: RegionTimelines
  private var queue: LagQueue<PendingRecord>
  /// The event's place in the merged trace.
  private var sequence: UInt64 = 0
  /// The trace has ended: what still waits has seen all that there is to see.
  private var isFinishing = false
  private(set) var agreement: Agreement
  private(set) var lostEvents: UInt64 = 0
  private(set) var lossCount = 0
  private(set) var unattributedFaults = 0
  private(set) var firstTime: Nanoseconds?
  private(set) var lastTime: Nanoseconds?

  init(
    profile: ReplayProfile, options: ReplayOptions, collectsOperations: Bool,
    makeBackend: @escaping () -> Backend
  ) {
    self.collectsOperations = collectsOperations
    self.profile = profile
    self.options = options
    self.makeBackend = makeBackend
    timelines = RegionTimelines(pageSize: profile.pageSize)
    queue = LagQueue(lag: options.lag)
    agreement = Agreement(isActive: !options.ignoresProbes)
  }

  /// The operations applied since the last call.
  mutating func takeOperations() -> [Stage2Operation] {
    defer { operations.removeAll(keepingCapacity: true) }
    return operations
  }

  mutating func consume(_ run: EventRun) {
    run.withRecords { records in
      for index in records.indices {
        consume(records[index])
      }
    }
  }

  /// Applies what still waits. Must be the last call.
  mutating func finish() {
    isFinishing = true
    for position in threads.indices {
      // A window that the trace cuts: what KVM did is not known, so nothing is said about it.
      if let open = threads[position].openFault { abandon(open, vm: threads[position].vm) }
      threads[position].openFault = nil
    }
    while let record = queue.popFirst() { apply(record) }
    agreement.finish()
  }

  private mutating func consume(_ record: TraceRecord) {
    sequence += 1
    if let from = options.from, record.time < from { return }
    if let to = options.to, record.time >= to { return }
    if firstTime == nil { firstTime = record.time }
    lastTime = record.time
    switch record.kind {
    case .entry: entry(record)
    case .guestFault: guestFault(record)
    case .accessFault: withOpenFault(record.tid) { $0.record.sawAccessFault = true }
    case .mmio, .mmioNISV: withOpenFault(record.tid) { $0.record.sawMMIO = true }
    case .userspaceExit:
      if let position = threadTable[record.tid] {
        threads[position].isInUserspace = true
        if let vm = threads[position].vm { vms[vm].lastActivity = sequence }
      }
      // -EINTR and -EAGAIN only say that the thread was interrupted.
      let errno = record.userspaceExit.errno
      if errno < 0, errno != -4, errno != -11 { withOpenFault(record.tid) { $0.record.failed = true } }
    case .unmapHVARange: notifier(record, .unmap)
    case .setSPTEHVA: notifier(record, .unmap)
    case .ageHVA: notifier(record, .age)
    case .testAgeHVA: notifier(record, .testAge)
    case .commitMemoryRegion: commit(record)
    case .lost:
      lossCount += 1
      lostEvents += record.lostCount ?? 0
    case .probeMap, .probeMapReturn, .probeUnmap, .probeUnmapReturn, .probeWrprotect, .probeWrprotectReturn,
      .probeTestClearYoung, .probeTestClearYoungReturn, .probeRelaxPerms, .probeRelaxPermsReturn,
      .probeMkyoung:
      agreement.record(record, place: place(record.tid))
    case .other, .exit, .setWayFlush, .toggleCache, .dirtyRingPush, .hypercall, .contentionBegin,
      .contentionEnd,
      .setMemoryRegion, .probeAbortReturn, .probeAgeGFN, .probeUnmapGFN:
      break
    }
  }

  // MARK: vCPU threads

  private mutating func entry(_ record: TraceRecord) {
    guard let position = thread(record.tid) else { return }
    if let open = threads[position].openFault {
      threads[position].openFault = nil
      close(open, thread: position, at: record)
    }
    threads[position].lastEntry = sequence
    threads[position].isInUserspace = false
    if let vm = threads[position].vm { vms[vm].lastActivity = sequence }
    threads[position].windows &+= 1
  }

  private mutating func guestFault(_ record: TraceRecord) {
    guard let position = thread(record.tid) else { return }
    if let open = threads[position].openFault {
      // No entry in between: events were lost.
      abandon(open, vm: threads[position].vm)
      threads[position].openFault = nil
    }
    let event = record.guestFault
    let page = event.ipa.alignedDown(to: profile.pageSize.bytes)
    let gfn = page.gfn(profile.pageSize)
    guard let vm = vm(ofThread: position, touching: gfn, at: record) else {
      unattributedFaults += 1
      return
    }
    let esr = event.esr
    var faults = vms[vm].tally.faults
    faults.total += 1
    switch esr.faultKind {
    case .translation: faults.translation += 1
    case .permission: faults.permission += 1
    case .accessFlag: faults.accessFlag += 1
    default: faults.other += 1
    }
    if let level = esr.level { faults.byLevel[Int(level.rawValue) + 1] += 1 }
    vms[vm].tally.faults = faults

    let kind: TimelineNode.Kind =
      switch esr.faultKind {
      case .permission: .permissionFault
      case .accessFlag: .accessFault
      default: .translationFault
      }
    let level = esr.level ?? .l3
    let slot = vms[vm].slots.slot(gfn)
    var seen = TimelineNode(
      kind: kind, level: level, isWrite: esr.isWrite, isExec: esr.isExec, sequence: sequence,
      entry: threads[position].lastEntry, frames: FrameRange(start: gfn, end: gfn + 1))
    seen.tableMayChange =
      slot?.supportsBlock(of: profile.pageSize.pmdBytes, at: gfn, profile.pageSize) ?? false
      && timelines.hasOpenFault(around: gfn, vm: vm, openFaults: threads)
    let node = timelines.append(fault: seen, vm: vm)
    let fault = FaultRecord(
      time: record.time, cpu: record.cpu, tid: record.tid, sequence: sequence, page: page,
      kind: esr.faultKind,
      level: level, isWrite: esr.isWrite, isExec: esr.isExec, vm: vm, vcpu: threads[position].vcpu,
      entry: threads[position].lastEntry, slot: slot, window: threads[position].windows,
      node: node)
    threads[position].openFault = OpenFault(record: fault, node: node)
  }

  /// The window of a fault ends: it joins the queue.
  private mutating func close(_ open: OpenFault, thread position: Int, at record: TraceRecord) {
    guard let vm = threads[position].vm else { return }
    var fault = open.record
    fault.end = sequence
    fault.endTime = record.time
    fault.retriedByOwnUnmap = open.unmappedSlot
    if fault.sawMMIO { vms[vm].tally.faults.mmio += 1 }
    enqueue(
      PendingRecord(
        action: .fault(fault), vm: vm, sequence: sequence, time: record.time, cpu: fault.cpu, tid: fault.tid,
        place: ThreadPlace(windows: fault.window, notifiers: notifierCounts[fault.tid] ?? 0)))
  }

  private mutating func abandon(_ open: OpenFault, vm: Int?) {
    if let vm { timelines.release(fault: open.node, vm: vm) }
  }

  private mutating func withOpenFault(_ tid: ThreadID, _ body: (inout OpenFault) -> Void) {
    guard let position = threadTable[tid], threads[position].openFault != nil else { return }
    body(&threads[position].openFault!)
  }

  /// The position of a thread that runs a vCPU; a new one is taken in.
  private mutating func thread(_ tid: ThreadID) -> Int? {
    if let position = threadTable[tid] { return position }
    guard threadTable.insert(tid, position: threads.count) else { return nil }
    threads.append(VCPUThread(tid: tid))
    return threads.count - 1
  }

  private func place(_ tid: ThreadID) -> ThreadPlace {
    ThreadPlace(
      windows: threadTable[tid].map { threads[$0].windows } ?? 0, notifiers: notifierCounts[tid] ?? 0)
  }

  // MARK: VMs and slots

  /// The VM whose vCPU a thread runs: the one it was last known to run, unless that is gone; else the youngest VM
  /// whose slots hold the address; else the youngest; a VM without slots where no probe told of any.
  private mutating func vm(ofThread position: Int, touching gfn: GFN, at record: TraceRecord) -> Int? {
    if let known = threads[position].vm, !vms[known].isGone { return known }
    var found = vms.lastIndex { !$0.isGone && $0.slots.slot(gfn) != nil } ?? vms.lastIndex { !$0.isGone }
    if found == nil {
      vms.append(
        GuestVM(
          id: vms.count, kvm: nil, creator: nil, since: record.time, pageSize: profile.pageSize,
          backend: makeBackend()))
      found = vms.count - 1
    }
    guard let vm = found else { return nil }
    threads[position].vm = vm
    if let index = vms[vm].vcpus.firstIndex(of: threads[position].tid) {
      threads[position].vcpu = index
    } else {
      threads[position].vcpu = vms[vm].vcpus.count
      vms[vm].vcpus.append(threads[position].tid)
    }
    return vm
  }

  private mutating func commit(_ record: TraceRecord) {
    let commit = record.memslotCommit
    var position = vms.lastIndex { $0.kvm == commit.kvm && !$0.isGone }
    if commit.change == .create {
      // The kernel never creates a slot over another one: the address belongs to a new VM by now.
      if let known = position,
        commit.id.map(vms[known].slots.contains(id:)) ?? false
          || vms[known].slots.overlaps(commit.base, commit.pages)
      {
        vms[known].isGone = true
        position = nil
      }
      if position == nil {
        // One VMM process seldom has two VMs at once: the earlier one of this thread is gone.
        for vm in vms where vm.creator == record.tid { vm.isGone = true }
        vms.append(
          GuestVM(
            id: vms.count, kvm: commit.kvm, creator: record.tid, since: record.time,
            pageSize: profile.pageSize,
            backend: makeBackend()))
        position = vms.count - 1
      }
    }
    guard let vm = position else { return }
    if commit.change == .delete || commit.change == .move, let base = commit.oldBase {
      if let old = vms[vm].slots.remove(base: base) {
        let frames = FrameRange(start: old.base, end: old.end)
        note(.slotChange, frames, vm: vm)
        enqueue(
          PendingRecord(
            action: .deleteSlot(frames), vm: vm, sequence: sequence, time: record.time, cpu: record.cpu,
            tid: record.tid,
            place: place(record.tid)))
      }
    }
    if commit.change == .flagsOnly { _ = vms[vm].slots.remove(base: commit.base) }
    guard commit.change != .delete, commit.pages > 0 else { return }
    let slot = Memslot(
      id: commit.id, base: commit.base, pages: commit.pages, hva: commit.hva, flags: commit.flags,
      basis: .recorded)
    vms[vm].slots.insert(slot)
    if commit.change != .flagsOnly { adopt(slot, vm: vm) }
    if slot.flags.contains(.logDirtyPages) {
      // kvm_mmu_wp_memory_region, unless the VMM asked for KVM_DIRTY_LOG_INITIALLY_SET.
      enqueue(
        PendingRecord(
          action: .wrprotect(FrameRange(start: slot.base, end: slot.end)), vm: vm, sequence: sequence,
          time: record.time, cpu: record.cpu, tid: record.tid, place: place(record.tid)))
    }
    if !vms[vm].slotHistory.contains(slot) { vms[vm].slotHistory.append(slot) }
  }

  /// A slot is in force a little before its commit: faults that found no slot may belong to it.
  private mutating func adopt(_ slot: Memslot, vm: Int) {
    let pageSize = profile.pageSize
    func adopt(_ fault: inout FaultRecord) {
      if fault.slot == nil, !fault.sawMMIO, slot.contains(fault.page.gfn(pageSize)) { fault.slot = slot }
    }
    queue.update { record in
      guard record.vm == vm, case .fault(var fault) = record.action else { return }
      adopt(&fault)
      record.action = .fault(fault)
    }
    for position in threads.indices where threads[position].vm == vm {
      if threads[position].openFault != nil { adopt(&threads[position].openFault!.record) }
    }
  }

  // MARK: Notifiers

  private mutating func notifier(_ record: TraceRecord, _ kind: TimelineNode.Kind) {
    notifierCounts[record.tid, default: 0] &+= 1
    let range = record.hvaRange
    for position in vms.indices where !vms[position].isGone {
      var hit = false
      var frames: [FrameRange] = []
      vms[position].slots.forEachOverlap(range) { _, overlap in
        hit = true
        frames.append(overlap)
      }
      for overlap in frames {
        note(kind, overlap, vm: position)
        let action: PendingRecord.Action =
          switch kind {
          case .unmap: .unmap(overlap)
          case .age: .age(overlap, markOld: true)
          default: .age(overlap, markOld: false)
          }
        enqueue(
          PendingRecord(
            action: action, vm: position, sequence: sequence, time: record.time, cpu: record.cpu,
            tid: record.tid,
            place: place(record.tid)))
      }
      // A thread of the VMM that changes its memory shows that the VMM lives.
      if record.tid == vms[position].creator
        || threadTable[record.tid].map({ threads[$0].vm == position }) ?? false
      {
        vms[position].lastActivity = sequence
      }
      if hit, kind == .unmap, let thread = threadTable[record.tid], threads[thread].vm == position,
        threads[thread].openFault != nil
      {
        threads[thread].openFault!.unmappedSlot = true
      }
    }
  }

  private mutating func note(_ kind: TimelineNode.Kind, _ frames: FrameRange, vm: Int) {
    timelines.append(
      range: TimelineNode(
        kind: kind, level: .l3, isWrite: false, isExec: false, sequence: sequence, entry: 0, frames: frames),
      vm: vm)
  }

  // MARK: Application

  private mutating func enqueue(_ record: PendingRecord) {
    if queue.isFull, let oldest = queue.popFirst() { apply(oldest) }
    queue.append(record)
  }

  private mutating func apply(_ record: PendingRecord) {
    let pageSize = profile.pageSize
    switch record.action {
    case .fault(let fault):
      apply(fault, record)
      timelines.release(fault: fault.node, vm: record.vm)
    case .unmap(let frames), .deleteSlot(let frames):
      vms[record.vm].hostMappings.unmap(frames)
      forEachChunk(of: frames) { address, size, replayer in
        let result = replayer.vms[record.vm].backend.unmap(address, size: size)
        replayer.emit(record, .unmap, address, size: size, result: result.rawValue, basis: .derived)
      }
    case .wrprotect(let frames):
      forEachChunk(of: frames) { address, size, replayer in
        let result = replayer.vms[record.vm].backend.wrprotect(address, size: size)
        replayer.emit(record, .wrprotect, address, size: size, result: result.rawValue, basis: .assumed)
      }
    case .age(let frames, let markOld):
      if isFinishing, isDead(vms[record.vm], at: record.sequence) { return }
      let address = frames.start.ipa(pageSize)
      let size = frames.count << pageSize.shift
      let young = vms[record.vm].backend.testClearYoung(address, size: size, markOld: markOld)
      emit(
        record, .testClearYoung, address, size: size, markOld: markOld, result: young ? 1 : 0,
        basis: profile.hasHardwareAccessFlag ? .assumed : .derived)
    }
  }

  /// Range operations go chunk by chunk, so that the lock can be dropped in between (`stage2_apply_range`).
  private mutating func forEachChunk(
    of frames: FrameRange, _ body: (IPA, UInt64, inout Self) -> Void
  ) {
    var address = frames.start.ipa(profile.pageSize).rawValue
    let end = frames.end.ipa(profile.pageSize).rawValue
    while address < end {
      let next = min((address / profile.chunkBytes + 1) * profile.chunkBytes, end)
      body(IPA(address), next - address, &self)
      address = next
    }
  }

  /// Whether a VM was being torn down at an event: its vCPUs have all left the guest for good, and none of its
  /// threads did anything any more. Nothing marks that moment; the notifier's events go on without any effect until
  /// the VM is freed.
  private func isDead(_ vm: GuestVM<Backend>, at sequence: UInt64) -> Bool {
    guard !vm.vcpus.isEmpty, sequence > vm.lastActivity else { return false }
    return vm.vcpus.allSatisfy { tid in threadTable[tid].map { threads[$0].isInUserspace } ?? false }
  }

  private mutating func apply(_ fault: FaultRecord, _ record: PendingRecord) {
    let outcome = timelines.outcome(of: fault)
    let pageSize = profile.pageSize
    let vm = vms[record.vm]
    switch outcome {
    case .nothing(let reason):
      vm.tally.nothing[Int(reason.rawValue)] += 1
    case .mkyoung:
      vm.backend.mkyoung(fault.page)
      emit(record, .mkyoung, fault.page, size: 0, result: nil, basis: .derived)
    case .performed(let basis):
      guard let slot = fault.slot else { return }
      let gfn = fault.page.gfn(pageSize)
      let size = timelines.mappingSize(of: fault, in: slot, host: vm.hostMappings, tally: vm.tally.sizes)
      if size.basis == .derived, !slot.isLogging, slot.supportsBlock(of: pageSize.pmdBytes, at: gfn, pageSize)
      {
        vm.hostMappings.prove(gfn, isBlock: size.isBlock)
        vm.tally.sizes.add(size, fault)
      }
      let vcpu = VCPUIndex(fault.vcpu)
      if fault.kind != .permission || slot.isLogging || profile.isPKVM {
        vm.backend.topUpMemcache(vcpu: vcpu, pages: profile.minPages)
      }
      let relaxes = fault.kind == .permission && (fault.level == .l2) == size.isBlock
      if fault.kind == .permission, fault.isWrite, slot.isLogging { proveWriteProtection(fault, record) }
      if relaxes {
        var prot: Stage2Prot = .read
        if fault.isWrite || isWritable(fault.page, vm) { prot.insert(.write) }
        if fault.isExec { prot.insert(.execute) }
        let result = vm.backend.relaxPerms(fault.page, prot: prot)
        emit(
          record, .relaxPerms, fault.page, size: 0, prot: prot, result: result.rawValue,
          basis: max(basis, size.basis))
      } else {
        let bytes = size.isBlock ? pageSize.pmdBytes : pageSize.bytes
        let address = fault.page.alignedDown(to: bytes)
        var prot: Stage2Prot = .read
        if fault.isWrite || mapsWritable(fault, slot) { prot.insert(.write) }
        if fault.isExec { prot.insert(.execute) }
        let result = vm.backend.map(address, size: bytes, pfn: nil, prot: prot, vcpu: vcpu)
        emit(
          record, .map, address, size: bytes, prot: prot, result: result.rawValue,
          basis: max(basis, size.basis))
      }
    }
  }

  /// A write fault on what the model holds writable, in a slot that logs: the VMM had it write-protected, which leaves
  /// no event (KVM_GET_DIRTY_LOG, KVM_CLEAR_DIRTY_LOG). Of the range only this page is known.
  private mutating func proveWriteProtection(_ fault: FaultRecord, _ record: PendingRecord) {
    guard isWritable(fault.page, vms[record.vm]) else { return }
    let size = profile.pageSize.bytes
    let result = vms[record.vm].backend.wrprotect(fault.page, size: size)
    emit(record, .wrprotect, fault.page, size: size, result: result.rawValue, basis: .derived)
  }

  /// Whether the mapping of `ipa` permits writing, as far as the model knows.
  private func isWritable(_ ipa: IPA, _ vm: GuestVM<Backend>) -> Bool {
    if case .leaf(_, let prot, _) = vm.backend.walk(ipa) { return prot.contains(.write) }
    return false
  }

  /// Whether a fault that is no write maps writable all the same: the host maps what it may write already, unless
  /// dirty pages are logged. A later write fault on the page shows that it did not.
  private func mapsWritable(_ fault: FaultRecord, _ slot: Memslot) -> Bool {
    if slot.flags.contains(.readOnly) || slot.isLogging { return false }
    return !timelines.laterWriteFault(on: fault)
  }

  private mutating func emit(
    _ record: PendingRecord, _ kind: OperationKind, _ address: IPA, size: UInt64, prot: Stage2Prot? = nil,
    markOld: Bool = false, result: Int32?, basis: Basis
  ) {
    var operation = Stage2Operation(
      time: record.time, cpu: record.cpu, tid: record.tid, vm: record.vm, kind: kind, address: address,
      size: size,
      prot: prot, result: result, basis: basis)
    operation.markOld = markOld
    let vm = vms[record.vm]
    vm.tally.operations[Int(kind.rawValue)].add(operation, pageSize: profile.pageSize)
    agreement.predict(operation, place: record.place)
    if collectsOperations { operations.append(operation) }
  }
}

extension OperationCounts {
  mutating func add(_ operation: Stage2Operation, pageSize: PageSize) {
    count += 1
    pages += max(operation.size >> pageSize.shift, 1)
    if operation.kind != .testClearYoung, let result = operation.result {
      if result == KernelResult.again.rawValue { again += 1 } else if result < 0 { errors += 1 }
    }
    if operation.basis == .derived { derived += 1 } else { assumed += 1 }
  }
}
