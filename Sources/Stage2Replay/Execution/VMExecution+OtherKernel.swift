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
    let isRaced = fault.decision.isRaced
    let isCertain =
      max(outcome, recorded.basis) <= .derived && slot.basis <= .derived && !isRaced
      && (!fault.sharesEntry || fault.nextAccess == .progressed)
    let size = otherSize(fault, slot, recorded, other)
    tally.accesses += 1
    if !isCertain { tally.doubts.accesses += 1 }
    if !fault.isWrite, !slot.flags.contains(.readOnly), !slot.isLogging { tally.doubts.rights += 1 }
    touch(fault, in: region, level: recorded.level, origin)
    let extent = pageSize.granule(recorded.level)
    if size < extent, other.extent == .most {
      // Every page of the recorded block is touched, one fault for each mapping.
      let first = fault.page.alignedDown(to: extent).rawValue
      for address in stride(from: first, to: first + extent, by: Int(size)) {
        access(IPA(address), fault, slot, size: size, isRaced: false, origin)
      }
    } else {
      access(fault.page, fault, slot, size: size, isRaced: isRaced, origin)
    }
  }

  /// The size of the other kernel's mapping: that of the recorded one, as far as that kernel can have it.
  private mutating func otherSize(
    _ fault: SettledFault, _ slot: Memslot, _ recorded: MappingSize, _ other: OtherKernel
  ) -> UInt64 {
    let canHoldBlock =
      !modelsProtected && context.model.profile.mapsBlocks
      && slot.mayBeMapped(byBlockAt: fault.page, pageSize)
    guard canHoldBlock else { return pageSize.bytes }
    if recorded.level < .l2, !context.model.isPKVM { return pageSize.granule(recorded.level) }
    let mapsBlock = context.profile.profile.mapsBlocks ? recorded.isBlock : other.extent == .most
    return mapsBlock ? pageSize.pmdBytes : pageSize.bytes
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
      relaxes = pageSize.granule(level) == size
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
      result: result.rawValue, basis: .modelled, of: slot.basis, origin)
  }
}
