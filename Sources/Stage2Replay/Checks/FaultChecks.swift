internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

/// Holds each fault against the model before its own operation: against a state that existed between the vCPU's last
/// kvm_entry and the fault. Where they differ for no known reason, the model takes the hardware's word and goes on.
///
/// | file | does |
/// |---|---|
/// | `FaultChecks.swift` | which check a fault gets, what is waited for, what is put down |
/// | `FaultChecks+Walks.swift` | translation faults, permission and access flag faults |
/// | `FaultChecks+Knowledge.swift` | how the state is known that a rule looks at |
struct FaultChecks: ~Copyable {
  let context: ReplayContext
  var table: TableKnowledge
  /// Rights that relax_perms added, by leaf.
  private var grants: [FrameKey: RightGrant] = [:]
  /// Faults with kvm_mmio in slots.
  private var heldBack: [HeldBackFault] = []
  private static let heldBackMax = 16
  /// The last fault, if it came to nothing.
  private var lastRefused: RefusedFault?
  /// By vCPU.
  private var progress: [VCPUProgress] = []
  /// By vCPU, the place of the event of a fault that was held against the model ahead of its operation, where its leaf was changed
  /// for it.
  private var correctedAhead: [Int: Sequence] = [:]
  /// Whether the guest uses memory of a slot whose commit was lost.
  private(set) var lacksSlot = false
  private(set) var log: DivergenceLog
  /// How the table was corrected last.
  private var resync: CarriedResync?
  /// The place of what is checked among the steps of all VMs.
  var order: UInt64 = 0

  init(_ context: ReplayContext) {
    self.context = context
    table = TableKnowledge(pageSize: context.pageSize)
    log = DivergenceLog(context)
  }

  var pageSize: PageSize { context.pageSize }

  /// Holds a fault against the model as `check` does, as far as most faults go: a translation fault, in a slot and an epoch
  /// of which all is known, whose walk stopped where the model's does. That breaks no rule.
  ///
  /// - Parameter knownFrom: the epoch in which everything is known of the VM's table.
  /// - Returns: nil for any other fault, of which nothing was noted.
  @inline(__always)
  mutating func checkExpected<Backend: Stage2Backend & ~Copyable>(
    _ fault: SettledFault, knownFrom: Epoch, _ backend: inout Backend
  ) -> CheckResult? {
    guard fault.kind == .translation, fault.evidence.endEpoch == knownFrom, !fault.sawMMIO, heldBack.isEmpty,
      let slot = fault.slot, slot.hva != nil, fault.page.rawValue >> UInt64(context.profile.ipaBits) == 0
    else { return nil }
    let walk = backend.walk(fault.page)
    let level = fault.walkLevel
    guard case .invalid(let modelled) = walk, level == nil || level == modelled else { return nil }
    noteTable(fault, level)
    return CheckResult(walk: walk)
  }

  /// Holds a fault against the model.
  ///
  /// - Returns: how a broken rule was judged, and whether the leaf of the fault was changed for it.
  mutating func check<Backend: Stage2Backend & ~Copyable>(
    _ fault: SettledFault, at time: Nanoseconds, _ vm: KnownVM, _ backend: inout Backend
  ) -> CheckResult {
    // What the trace does not tell the slots of is not replayed, so there is nothing to compare with.
    let areSlotsTold = !vm.wasRunning && fault.evidence.endEpoch == vm.slotsKnownFrom
    if fault.slot == nil, !areSlotsTold {
      // Without kvm_mmio it may be a device.
      lacksSlot = lacksSlot || !vm.wasRunning && !fault.sawMMIO && !context.events.missing.contains(.mmio)
      return CheckResult()
    }
    // Nor are unmaps of a slot whose host address is not known: a fault proves them.
    if let slot = fault.slot, slot.hva == nil { return CheckResult() }
    if fault.isAccessToSlot {
      holdBack(fault, at: time, vm)
      return CheckResult()
    }
    if fault.page.rawValue >> UInt64(context.profile.ipaBits) != 0 {
      // Such a fault ends before its tracepoint.
      let judgement = contradiction(of: .leafLiesInSlot)
      put(judgement, fault.window, at: time, nil, vm.id)
      return CheckResult(verdict: judgement.verdict)
    }
    if !heldBack.isEmpty, let slot = fault.slot { confirmHeldBack(before: fault, slot, vm) }
    if let region = fault.evidence.region, vm.knownFrom != fault.evidence.endEpoch {
      table.regions.enter(epoch: fault.evidence.endEpoch, region)
    }
    return switch fault.kind {
    case .translation: checkTranslation(fault, at: time, vm, &backend)
    case .permission, .accessFlag: checkLeaf(fault, at: time, vm, &backend)
    default: CheckResult()
    }
  }

  private func contradiction(of rule: DivergenceRule) -> Judgement {
    .contradiction(of: rule, besideLostSlot: lacksSlot)
  }

  /// Holds a fault against the model before its own thread changes that, ahead of its operation.
  mutating func checkAhead<Backend: Stage2Backend & ~Copyable>(
    _ fault: SettledFault, at time: Nanoseconds, _ vm: KnownVM, _ backend: inout Backend
  ) {
    if check(fault, at: time, vm, &backend).isCorrected { correctedAhead[fault.vcpu] = fault.begin }
  }

  /// Whether the leaf of a fault was changed when it was held against the model ahead of its operation, which follows.
  mutating func takeCorrection(of fault: SettledFault) -> Bool {
    guard !correctedAhead.isEmpty, correctedAhead[fault.vcpu] == fault.begin else { return false }
    correctedAhead[fault.vcpu] = nil
    return true
  }

  /// How the table was corrected since the last time that this was asked.
  mutating func takeResync() -> CarriedResync? { resync.take() }

  /// The table is corrected.
  mutating func note(_ correction: CarriedResync) { resync = correction }

  // MARK: What is waited for

  /// A slot that is being deleted or moved is out of force a while before its commit, and the trace tells the commit
  /// alone: whether it comes is waited for.
  @inline(never)
  private mutating func holdBack(_ fault: SettledFault, at time: Nanoseconds, _ vm: KnownVM) {
    if let reason = fault.reasonUnknown ?? (fault.evidence.mayLackCommit ? .lostEvents : nil) {
      // The fault's own end may be missing, and the beginning of what kvm_mmio speaks of, or the commit of the slot's end.
      put(.unknown(.mmioLiesOutsideSlots, reason), fault.window, at: time, nil, vm.id)
    } else if fault.evidence.isSlotRemoved
      || vm.removals.contains(where: { $0.covers(fault.window, pageSize) })
    {
      put(.explained(.mmioLiesOutsideSlots, .untracedChange), fault.window, at: time, nil, vm.id)
    } else if heldBack.count < Self.heldBackMax {
      heldBack.append(HeldBackFault(fault: fault.window, time: time))
    } else {
      put(.unknown(.mmioLiesOutsideSlots), fault.window, at: time, nil, vm.id)
    }
  }

  /// The slot is still in force, as another fault shows: nothing was deleting it.
  @inline(never)
  private mutating func confirmHeldBack(before fault: SettledFault, _ slot: Memslot, _ vm: KnownVM) {
    guard !fault.sawMMIO else { return }
    let held = heldBack
    heldBack.removeAll { $0.fault.slot?.base == slot.base && fault.evidence.entry >= $0.fault.end }
    for entry in held where entry.fault.slot?.base == slot.base && fault.evidence.entry >= entry.fault.end {
      // A commit between the two may be missing, which took the slot away and put it back.
      let mayLackCommit = entry.fault.evidence.endEpoch != fault.evidence.endEpoch
      let judgement: Judgement =
        mayLackCommit
        ? .unknown(.mmioLiesOutsideSlots, .lostEvents)
        : slot.basis == .assumed
          ? .unknown(.mmioLiesOutsideSlots) : contradiction(of: .mmioLiesOutsideSlots)
      put(judgement, entry.fault, at: entry.time, nil, vm.id)
    }
  }

  /// A slot is gone, which accounts for accesses to it since its removal began.
  mutating func settleHeldBack(_ removal: SlotRemoval, _ vm: VMIndex) {
    for entry in heldBack where removal.covers(entry.fault, pageSize) {
      put(.explained(.mmioLiesOutsideSlots, .untracedChange), entry.fault, at: entry.time, nil, vm)
    }
    let pageSize = pageSize
    heldBack.removeAll { removal.covers($0.fault, pageSize) }
  }

  /// What runs of faults led nowhere, and what never was settled.
  mutating func finish(_ vm: VMIndex) {
    for vcpu in progress.indices {
      if let run = progress[vcpu].progress.end(), let last = progress[vcpu].last { put(run, last, vm) }
    }
    for entry in heldBack {
      put(.unknown(.mmioLiesOutsideSlots, .untracedChange), entry.fault, at: entry.time, nil, vm)
    }
  }

  // MARK: What faults did

  /// A fault was applied.
  ///
  /// - Parameters:
  ///   - before: what a walk of its address found before.
  ///   - contradicts: it broke a rule without anything to account for it, or led nowhere though nobody was faster.
  @inline(__always)
  mutating func note(
    _ effect: FaultEffect, of fault: SettledFault, _ before: Stage2Walk, at time: Nanoseconds, _ vm: VMIndex,
    knownFrom: Epoch, contradicts: Bool, isRetried: Bool
  ) {
    var isFruitless = isRetried
    if case .again = effect { isFruitless = true }
    noteProgress(
      fault, at: time, vm, contradicts: contradicts, isRetried: isRetried,
      isFruitless: isFruitless && !contradicts)
    guard let region = fault.evidence.region else { return }
    table.regions.append(RegionEvent(fault, at: time, effect), to: region)
    guard case .mapped(let level, let isAssumed, let isSizeAssumed, let isReadMapped) = effect else {
      return noteOther(effect, of: fault, region, before)
    }
    var knowledge: LeafKnowledge = knownFrom == fault.evidence.endEpoch ? [] : .isEstablished
    if isAssumed { knowledge.insert(.isAssumed) }
    if isSizeAssumed { knowledge.insert(.isSizeAssumed) }
    if isReadMapped { knowledge.insert(.isReadMapped) }
    if fault.isWrite || isReadMapped { knowledge.insert(.wasWritable) }
    if fault.evidence.mayBeAged { knowledge.insert(.mayBeOld) }
    table.noteMapped(fault, region, level: level, knowledge, before)
  }

  /// A fault mapped nothing.
  @inline(never)
  private mutating func noteOther(
    _ effect: FaultEffect, of fault: SettledFault, _ region: RegionIndex, _ before: Stage2Walk
  ) {
    switch effect {
    case .again: table.noteAgain(fault, region, before)
    case .nothing(let isAssumed, let refusal):
      if isAssumed { table.noteOpen(fault, region) }
      lastRefused = refusal.map { RefusedFault(page: fault.page, refusal: $0) }
    case .madeYoung:
      table.noteYoung(fault, region, before)
      if fault.level < .l3 { table.noteWhole(fault) }
    case .relaxed(let isAssumed): noteGrant(fault, before, isAssumed: isAssumed)
    case .mapped: break
    }
  }

  /// A fault added a right to its leaf.
  @inline(never)
  private mutating func noteGrant(_ fault: SettledFault, _ before: Stage2Walk, isAssumed: Bool) {
    let stayed = fault.evidence.ranOn == fault.cpu && fault.evidence.endedOn == fault.cpu
    grants[grantKey(fault, before)] = RightGrant(
      tid: fault.tid, cpu: stayed ? fault.cpu : nil, sequence: fault.end, isAssumed: isAssumed)
    if fault.isWrite {
      table.setLeaf(fault, before) {
        $0.subtract([.isReadMapped, .mayBeProtected])
        $0.insert(.wasWritable)
      }
      table.noteWhole(fault)
    }
  }

  /// Notes how a fault ended, for rule L1. Most faults lead on, and so did their vCPU's last one.
  @inline(__always)
  private mutating func noteProgress(
    _ fault: SettledFault, at time: Nanoseconds, _ vm: VMIndex, contradicts: Bool, isRetried: Bool,
    isFruitless: Bool
  ) {
    if !contradicts, !isRetried, !isFruitless,
      fault.vcpu >= progress.count || progress[fault.vcpu].isIdle
    {
      return
    }
    noteRun(
      fault, at: time, vm, contradicts: contradicts, isRetried: isRetried, isFruitless: isFruitless)
  }

  @inline(never)
  private mutating func noteRun(
    _ fault: SettledFault, at time: Nanoseconds, _ vm: VMIndex, contradicts: Bool, isRetried: Bool,
    isFruitless: Bool
  ) {
    while progress.count <= fault.vcpu { progress.append(VCPUProgress()) }
    progress[fault.vcpu].fruitless = isFruitless ? FruitlessFault(fault) : nil
    if !contradicts, !isRetried, !isFruitless, progress[fault.vcpu].last == nil { return }
    let run = progress[fault.vcpu].progress.note(
      fault.page, fault.kind, isWrite: fault.isWrite, isExec: fault.isExec, contradicts: contradicts,
      isRetried: isRetried)
    if let run, let last = progress[fault.vcpu].last { put(run, last, vm) }
    progress[fault.vcpu].last =
      contradicts || isRetried
      ? FaultPlace(time: time, cpu: fault.cpu, tid: fault.tid, region: fault.evidence.region) : nil
  }

  /// Whether a fault is the same as its vCPU's fault before, which came to nothing for a known reason.
  func isRetry(_ fault: SettledFault) -> Bool {
    fault.vcpu < progress.count && progress[fault.vcpu].fruitless == FruitlessFault(fault)
  }

  /// What the last fault on the page came to, if that was nothing, for a reason that this one would contradict.
  func lastRefusal(of fault: SettledFault) -> LeafCheck.Refusal? {
    guard let refused = lastRefused, refused.page == fault.page else { return nil }
    return refused.refusal
  }

  /// Who was granted the right that a fault asks for, nil where the leaf is younger than that.
  func grant(_ fault: SettledFault, _ walk: Stage2Walk) -> RightsCheck.Grant? {
    guard let grant = grants[grantKey(fault, walk)] else { return nil }
    if table.isLeafRecent(fault, walk, since: grant.sequence) { return nil }
    return RightsCheck.Grant(
      isRecent: grant.sequence > fault.evidence.entry, isOwn: grant.tid == fault.tid,
      mayBeStale: grant.cpu == nil || grant.cpu != fault.evidence.ranOn, isAssumed: grant.isAssumed)
  }

  private func grantKey(_ fault: SettledFault, _ walk: Stage2Walk) -> FrameKey {
    var gfn = fault.page.gfn(pageSize).rawValue
    if case .leaf(let level, _, _) = walk, level < .l3 {
      gfn &= ~(pageSize.granule(level) >> pageSize.shift - 1)
    }
    return FrameKey(gfn << 1 | (fault.isWrite ? 1 : 0))
  }

  // MARK: What is put down

  /// Nothing is known of the table any more: nothing contradicts it.
  mutating func forgetTable() { log.isOfUnknownState = true }

  /// What broke a rule since the last call, if somebody looks at that one by one.
  mutating func takeDivergences() -> [ObservedDivergence] { log.takeObserved() }

  private mutating func put(_ run: FaultProgress.Run, _ last: FaultPlace, _ vm: VMIndex) {
    let block = run.page.rawValue / pageSize.pmdBytes
    let place = DivergencePlace(time: last.time, cpu: last.cpu, tid: last.tid, ipa: run.page)
    guard let first = log.count(run.judgement, vm: vm, block: block, at: place) else { return }
    let judgement = first.judgement
    log.append(
      first, order: order,
      Divergence(
        rule: judgement.rule, verdict: judgement.verdict, exception: judgement.exception, time: last.time,
        cpu: last.cpu, tid: last.tid, vm: vm.position, ipa: run.page, expected: judgement.rule.statement,
        observed: "\(run.faults) faults in a row on one page, for one reason", basis: .derived, count: 1,
        state: nil, recentEvents: table.recentEvents(last.region)))
  }

  @inline(never)
  mutating func put(
    _ judgement: Judgement, _ fault: FaultWindow, at time: Nanoseconds, _ walk: Stage2Walk?, _ vm: VMIndex
  ) {
    let block = fault.page.rawValue / pageSize.pmdBytes
    let place = DivergencePlace(time: time, cpu: fault.cpu, tid: fault.tid, ipa: fault.page)
    guard let first = log.count(judgement, vm: vm, block: block, at: place) else { return }
    let judgement = first.judgement
    log.append(
      first, order: order,
      Divergence(
        rule: judgement.rule, verdict: judgement.verdict, exception: judgement.exception, time: time,
        cpu: fault.cpu, tid: fault.tid, vm: vm.position, ipa: fault.page,
        expected: DivergenceWords.expectation(judgement.rule, walk), observed: DivergenceWords.fault(fault),
        basis: judgement.verdict == .unknown ? .assumed : .derived, count: 1, state: walk,
        recentEvents: judgement.verdict == .explained ? [] : table.recentEvents(fault.evidence.region)))
  }
}

extension FaultWindow {
  /// kvm_mmio where a slot is: none is known to be there, or the slot is on its way out.
  fileprivate var isAccessToSlot: Bool {
    @inline(__always) get {
      guard sawMMIO, let slot else { return false }
      return !(isWrite && slot.flags.contains(.readOnly))
    }
  }

  /// Why the window says nothing of the table, nil where it does.
  var reasonUnknown: DivergenceException? {
    @inline(__always) get {
      evidence.entryEpoch != evidence.endEpoch || evidence.endEpoch.isInGap || evidence.mayBeOfOtherVM
        ? .lostEvents : nil
    }
  }
}
