internal import KVMTypes
internal import Stage2Model

/// What came of holding a fault against the model.
struct CheckResult {
  /// How a broken rule was judged, nil where none was broken.
  var verdict: DivergenceVerdict?
  /// Whether the leaf of the fault was changed for it.
  var isCorrected = false
  /// What a walk of the fault's address finds now; nil where that was not looked up.
  var walk: Stage2Walk?
}

/// What a fault did to the table, for the checks of those that follow.
enum FaultEffect {
  /// Nothing; whether that is an assumption, and whether a later fault on the page must not find a leaf.
  case nothing(isAssumed: Bool, refusal: LeafCheck.Refusal?)
  /// An operation that returned an error.
  case again
  /// It set the access flag.
  case madeYoung
  /// It added a right; whether that is an assumption.
  case relaxed(isAssumed: Bool)
  /// It mapped a page or a block, a leaf of `level`: whether that is an assumption, that it has this size, or that it may be
  /// written.
  case mapped(level: TranslationLevel, isAssumed: Bool, isSizeAssumed: Bool, isReadMapped: Bool)
}

/// A fault that came to nothing.
struct RefusedFault {
  var page: IPA
  var refusal: LeafCheck.Refusal
}

/// Who was granted a right by relax_perms, which invalidates the TLB of its own CPU alone.
struct RightGrant {
  var tid: ThreadID
  /// That CPU, nil where the vCPU changed CPUs meanwhile.
  var cpu: CPUIndex?
  var sequence: Sequence
  /// An unmap may have made the fault retry instead (`mmu_invalidate_retry`).
  var isAssumed: Bool
}

/// A fault with kvm_mmio in a slot, until it is known whether the slot was being removed.
struct HeldBackFault {
  var fault: FaultWindow
  var time: Nanoseconds
}

/// A slot's deletion or move between its commit event and the moment when that is applied.
struct SlotRemoval {
  /// The place of the commit.
  var sequence: Sequence
  /// The place of the thread's event before: the slot was taken out of force after that.
  var since: Sequence
  var frames: FrameRange
  /// How the removal is known.
  var basis: Basis

  /// Whether the removal may have been under way in the window of a fault in the slot.
  func covers(_ fault: FaultWindow, _ pageSize: PageSize) -> Bool {
    since < fault.end && fault.begin < sequence && frames.contains(fault.page.gfn(pageSize))
  }
}

/// Where a fault happened.
struct FaultPlace {
  var time: Nanoseconds
  var cpu: CPUIndex
  var tid: ThreadID
  var region: RegionIndex?
}

/// The run of faults that a vCPU is in.
struct VCPUProgress {
  var progress = FaultProgress()
  var last: FaultPlace?
  /// The vCPU's last fault, if it came to nothing for a reason that is known: a retry, or an operation that returned an
  /// error.
  var fruitless: FruitlessFault?

  /// Whether nothing is known of it that its next fault could change or contradict.
  @inline(__always)
  var isIdle: Bool { last == nil && fruitless == nil }
}

/// What a fault asked for that got nothing.
struct FruitlessFault: Hashable {
  let page: IPA
  let kind: FaultKind
  let isWrite: Bool
  let isExec: Bool

  init(_ fault: SettledFault) {
    page = fault.page
    kind = fault.kind
    isWrite = fault.isWrite
    isExec = fault.isExec
  }
}
