internal import KVMTrace
internal import KVMTypes

/// Something that happened to a VM's stage 2, waiting in the order in which the kernel acted until it is applied to
/// the model.
struct PendingRecord: BitwiseCopyable {
  enum Action: BitwiseCopyable {
    /// A fault whose window has ended.
    case fault(FaultID)
    /// A fault that unmaps memory itself, before it does: the divergence rules look at it here.
    case check(FaultID)
    /// A notifier's unmap of the frames.
    case unmap(FrameRange)
    /// A notifier's aging, or its test; whether a fault was open around the frames, or vCPUs may have been initialised
    /// again meanwhile.
    case age(FrameRange, markOld: Bool, duringFault: Bool, epoch: Epoch)
    /// Dirty logging begins: the whole slot is write-protected.
    case wrprotect(FrameRange)
    /// Something happens to the dirty bitmap of a slot.
    case dirtyLog(DirtyLogChange)
    /// Dirty logging ends.
    case endLogging(FrameRange)
    /// A slot is deleted or moved away: everything in it is unmapped.
    case deleteSlot(FrameRange)
    /// vCPUs are initialised again (`VCPUReset`).
    case reset
    /// A memory marker, by its number; it concerns all VMs, so the record has no VM of its own.
    case marker(Int)
  }

  var action: Action
  var vm: VMIndex?
  var sequence: Sequence
  var time: Nanoseconds
  var cpu: CPUIndex
  var tid: ThreadID
  /// Which window and which notifier event of the thread this belongs to.
  var place: ThreadPlace
  var doubts: RangeDoubts = []
  /// Whether it was settled before its turn, because another fault's turn came that it was ahead of.
  var isSettled = false
  /// The place in the merged trace at which that other record was settled; nil for what waits for its own turn.
  var moment: Sequence?

  /// The frames of a notification.
  var notified: FrameRange? {
    switch action {
    case .unmap(let frames), .age(let frames, _, _, _): frames
    default: nil
    }
  }

  /// Whether it is a check alone.
  var isCheck: Bool { if case .check = action { true } else { false } }
}
