internal import KVMTrace
internal import KVMTypes

/// What the next fault of the same thread says about a fault.
enum NextAccess: UInt8 {
  /// Nothing: there was none yet.
  case unknown
  /// The same instruction faulted in the same way on the same address: it made no progress.
  case again
  /// It did so at once: nothing else made the vCPU leave the guest, and it ran on the same CPU.
  case againAtOnce
  /// The same instruction faulted on another address: it got through the first one. Or it found a leaf where there was none.
  case progressed
}

extension GuestFault {
  /// What this fault says about `last`, the one before it of the same thread; nil if nothing, as one of another
  /// instruction does, which may be an interrupt's handler.
  func next(after last: GuestFault) -> NextAccess? {
    guard pc == last.pc else { return nil }
    // The instruction itself has to be fetched anew: how far it got before is not known.
    if esr.isInstructionAbort, !last.esr.isInstructionAbort { return nil }
    // A walk of the guest's own table goes on to its next level, or to what the address is mapped to.
    let isFurtherOnWalk = last.esr.isStage1Walk && (ipa != last.ipa || !esr.isStage1Walk)
    if far != last.far || isFurtherOnWalk { return .progressed }
    guard ipa == last.ipa, esr.isStage1Walk == last.esr.isStage1Walk else { return nil }
    if esr.faultKind == last.esr.faultKind { return .again }
    return last.esr.faultKind == .translation && esr.faultKind.needsLeaf ? .progressed : nil
  }
}

extension FaultKind {
  /// Whether the walk found a leaf, which denied the access.
  var needsLeaf: Bool { self == .permission || self == .accessFlag }
}
