internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

// A recorded fault as an access under another kernel than the one that was traced.

extension Replayer where Backend: ~Copyable {
  /// The last stage of `user_mem_abort` under `other`, if the access faults there at all.
  ///
  /// - Parameter isBlock: whether the traced kernel mapped a block.
  mutating func access(
    _ fault: FaultRecord, _ record: PendingRecord, _ slot: Memslot, isBlock: Bool, isCertain: Bool,
    under other: OtherKernel
  ) {
    let vm = vms[record.vm]
    let pageSize = profile.pageSize
    let gfn = fault.page.gfn(pageSize)
    let canHoldBlock =
      !model.modelsProtected(vm.isProtected) && !slot.isLogging
      && slot.supportsBlock(of: pageSize.pmdBytes, at: gfn, pageSize)
      && model.profile.mapsBlocks
    let mapsBlock = canHoldBlock && (profile.profile.mapsBlocks ? isBlock : other.extent == .most)
    vm.tally.accesses += 1
    if !isCertain { vm.tally.doubts.accesses += 1 }
    if !fault.isWrite, !slot.flags.contains(.readOnly), !slot.isLogging { vm.tally.doubts.rights += 1 }
    vm.workingSet.touch(
      gfn, isBlock: isBlock, isFixed: GuestMemory.isFixed(slot, besides: vm.largestSlot), at: record.time,
      interval: grid.index(of: record.time))
    if isBlock, !mapsBlock, other.extent == .most {
      // Every page of the recorded block is touched, one fault each.
      let region = timelines.region(gfn)
      for page in region.start.rawValue..<region.end.rawValue {
        access(GFN(page).ipa(pageSize), fault, record, slot, size: pageSize.bytes, isRaced: false)
      }
    } else {
      access(
        fault.page, fault, record, slot, size: mapsBlock ? pageSize.pmdBytes : pageSize.bytes,
        isRaced: timelines[fault.node].isRaced)
    }
  }

  /// An access to one page, which `size` would map.
  private mutating func access(
    _ page: IPA, _ fault: FaultRecord, _ record: PendingRecord, _ slot: Memslot, size: UInt64, isRaced: Bool
  ) {
    let vm = vms[record.vm]
    var prot: Stage2Prot = .read
    if fault.isExec { prot.insert(.execute) }
    if fault.isWrite || (!slot.flags.contains(.readOnly) && !slot.isLogging) { prot.insert(.write) }
    var relaxes = false
    if case .leaf(let level, let rights, _) = vm.backend.walk(page), !isRaced || fault.kind == .permission {
      let lacksWrite = fault.isWrite && !rights.contains(.write)
      let lacksExecute = fault.isExec && !rights.contains(.execute)
      guard lacksWrite || lacksExecute || isRaced else { return }
      // A block whose page is written while the slot logs is mapped anew, as a page.
      relaxes = (level < .l3) == (size > profile.pageSize.bytes)
      prot.formUnion(rights)
    }
    if model.modelsProtected(vm.isProtected) { (prot, relaxes) = (.rwx, false) }
    vm.tally.modelledFaults += 1
    vm.backend.topUpMemcache(vcpu: VCPUIndex(fault.vcpu), pages: model.minPages)
    let address = relaxes ? page : page.alignedDown(to: size)
    let result =
      relaxes
      ? vm.backend.relaxPerms(address, prot: prot)
      : vm.backend.map(address, size: size, pfn: nil, prot: prot, vcpu: VCPUIndex(fault.vcpu))
    emit(
      record, relaxes ? .relaxPerms : .map, address, size: relaxes ? 0 : size, prot: prot,
      protBasis: .modelled,
      result: result.rawValue, basis: .modelled)
  }
}
