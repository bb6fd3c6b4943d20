internal import KVMTypes
internal import Stage2Model

/// What the replay of the traced kernel found of host and guest in a step, beside what the step says itself: another kernel that is
/// modelled along has it happen to it, too.
enum CarriedDecision {
  /// A fault of what a slot holds was handled.
  case abort(CarriedAbort)
  /// `handle_access_fault`: the leaf that a walk found before was made young.
  case accessFault(before: Stage2Walk)
  /// The guest used the page of the fault, which a leaf of this level maps.
  case touched(RegionIndex, TranslationLevel)
  /// The model took the hardware's word.
  case resync(CarriedResync)
  /// A fault showed that its page had been unmapped.
  case unmapped(GFN)
  /// The host had taken the page of the fault by force, from a guest that it cannot ask for it.
  case takenByForce
  /// A hole was punched into a guest_memfd, at the page of the fault.
  case hole
  /// The slot of the fault went, and what it mapped went with it.
  case forgotten
  /// A fault showed that its page had been write-protected.
  case writeProtected(GFN)
  /// The VMM cleared the log of a slot, which had these words from a page on.
  case clearedDirtyLog(FrameRange, first: UInt64, masks: [UInt64])
  /// The block at an address was split; if that was found late, what aged the block since then aged the pages.
  case split(IPA, isAged: Bool)
  /// What `test_clear_young` finds is certain, unless it finds a young page.
  case certainAge
}

/// A correction of the model's table.
enum CarriedResync {
  /// Nothing is mapped in a range.
  case unmap(IPA, size: UInt64)
  /// A leaf of this size is where a walk of the fault's page found another, or none.
  case map(size: UInt64, before: Stage2Walk)
}

/// The decisions of one step, which nobody collects unless another kernel is modelled along.
struct CarriedDecisions {
  /// Whether anybody looks at them.
  let areKept: Bool
  private(set) var list: ContiguousArray<CarriedDecision> = []

  init(areKept: Bool) { self.areKept = areKept }

  @inline(__always)
  mutating func note(_ decision: @autoclosure () -> CarriedDecision) {
    if areKept { list.append(decision()) }
  }

  mutating func removeAll() { list.removeAll(keepingCapacity: true) }
}
