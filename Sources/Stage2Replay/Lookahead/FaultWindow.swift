internal import KVMTrace
internal import KVMTypes

/// A guest fault, from its event to the end of its window and until it is decided: the one record of it. It lies in the
/// `FaultSlab`; thread, queue and timeline name it by its `FaultID`, and what is learnt later is written to it.
struct FaultWindow: BitwiseCopyable {
  let cpu: CPUIndex
  let tid: ThreadID
  /// The address, with the granularity of the host's page.
  let page: IPA
  /// The address as the hardware gave it, with a granularity of 4 KiB whatever the host's page is (HPFAR_EL2).
  let address: IPA
  let kind: FaultKind
  let level: TranslationLevel
  let isWrite: Bool
  let isExec: Bool
  let isStage1Walk: Bool
  /// EL2 made the fault up, for the host to map a page that a protected guest asks to share.
  var isMemShare = false
  /// The vCPU's number in its VM.
  let vcpu: Int
  /// Where the guest's instruction was, and what it accessed (`hxfar`).
  let event: GuestFault
  /// The slot that holds the address; nil where none did, which a later commit may correct.
  var slot: Memslot?
  /// Whether that is settled: the next slot that came does not hold the address either.
  var isOutsideSlots = false
  /// Where in its thread's stream the fault belongs, to match operations that probes recorded.
  let place: ThreadPlace
  /// The fault's place in its region's timeline; nil while it is in none, for its window lasts longer than the timelines
  /// reach back.
  var node: TimelineNode.Index?
  // What followed inside the window.
  var sawMMIO = false
  /// KVM_RUN failed, and with -EFAULT.
  var failed = false
  var isBadAddress = false
  /// The thread itself unmapped memory of the VM, as a copy-on-write does.
  var sawOwnUnmap = false
  /// Memory of the VM may have been in the middle of an unmap by another thread at some moment of the window.
  var mayBeInvalidated = false
  /// That other thread is a vCPU in a fault of its own.
  var mayRaceCopyOnWrite = false
  /// The thread's last wait for the VM's lock, and its last for any other.
  var mmuLockWait: LockWait?
  var otherWait: LockWait?
  /// Another vCPU's fault had to change the same entry of a table while both were handled under the read lock: one of them
  /// may have found that the other had just done so, and got -EAGAIN.
  var sharesEntry = false
  /// The end of its window was not seen: its kvm_entry is missing.
  var isEndUnseen = false
  /// An unmap of the page that waited for the lock, which the fault may have had: its place in the queue.
  var waitingUnmap: Sequence?
  /// What the thread's next fault says.
  var nextAccess = NextAccess.unknown
  /// The place of the fault's event in the merged trace.
  let begin: Sequence
  /// What the divergence rules need to know of the window.
  var evidence = FaultEvidence()
  /// The window's end: the place in the merged trace of the thread's next kvm_entry, or of its return to the VMM.
  var end = Sequence.pending

  /// The level at which the walk of its address stopped; nil where the syndrome does not tell: emulators report that of
  /// the guest's own table for a fault of its walk, and EL2 makes one up.
  var walkLevel: TranslationLevel? { isStage1Walk || isMemShare ? nil : level }

  /// Whether this fault and another one have to change the same entry: that of a table which both their pages need and
  /// neither found, or of a leaf whose rights both need more of.
  func needsEntry(of other: FaultWindow, _ pageSize: PageSize) -> Bool {
    guard kind == other.kind, slot != nil, other.slot != nil else { return false }
    let level: TranslationLevel
    switch kind {
    case .translation:
      level = max(walkLevel ?? .l2, other.walkLevel ?? .l2)
      if level == .l3 { return false }
    case .permission:
      level = walkLevel ?? .l3
      if level != other.walkLevel ?? .l3 { return false }
    default: return false
    }
    let shift = pageSize.levelShift(level)
    return page.rawValue >> shift == other.page.rawValue >> shift
  }
}
