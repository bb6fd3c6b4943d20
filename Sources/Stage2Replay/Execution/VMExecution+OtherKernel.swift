internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

// The steps of a VM under another kernel than the one that was traced.
//
// The traced kernel is replayed beside, and what it decides of host and guest is handed on, fault by fault. Where this kernel's table
// is what the traced one's was, and both map in the same sizes, the fault is this kernel's fault, too, and goes through the same
// function. So the traced kernel itself, modelled as another one, does what its replay does.
//
// Elsewhere a fault stands for an access, and goes to the backend and not through `KVM.userMemAbort`, because it is no abort of this
// kernel: the trace has its address and what it wanted, not the kind and the level of the abort that this kernel's table would have
// caused, nor the page that its host would have found. To make an abort up from the walk, the size and the rights that are decided
// here would be to decide twice, and user_mem_abort would ask for less: an access that needs one more right asks for those that the
// leaf has, too.

extension VMExecution where Backend: ~Copyable {
  /// Executes one step, and what the traced kernel's execution of it decides.
  @inline(never)
  mutating func execute(
    _ step: UnsafePointer<ExecutionStep>, of place: UnsafePointer<ExecutionBatch>,
    beside traced: any TracedExecution
  ) {
    let decisions = traced.execute(step, of: place)
    if case .learn(let position) = step.pointee.action { return learn(place.pointee.fact(position)) }
    guard let origin = step.pointee.origin else { return }
    effects.order = step.pointee.order
    sampleMemory(before: origin.time)
    kvm.stage2.note(CallCause(step.pointee.action, origin))
    if context.options.measuresWork { workBefore = kvm.stage2.work }
    switch step.pointee.action {
    case .fault(let position), .check(let position):
      follow(decisions, place.pointee.fault(position), origin)
    case .unmap, .deleteSlot, .wrprotect, .dirtyLog:
      if modelsProtected { break }
      executeRange(step.pointee.action, origin)
      follow(decisions, nil, origin)
    case .age(let age):
      if modelsProtected || age.isDead { break }
      let isCertain = decisions.contains { if case .certainAge = $0 { true } else { false } }
      self.age(age, origin, isTracedCertain: isCertain)
    case .reset(let position): resetVCPUs(place.pointee.reset(position), origin)
    case .endLogging, .learn: break
    }
  }

  /// Takes over what the replay of the traced kernel decided of a step.
  ///
  /// - Parameter fault: whose step it is, nil where it is no fault's.
  private mutating func follow(
    _ decisions: ContiguousArray<CarriedDecision>, _ fault: SettledFault?, _ origin: StepOrigin
  ) {
    for decision in decisions {
      switch decision {
      case .unmapped(let gfn): unmapProven(gfn, origin)
      case .writeProtected(let gfn): writeProtect(gfn, origin)
      case .clearedDirtyLog(let frames, let first, let masks):
        clearDirtyLog(frames, first: first, masks: masks, origin)
      case .split(let base, let isAged): if !kvm.profile.isPKVM { split(base, isAged: isAged, origin) }
      case .certainAge: break
      case .abort, .accessFault, .touched, .resync, .takenByForce, .hole, .forgotten:
        if let fault { follow(decision, fault, origin) }
      }
    }
  }

  private mutating func follow(_ decision: CarriedDecision, _ fault: SettledFault, _ origin: StepOrigin) {
    switch decision {
    case .abort(let abort): follow(abort, fault, origin)
    case .accessFault(let before): follow(accessFaultOn: before, fault, origin)
    case .touched(let region, let level): touch(fault, in: region, level: level, origin)
    case .resync(let resync): if !modelsProtected { follow(resync, fault) }
    case .takenByForce: take(fault.page)
    case .hole: emitHole(fault, origin)
    case .forgotten: _ = forgetMapping(of: fault)
    default: break
    }
  }

  /// A fault of what a slot holds.
  private mutating func follow(_ abort: CarriedAbort, _ fault: SettledFault, _ origin: StepOrigin) {
    guard let slot = fault.slot else { return }
    let isSameTable = kvm.stage2.walk(fault.page) == abort.before && modelsProtected == known.isProtected
    guard let performed = abort.performed else {
      // What fills a memory cache and retries; where the page is mapped there is no such fault.
      if isSameTable || !isMapped(fault.page) { _ = memAbort(fault, abort.faultIn, isRetried: true) }
      return
    }
    let size = otherSize(fault, slot, performed.size)
    noteAccess(fault, slot, performed)
    // Who breaks an entry keeps others out by the lock on one path, and lets them fail on the other.
    let isSameRace = !abort.isOvertaken || context.profile.isPKVM == kvm.profile.isPKVM
    if isSameTable, isSameRace, size == pageSize.granule(performed.size.level) {
      tally.modelledFaults += 1
      let done = memAbort(
        fault, abort.faultIn, mayLog: abort.mayLog, isRetried: abort.isRetried, isOvertaken: abort.isOvertaken
      )
      emit(done, protBasis: .modelled, basis: .modelled, of: slot.basis, origin)
    } else {
      access(fault, slot, performed.size, size, isRaced: fault.decision.isRaced && isSameRace, origin)
    }
  }

  /// An access to a leaf that is old under the traced kernel.
  private mutating func follow(
    accessFaultOn before: Stage2Walk, _ fault: SettledFault, _ origin: StepOrigin
  ) {
    guard let slot = fault.slot, case .leaf(let level, _, _) = before,
      kvm.stage2.walk(fault.page) != before || modelsProtected != known.isProtected
    else { return handleAccessFault(fault, origin) }
    tally.accesses += 1
    let recorded = MappingSize(level: level, basis: .derived)
    access(fault, slot, recorded, otherSize(fault, slot, recorded), isRaced: false, origin)
  }

  private mutating func noteAccess(
    _ fault: SettledFault, _ slot: Memslot, _ performed: CarriedAbort.Performed
  ) {
    let isCertain =
      max(performed.outcome, performed.size.basis) <= .derived && slot.basis <= .derived
      && !fault.decision.isRaced && (!fault.sharesEntry || fault.nextAccess == .progressed)
    tally.accesses += 1
    if !isCertain { tally.doubts.accesses += 1 }
    let isRightKnown = !fault.evidence.mayLackCommit && (slot.flags.contains(.readOnly) || slot.isLogging)
    if !fault.isWrite, !isRightKnown { tally.doubts.rights += 1 }
  }

  /// The host took a page: from a guest that is not protected here it unmaps it as any other.
  private mutating func take(_ page: IPA) {
    if modelsProtected {
      _ = kvm.stage2.takeByForce(page)
    } else {
      _ = kvm.stage2.unmap(page, size: pageSize.bytes)
    }
  }

  /// The table is corrected as that of the traced kernel was.
  private mutating func follow(_ resync: CarriedResync, _ fault: SettledFault) {
    switch resync {
    case .unmap(let start, let size):
      kvm.stage2.unmapProven(start, size: size, ipaBits: kvm.profile.ipaBits)
    case .map(let size, let before):
      let walk = kvm.stage2.walk(fault.page)
      if walk != before, case .leaf = walk { return }
      let most = kvm.profile.isPKVM ? pageSize.pmdBytes : size
      let bytes = kvm.profile.mapsBlocks ? min(size, most) : pageSize.bytes
      kvm.stage2.mapProven(fault, bytes, minPages: kvm.geometry.minPages)
    }
  }

  // MARK: Accesses

  /// The size of the other kernel's mapping: that of the recorded one, as far as that kernel can have it.
  private func otherSize(_ fault: SettledFault, _ slot: Memslot, _ recorded: MappingSize) -> UInt64 {
    guard kvm.profile.mapsBlocks, !modelsProtected else { return pageSize.bytes }
    if context.profile.profile.mapsBlocks, !known.isProtected {
      return pageSize.granule(kvm.profile.isPKVM ? max(recorded.level, .l2) : recorded.level)
    }
    let mayBeBlock =
      context.options.otherKernel?.extent == .most && slot.mayBeMapped(byBlockAt: fault.page, pageSize)
    return mayBeBlock ? pageSize.pmdBytes : pageSize.bytes
  }

  /// An access to what the traced kernel mapped, which this one maps in another size, or with another table.
  private mutating func access(
    _ fault: SettledFault, _ slot: Memslot, _ recorded: MappingSize, _ size: UInt64, isRaced: Bool,
    _ origin: StepOrigin
  ) {
    let extent = pageSize.granule(recorded.level)
    if size < extent, context.options.otherKernel?.extent == .most {
      // Every page of the recorded block is touched, one fault for each mapping.
      let first = fault.page.alignedDown(to: extent).rawValue
      for address in stride(from: first, to: first + extent, by: Int(size)) {
        access(IPA(address), fault, slot, size: size, isRaced: false, origin)
      }
    } else {
      access(fault.page, fault, slot, size: size, isRaced: isRaced, origin)
    }
  }

  /// An access to what is old in this kernel's table faults (`handle_access_fault`).
  private mutating func makeYoung(_ page: IPA, _ slot: Memslot, _ origin: StepOrigin) {
    tally.modelledFaults += 1
    kvm.handleAccessFault(page)
    emit(.mkyoung, page, size: 0, result: nil, basis: .modelled, of: slot.basis, origin)
  }

  /// An access to one page, which `size` would map.
  private mutating func access(
    _ page: IPA, _ fault: SettledFault, _ slot: Memslot, size: UInt64, isRaced: Bool, _ origin: StepOrigin
  ) {
    var prot: Stage2Prot = .read
    if fault.isExec { prot.insert(.execute) }
    if fault.isWrite || (!slot.flags.contains(.readOnly) && !slot.isLogging) { prot.insert(.write) }
    var relaxes = false
    if case .leaf(let level, let rights, let isYoung) = kvm.stage2.walk(page),
      !isRaced || fault.kind == .permission
    {
      if !isYoung, !context.profile.hasHardwareAccessFlag { makeYoung(page, slot, origin) }
      let lacksWrite = fault.isWrite && !rights.contains(.write)
      let lacksExecute = fault.isExec && !rights.contains(.execute)
      guard lacksWrite || lacksExecute || isRaced else { return }
      // A block whose page is written while the slot logs is mapped anew, as a page.
      relaxes = pageSize.granule(level) == size
      prot.formUnion(rights)
    }
    if modelsProtected { (prot, relaxes) = (.rwx, false) }
    tally.modelledFaults += 1
    kvm.stage2.topUpMemcache(vcpu: VCPUIndex(fault.vcpu), pages: kvm.geometry.minPages)
    let address = relaxes ? page : page.alignedDown(to: size)
    let result =
      relaxes
      ? kvm.stage2.relaxPerms(address, prot: prot)
      : kvm.stage2.map(address, size: size, pfn: nil, prot: prot, vcpu: VCPUIndex(fault.vcpu))
    emit(
      relaxes ? .relaxPerms : .map, address, size: relaxes ? 0 : size, prot: prot, protBasis: .modelled,
      result: result.rawValue, basis: .modelled, of: slot.basis, origin)
  }
}
