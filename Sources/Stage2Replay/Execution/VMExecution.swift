internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

/// Executes what is settled of one VM on the model of its stage 2. All of it is execution time; it shares nothing with
/// other VMs and looks at nothing above it.
///
/// | file | does |
/// |---|---|
/// | `VMExecution.swift` | range operations, and what each step leaves behind |
/// | `VMExecution+Faults.swift` | faults |
/// | `VMExecution+Resets.swift` | vCPUs that are initialised again |
/// | `VMExecution+DirtyLog.swift` | write protection and splitting by dirty logging |
/// | `VMExecution+OtherKernel.swift` | the same under another kernel, by what the traced one decides |
struct VMExecution<Backend: Stage2Backend & ~Copyable>: ~Copyable {
  let context: ReplayContext
  private(set) var known: KnownVM
  /// The kernel's functions, as they work on this VM.
  var kvm: KVM<Backend>
  var host: HostMemory
  var checks: FaultChecks
  var tally = VMTally()
  private(set) var series: VMSeries
  /// What the steps did, in their order.
  var effects: ExecutionEffects
  /// What the last range operation called.
  private var rangeCalls: [RangeCall] = []
  /// The work of the model up to the step's last operation.
  var workBefore = Stage2Work()
  /// The same under the traced kernel, where this is another one.
  private let traced: (any TracedExecution)?
  /// What the other kernel has to be told, where this is the traced one.
  var carried: CarriedDecisions

  /// - Parameters:
  ///   - model: the kernel and machine that are modelled.
  ///   - keepsOperations: whether anybody looks at the operations one by one.
  ///   - isTracedAlong: this is the traced kernel, and another one takes over what is decided here.
  ///   - traced: what this kernel takes over, where it is another one.
  init(
    _ vm: AttributedVM, _ context: ReplayContext, of model: ReplayProfile, backend: consuming Backend,
    keepsOperations: Bool = false, isTracedAlong: Bool = false, beside traced: (any TracedExecution)? = nil
  ) {
    self.context = context
    self.traced = traced
    carried = CarriedDecisions(areKept: isTracedAlong)
    known = KnownVM(vm, pageSize: context.pageSize)
    var profile = model.profile
    profile.isProtected = model.modelsProtected(vm.identity.isProtected)
    kvm = KVM(
      profile: profile, geometry: model.geometry, stage2: backend,
      keeps: context.options.measuresWork ? [.rangeCalls, .sections] : .rangeCalls)
    host = HostMemory(pageSize: context.pageSize, vm.identity.life)
    series = VMSeries(from: max(vm.identity.since, context.part.from ?? vm.identity.since))
    checks = FaultChecks(context)
    effects = ExecutionEffects(
      areKept: keepsOperations, keepsMemory: context.options.observed.contains(.memory) && !isTracedAlong)
  }

  var pageSize: PageSize { context.pageSize }
  /// Whether it is modelled as a protected guest. No kernel's protected guest lets go of memory.
  var modelsProtected: Bool { kvm.profile.isProtected }

  /// Whether the kernel has stopped: nothing is known of the table any more.
  var hasStopped: Bool { mutating get { kvm.stage2.hasStopped } }

  /// The memory of its stage 2, nothing where the backend accounts for none.
  var memory: MemoryAccounting { kvm.stage2.accountedMemory ?? MemoryAccounting(pageSize: pageSize) }

  /// Executes steps of the VM, from `position` on, as far as they come before `end`.
  ///
  /// - Returns: the position of the first step that was left.
  @discardableResult
  mutating func execute(
    _ batch: UnsafePointer<ExecutionBatch>, from position: Int = 0, before end: UInt64 = .max
  ) -> Int {
    var position = position
    let count = batch.pointee.steps.count
    /// The first fault that was not brought near.
    var far = 0
    while position < count {
      let step = UnsafePointer(batch.pointee.steps.place(of: position))
      if step.pointee.order >= end { break }
      if case .fault(let number) = step.pointee.action, number >= far {
        far = min(number + Self.lookedAtOnce, batch.pointee.faultCount)
        bringNear(batch, number..<far)
      }
      execute(step, of: batch)
      position += 1
    }
    return position
  }

  /// So many faults are looked at together.
  private static var lookedAtOnce: Int { 16 }

  /// Brings nearer what the next faults find of their pages, in tables that are larger than the caches. Nothing depends on what is
  /// there, so the memory answers to all of them at the same time, where each fault would wait for its own.
  private mutating func bringNear(_ batch: UnsafePointer<ExecutionBatch>, _ faults: Range<Int>) {
    let pageSize = pageSize
    for number in faults {
      let fault = batch.pointee.fault(number)
      kvm.stage2.prefetch(fault.page)
      if let region = fault.evidence.region {
        checks.table.regions.prefetch(fault.page.gfn(pageSize), of: region)
      }
    }
  }

  /// Executes one step.
  mutating func execute(_ step: UnsafePointer<ExecutionStep>, of place: UnsafePointer<ExecutionBatch>) {
    if let traced {
      execute(step, of: place, beside: traced)
    } else {
      executeAlone(step, of: place)
    }
    if effects.keepsMemory, let origin = step.pointee.origin { noteMemory(at: origin.time) }
  }

  private mutating func executeAlone(
    _ step: UnsafePointer<ExecutionStep>, of place: UnsafePointer<ExecutionBatch>
  ) {
    if case .learn(let position) = step.pointee.action { return learn(place.pointee.fact(position)) }
    guard let origin = step.pointee.origin else { return }
    checks.order = step.pointee.order
    effects.order = step.pointee.order
    sampleMemory(before: origin.time)
    if hasStopped { checks.forgetTable() }
    kvm.stage2.note(CallCause(step.pointee.action, origin))
    if context.options.measuresWork { workBefore = kvm.stage2.work }
    switch step.pointee.action {
    case .fault(let position): handleGuestAbort(place.pointee.fault(position), origin)
    case .check(let position): check(place.pointee.fault(position), origin)
    case .endLogging(let frames):
      checks.table.endLogging(frames)
      host.dirty.free(frames.start)
    // The memory of a protected guest stays as it is until the VM ends (`kvm_unmap_gfn_range`, `kvm_age_gfn`,
    // `kvm_stage2_unmap_range`): nothing is known of it that could change.
    case .unmap, .deleteSlot, .wrprotect, .dirtyLog, .age:
      // What only looks at the VM would be handed a copy of it.
      if !kvm.profile.isProtected { executeRange(step.pointee.action, origin) }
    case .reset(let position): resetVCPUs(place.pointee.reset(position), origin)
    case .learn: break
    }
  }

  @inline(never)
  private mutating func check(_ fault: SettledFault, _ origin: StepOrigin) {
    checks.checkAhead(fault, at: origin.time, known, &kvm.stage2)
    carryResync()
  }

  mutating func learn(_ fact: VMFact) {
    if case .regionTouched(let region, let block) = fact {
      checks.table.regions.append(region, block: block)
      checks.table.regions[region].host = host.mappings.touch(block)
    } else if case .unseenFault(let since, let end) = fact {
      checks.table.noteUnseenFault(since: since, until: end)
    } else if case .gone = fact {
      // Which processor or thread that was, is nobody's concern any more.
      let time = known.end?.time ?? Nanoseconds(0)
      kvm.stage2.note(CallCause(.end, time: time, cpu: CPUIndex(0), tid: ThreadID(0)))
    } else {
      known.learn(fact)
    }
  }

  /// An interval may have ended since the VM's last operation: its memory was what it is now.
  @inline(__always)
  mutating func sampleMemory(before time: Nanoseconds) {
    if series.isDue(at: time) { takeSample(before: time) }
  }

  @inline(never)
  private mutating func takeSample(before time: Nanoseconds) {
    // What comes in late for a VM that has ended is no later than its end.
    let time = known.end.map { min($0.time, time) } ?? time
    guard series.isDue(at: time) else { return }
    series.advance(to: time, context.grid, MemorySample(memory))
  }

  /// Somebody looks at the memory behind each step.
  @inline(never)
  private mutating func noteMemory(at time: Nanoseconds) {
    // What comes in late for a VM that has ended is no later than its end.
    effects.note(MemorySample(memory), at: known.end.map { min($0.time, time) } ?? time, ofVM: known.id)
  }

  /// An RCU grace period passes.
  mutating func passGracePeriod() {
    traced?.passGracePeriod()
    kvm.stage2.passGracePeriod()
  }

  /// What the stage 2 of the VM occupied under the traced kernel.
  mutating func bounds(_ member: MarkerRoster.VM) -> MemoryBounds {
    traced?.bounds(member) ?? MemoryBounds(&self, member)
  }

  /// Where the traced kernel's model and the trace differ.
  var log: DivergenceLog { traced?.log ?? checks.log }

  /// What broke a rule since the last call, if somebody looks at that one by one.
  mutating func takeDivergences() -> [ObservedDivergence] { traced == nil ? checks.takeDivergences() : [] }

  // MARK: Range operations

  mutating func executeRange(_ action: ExecutionStep.Action, _ origin: StepOrigin) {
    switch action {
    case .unmap(let frames, let isDead):
      if isDead { return }
      host.unmap(frames, by: origin.tid, &checks.table.regions)
      kvm.kvmUnmapGFNRange(frames.start..<frames.end, mayBlock: true)
      emitRangeCalls(basis: .derived, origin)
      checks.table.noteUnmapped(
        frames, isAssumed: !origin.doubts.subtracting([.lostCommit, .lostWait]).isEmpty)
      remember(.unmap, frames, origin)
    case .deleteSlot(let frames):
      host.unmap(frames, by: origin.tid, &checks.table.regions)
      kvm.kvmArchFlushShadowMemslot(Stage2Model.Memslot(frames))
      emitRangeCalls(basis: .derived, origin)
      host.mappings.forget(frames, &checks.table.regions)
      checks.table.noteUnmapped(frames)
      remember(.slotRemoval, frames, origin)
      if let removal = known.takeRemoval(at: origin.sequence) { checks.settleHeldBack(removal, known.id) }
    case .wrprotect(let frames):
      remember(.writeProtection, frames, origin)
      kvm.kvmMMUWPMemoryRegion(Stage2Model.Memslot(frames))
      emitRangeCalls(basis: .assumed, origin)
      if !kvm.profile.isPKVM { checks.table.beginLogging(frames) }
      splitEagerly(frames, origin)
    case .dirtyLog(let log): change(log, origin)
    case .age(let age): if !age.isDead { self.age(age, origin) }
    case .fault, .check, .endLogging, .reset, .learn: break
    }
  }

  /// Handles an age of frames, or a test.
  ///
  /// - Parameter isTracedCertain: under another kernel, whether the traced one certainly found nothing young.
  mutating func age(_ age: AgeOfFrames, _ origin: StepOrigin, isTracedCertain: Bool? = nil) {
    let (frames, markOld) = (age.frames, age.markOld)
    let address = frames.start.ipa(pageSize)
    if markOld { host.age(frames, by: origin.tid, &checks.table.regions) }
    let range = frames.start..<frames.end
    let young = markOld ? kvm.kvmAgeGFN(range) : kvm.kvmTestAgeGFN(range)
    remember(markOld ? .age : .testAge, frames, origin)
    // A fault that was open may have set the flag just before or just after, as may the hardware at any time.
    let isUnmapped = frames.count == 1 && !isMapped(address)
    let isCertain =
      !young
      && (isTracedCertain ?? !age.duringFault && (!context.profile.hasHardwareAccessFlag || isUnmapped)
        && checks.table.isKnownOld(frames, in: age.epoch, knownFrom: known.knownFrom)
        && age.epoch == known.slotsKnownFrom)
    if isCertain { carried.note(.certainAge) }
    emit(
      .testClearYoung, address, size: frames.count << pageSize.shift, markOld: markOld,
      result: context.tellsFaults ? young ? 1 : 0 : nil,
      basis: isCertain ? .derived : .assumed, of: known.basis(at: frames.start), origin)
    if markOld, !age.duringFault, origin.doubts.isEmpty, !context.profile.hasHardwareAccessFlag {
      checks.table.noteAged(frames)
    }
    if markOld, !origin.doubts.isEmpty { checks.table.doubtAge(of: frames) }
  }

  /// Hands on what `stage2_apply_range` called.
  mutating func emitRangeCalls(basis: Basis, _ origin: StepOrigin) {
    kvm.takeRangeCalls(into: &rangeCalls)
    for call in rangeCalls {
      let kind: OperationKind =
        switch call.operation {
        case .unmap: .unmap
        case .wrprotect: .wrprotect
        case .flush: .flush
        }
      emit(
        kind, call.address, size: call.size, result: call.result.rawValue, basis: basis,
        of: known.basis(at: call.address.gfn(pageSize)), origin)
    }
  }

  /// Notes what a range operation did, for the regions that it touches.
  mutating func remember(_ kind: RegionEvent.Kind, _ frames: FrameRange, _ origin: StepOrigin) {
    let event = RegionEvent(
      time: origin.time, ipa: frames.start.ipa(pageSize), pages: UInt32(clamping: frames.count),
      tid: origin.tid, cpu: origin.cpu, kind: kind, level: nil, access: .none, effect: .asked)
    checks.table.regions.forEach(in: frames) { region, regions in regions.append(event, to: region) }
  }

  mutating func isMapped(_ ipa: IPA) -> Bool {
    if case .leaf = kvm.stage2.walk(ipa) { return true }
    return false
  }

  // MARK: What a step leaves behind

  /// A fault shows memory in use.
  @inline(never)
  mutating func touch(
    _ fault: SettledFault, in region: RegionIndex, level: TranslationLevel, _ origin: StepOrigin
  ) {
    carried.note(.touched(region, level))
    series.workingSet.touch(
      fault.page.gfn(pageSize), in: region, of: &checks.table.regions, level: level,
      isFixed: fault.slot.map { GuestMemory.isFixed($0, besides: known.largestSlot) } ?? false,
      at: origin.time, interval: series.interval.index(of: origin.time, context.grid))
  }

  /// An operation was performed on the VM's table.
  ///
  /// - Parameter slot: how the slot is known that it concerns: no operation is more certain.
  @inline(__always)
  mutating func emit(
    _ kind: OperationKind, _ address: IPA, size: UInt64, prot: Stage2Prot? = nil, protBasis: Basis? = nil,
    markOld: Bool = false, result: Int32?, basis: Basis, of slot: Basis, _ origin: StepOrigin
  ) {
    let weakest = max(slot, context.hypothesisBasis)
    let basis = max(basis, origin.doubts.isEmpty ? weakest : .assumed)
    // Nobody returned anything.
    let result = hasStopped ? nil : result
    tally.operations[Int(kind.rawValue)].add(kind, pages: size >> pageSize.shift, result, basis)
    guard effects.areKept || context.options.measuresWork else { return }
    keep(
      kind, address, size: size, prot: prot, protBasis: protBasis.map { max($0, weakest) }, markOld: markOld,
      result: result, basis: basis, origin)
  }

  /// Somebody looks at the operation by itself, or at its work.
  @inline(never)
  private mutating func keep(
    _ kind: OperationKind, _ address: IPA, size: UInt64, prot: Stage2Prot?, protBasis: Basis?,
    markOld: Bool, result: Int32?, basis: Basis, _ origin: StepOrigin
  ) {
    var work: Stage2Work?
    if context.options.measuresWork {
      let now = kvm.stage2.work
      tally.work[Int(kind.rawValue)] += now - workBefore
      work = now - workBefore
      workBefore = now
    }
    guard effects.areKept else { return }
    var operation = Stage2Operation(
      time: origin.time, cpu: origin.cpu, tid: origin.tid, vm: known.id.position, kind: kind,
      address: address, size: size, prot: prot, result: result, basis: basis)
    operation.markOld = markOld
    operation.protBasis = protBasis
    effects.append(operation, origin.place, work: work)
  }

  /// Whoever needed the effects has them.
  mutating func forgetEffects() { effects.removeAll() }

  /// The trace has ended.
  mutating func finish(_ order: UInt64) {
    if let traced {
      traced.finish(order)
      tally.takeOver(traced)
    }
    checks.order = order
    checks.finish(known.id)
    let last = MemorySample(memory)
    guard let end = known.end else { return series.finish(context.grid, last: last, now: last) }
    series.advance(to: end.time, context.grid, last)
    series.finish(context.grid, last: last, now: MemorySample(memory.released()))
  }
}

/// What the steps of a batch did to one VM's table.
struct ExecutionEffects {
  /// An operation, and where it stands.
  struct Performed {
    var operation: Stage2Operation
    /// Which window and which notifier event of the thread it belongs to.
    var place: ThreadPlace
    var work: Stage2Work?
    /// Its step's place among those of all VMs.
    var order: UInt64
  }

  /// Whether anybody looks at them.
  let areKept: Bool
  /// Whether anybody looks at the memory behind each step.
  let keepsMemory: Bool
  private(set) var operations: ContiguousArray<Performed> = []
  /// The place of the step that is being executed.
  var order: UInt64 = 0

  mutating func append(_ operation: Stage2Operation, _ place: ThreadPlace, work: Stage2Work?) {
    operations.append(Performed(operation: operation, place: place, work: work, order: order))
  }

  /// The memory where it changed, since it was taken last, and what it was last.
  private var memory: [ObservedMemory] = []
  private var lastMemory: MemorySample?

  init(areKept: Bool, keepsMemory: Bool) { (self.areKept, self.keepsMemory) = (areKept, keepsMemory) }

  mutating func note(_ sample: MemorySample, at time: Nanoseconds, ofVM vm: VMIndex) {
    guard sample != lastMemory else { return }
    lastMemory = sample
    memory.append(ObservedMemory(vm: vm.position, time: time, sample: sample))
  }

  /// The memory where it changed since the last call.
  mutating func takeMemory() -> [ObservedMemory] {
    defer { memory.removeAll(keepingCapacity: true) }
    return memory
  }

  mutating func removeAll() { operations.removeAll(keepingCapacity: true) }
}

extension Stage2Model.Memslot {
  /// A slot of these frames, where no more of it matters.
  init(_ frames: FrameRange) {
    self.init(id: 0, baseGFN: frames.start, pages: frames.count, hva: HVA(0))
  }

  /// A slot as the kernel has it. Where its host address is not known, guest and host addresses may be congruent.
  init(_ slot: Memslot, _ pageSize: PageSize) {
    self.init(
      id: UInt32(truncatingIfNeeded: slot.id ?? 0), baseGFN: slot.base, pages: slot.pages,
      hva: slot.hva ?? HVA(slot.base.ipa(pageSize).rawValue), flags: Flags(rawValue: slot.flags.rawValue & 7))
  }
}
