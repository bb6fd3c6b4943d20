internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

// A recorded fault as an access under another kernel than the one that was traced.
//
// It goes to the backend and not through `KVM.userMemAbort`, because it is no abort of that kernel: the trace has its address and
// what it wanted, not the kind and the level of the abort that this kernel's table would have caused, nor the page that its host
// would have found. To make an abort up from the walk, the size and the rights that are decided here would be to decide twice, and
// user_mem_abort would ask for less: an access that needs one more right asks for those that the leaf has, too.

extension VMExecution where Backend: ~Copyable {
  /// The last stage of `user_mem_abort` under the other kernel, if the access faults there at all.
  ///
  /// - Parameters:
  ///   - recorded: the size of the traced kernel's mapping.
  ///   - outcome: how it is known that the traced kernel made it.
  mutating func access(
    _ fault: SettledFault, in region: RegionIndex, _ slot: Memslot, _ recorded: MappingSize, _ outcome: Basis,
    _ origin: StepOrigin
  ) {
    guard let other = context.options.otherKernel else { return }
    let isBlock = recorded.isBlock
    let isRaced = fault.decision.isRaced
    let isCertain =
      max(outcome, recorded.basis) <= .derived && known.slotBasis <= .derived && !isRaced
      && (!fault.sharesEntry || fault.nextAccess == .progressed)
    let gfn = fault.page.gfn(pageSize)
    let canHoldBlock =
      !modelsProtected && context.model.profile.mapsBlocks
      && slot.mayBeMapped(byBlockAt: fault.page, pageSize)
    let mapsBlock = canHoldBlock && (context.profile.profile.mapsBlocks ? isBlock : other.extent == .most)
    tally.accesses += 1
    if !isCertain { tally.doubts.accesses += 1 }
    if !fault.isWrite, !slot.flags.contains(.readOnly), !slot.isLogging { tally.doubts.rights += 1 }
    touch(fault, in: region, isBlock: isBlock, origin)
    if isBlock, !mapsBlock, other.extent == .most {
      // Every page of the recorded block is touched, one fault each.
      let first = gfn.rawValue & ~(pageSize.pagesPerPMD - 1)
      for page in first..<first + pageSize.pagesPerPMD {
        access(GFN(page).ipa(pageSize), fault, slot, size: pageSize.bytes, isRaced: false, origin)
      }
    } else {
      access(
        fault.page, fault, slot, size: mapsBlock ? pageSize.pmdBytes : pageSize.bytes,
        isRaced: isRaced, origin)
    }
  }

  /// An access to one page, which `size` would map.
  private mutating func access(
    _ page: IPA, _ fault: SettledFault, _ slot: Memslot, size: UInt64, isRaced: Bool, _ origin: StepOrigin
  ) {
    var prot: Stage2Prot = .read
    if fault.isExec { prot.insert(.execute) }
    if fault.isWrite || (!slot.flags.contains(.readOnly) && !slot.isLogging) { prot.insert(.write) }
    var relaxes = false
    if case .leaf(let level, let rights, _) = kvm.stage2.walk(page), !isRaced || fault.kind == .permission {
      let lacksWrite = fault.isWrite && !rights.contains(.write)
      let lacksExecute = fault.isExec && !rights.contains(.execute)
      guard lacksWrite || lacksExecute || isRaced else { return }
      // A block whose page is written while the slot logs is mapped anew, as a page.
      relaxes = (level < .l3) == (size > pageSize.bytes)
      prot.formUnion(rights)
    }
    if modelsProtected { (prot, relaxes) = (.rwx, false) }
    tally.modelledFaults += 1
    kvm.stage2.topUpMemcache(vcpu: VCPUIndex(fault.vcpu), pages: context.model.minPages)
    let address = relaxes ? page : page.alignedDown(to: size)
    let result =
      relaxes
      ? kvm.stage2.relaxPerms(address, prot: prot)
      : kvm.stage2.map(address, size: size, pfn: nil, prot: prot, vcpu: VCPUIndex(fault.vcpu))
    emit(
      relaxes ? .relaxPerms : .map, address, size: relaxes ? 0 : size, prot: prot, protBasis: .modelled,
      result: result.rawValue, basis: .modelled, origin)
  }
}
