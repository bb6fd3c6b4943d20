package import KVMTypes
package import Stage2Model

/// A backend that leads: it decides the course of a replay, and everything that changes a table is handed on to those who follow.
package struct LedStage2<Lead: Stage2Backend & ~Copyable>: ~Copyable {
  private var lead: Lead
  private let conductor: CallConductor
  private let vm: UInt32
  private let shape: ForeignShape
  private let frameOffset: UInt64

  /// - Parameters:
  ///   - lead: an empty table.
  ///   - shape: what those who follow are told of the VM.
  package init(_ lead: consuming Lead, _ shape: ForeignShape, _ conductor: CallConductor) {
    self.lead = lead
    self.conductor = conductor
    vm = conductor.create(shape)
    self.shape = shape
    frameOffset = shape.frameOffset(ofVM: Int(vm))
  }

  @inline(__always)
  private func hand(
    _ function: StageCall.Function, _ ipa: IPA = IPA(0), size: UInt64 = 0, prot: Stage2Prot = [],
    vcpu: VCPUIndex = VCPUIndex(0), expected: Int32 = 0
  ) {
    var call = StageCall(function, vm: vm)
    call.ipa = ipa.rawValue
    call.size = size
    call.prot = prot.rawValue
    call.vcpu = Int32(truncatingIfNeeded: vcpu.rawValue)
    call.expected = expected
    conductor.make(call)
  }
}

extension LedStage2: Stage2Backend where Lead: ~Copyable {
  package mutating func map(
    _ ipa: IPA, size: UInt64, pfn: PFN?, prot: Stage2Prot, vcpu: VCPUIndex
  ) -> KernelResult {
    let result = lead.map(ipa, size: size, pfn: pfn, prot: prot, vcpu: vcpu)
    var call = StageCall(.map, vm: vm)
    call.ipa = ipa.rawValue
    call.size = size
    call.pfn = pfn?.rawValue ?? shape.frame(of: ipa.gfn(shape.pageSize), offset: frameOffset)
    call.prot = prot.rawValue
    call.vcpu = Int32(truncatingIfNeeded: vcpu.rawValue)
    call.expected = result.rawValue
    conductor.make(call)
    return result
  }

  package mutating func unmap(_ ipa: IPA, size: UInt64) -> KernelResult {
    let result = lead.unmap(ipa, size: size)
    hand(.unmap, ipa, size: size, expected: result.rawValue)
    return result
  }

  package mutating func wrprotect(_ ipa: IPA, size: UInt64) -> KernelResult {
    let result = lead.wrprotect(ipa, size: size)
    hand(.wrprotect, ipa, size: size, expected: result.rawValue)
    return result
  }

  package mutating func flush(_ ipa: IPA, size: UInt64) -> KernelResult {
    let result = lead.flush(ipa, size: size)
    hand(.flush, ipa, size: size, expected: result.rawValue)
    return result
  }

  package mutating func testClearYoung(_ ipa: IPA, size: UInt64, markOld: Bool) -> Bool {
    let young = lead.testClearYoung(ipa, size: size, markOld: markOld)
    var call = StageCall(.testClearYoung, vm: vm)
    call.ipa = ipa.rawValue
    call.size = size
    call.markOld = markOld
    call.expected = young ? 1 : 0
    conductor.make(call)
    return young
  }

  package mutating func relaxPerms(_ ipa: IPA, prot: Stage2Prot) -> KernelResult {
    let result = lead.relaxPerms(ipa, prot: prot)
    hand(.relaxPerms, ipa, prot: prot, expected: result.rawValue)
    return result
  }

  package mutating func mkyoung(_ ipa: IPA) {
    lead.mkyoung(ipa)
    hand(.mkyoung, ipa)
  }

  package mutating func split(_ ipa: IPA, size: UInt64, vcpu: VCPUIndex) -> KernelResult {
    let result = lead.split(ipa, size: size, vcpu: vcpu)
    hand(.split, ipa, size: size, vcpu: vcpu, expected: result.rawValue)
    return result
  }

  package mutating func destroyRange(_ ipa: IPA, size: UInt64) {
    lead.destroyRange(ipa, size: size)
    hand(.destroyRange, ipa, size: size)
  }

  package mutating func destroyPGD() {
    lead.destroyPGD()
    hand(.destroyPGD)
  }

  package mutating func topUpMemcache(vcpu: VCPUIndex, pages: Int) {
    lead.topUpMemcache(vcpu: vcpu, pages: pages)
    hand(.topUpMemcache, size: UInt64(pages), vcpu: vcpu)
  }

  package mutating func freeMemcache(vcpu: VCPUIndex) {
    lead.freeMemcache(vcpu: vcpu)
    hand(.freeMemcache, vcpu: vcpu)
  }

  @discardableResult
  package mutating func topUpSplitCache(pages: Int) -> Int {
    let taken = lead.topUpSplitCache(pages: pages)
    hand(.topUpSplitCache, size: UInt64(pages), expected: Int32(clamping: taken))
    return taken
  }

  package mutating func freeSplitCache() {
    lead.freeSplitCache()
    hand(.freeSplitCache)
  }

  package mutating func loadVCPU(_ vcpu: VCPUIndex, cpu: Int) {
    lead.loadVCPU(vcpu, cpu: cpu)
    hand(.loadVCPU, size: UInt64(cpu), vcpu: vcpu)
  }

  package mutating func flushRemoteTLBs() {
    lead.flushRemoteTLBs()
    hand(.flushTLBs)
  }

  package mutating func flushRemoteTLBs(_ ipa: IPA, size: UInt64) {
    lead.flushRemoteTLBs(ipa, size: size)
    hand(.flushTLBRange, ipa, size: size)
  }

  package mutating func takeByForce(_ page: IPA) -> Bool {
    let taken = lead.takeByForce(page)
    hand(.takeByForce, page, expected: taken ? 1 : 0)
    return taken
  }

  package mutating func passGracePeriod() {
    lead.passGracePeriod()
    conductor.passGracePeriod(of: vm)
  }

  // MARK: What changes nothing

  package mutating func walk(_ ipa: IPA) -> Stage2Walk { lead.walk(ipa) }

  package mutating func prefetch(_ ipa: IPA) { lead.prefetch(ipa) }

  package var hasStopped: Bool { mutating get { lead.hasStopped } }

  package var work: Stage2Work { mutating get { lead.work } }

  package var accountedMemory: MemoryAccounting? { lead.accountedMemory }

  package var hypercallCounts: HypercallCounts? { lead.hypercallCounts }

  package borrowing func mappingTreeDepth() -> (maximum: Int, mean: Double)? { lead.mappingTreeDepth() }

  package mutating func note(_ cause: CallCause) {
    lead.note(cause)
    if cause.kind == .end { conductor.end(vm) } else { conductor.cause = cause }
  }

  package mutating func beginCorrection() { conductor.isCorrecting = true }

  package mutating func forgetHypercalls(since counts: HypercallCounts?) {
    conductor.isCorrecting = false
    lead.forgetHypercalls(since: counts)
  }
}
