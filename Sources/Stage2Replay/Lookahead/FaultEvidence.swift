internal import KVMTypes

/// What the checks of a fault need to know of its window besides the fault, taken down when events come in: later it
/// could not be told any more.
struct FaultEvidence: BitwiseCopyable {
  /// The place in the merged trace of the vCPU's last kvm_entry. The table that its trap speaks of existed between
  /// there and the fault.
  var entry = Sequence.start
  /// Its region, nil where no slot holds the address.
  var region: RegionIndex?
  /// The epochs of the loss log at the entry and at the end of the window.
  var entryEpoch = Epoch(0)
  var endEpoch = Epoch(0)
  /// The processor on which the guest ran, nil where the trace does not tell.
  var ranOn: CPUIndex?
  /// The processor on which the window ended.
  var endedOn = CPUIndex(0)
  /// Other vCPUs' faults that were open when this one came: their operations may be done though their windows end later.
  var peers: FaultPeers = []
  /// Unmaps of the region between the entry and the window's end.
  var unmapOfRegion = UnmapOverlap.none
  /// Unmaps of any memory of the VM in that time.
  var unmapOfVM = UnmapOverlap.none
  private var signs: Signs = []

  private struct Signs: OptionSet, BitwiseCopyable {
    var rawValue: UInt16
    static let aged = Signs(rawValue: 1)
    static let checked = Signs(rawValue: 2)
    static let slotRemoved = Signs(rawValue: 4)
    static let adopted = Signs(rawValue: 8)
    static let pud = Signs(rawValue: 16)
    static let repeatsRetry = Signs(rawValue: 32)
    static let outlasted = Signs(rawValue: 64)
    static let endsInSignal = Signs(rawValue: 128)
    static let replaced = Signs(rawValue: 256)
    static let loggingSwitched = Signs(rawValue: 512)
    static let loggingSwitchedAgain = Signs(rawValue: 1024)
    static let lacksCommit = Signs(rawValue: 2048)
    static let otherVM = Signs(rawValue: 4096)
  }

  /// An age of the region was under way at some moment of the window.
  var mayBeAged: Bool {
    get { signs[.aged] }
    set { signs[.aged] = newValue }
  }
  /// The fault was held against the model before an unmap in its own window changed that.
  var isChecked: Bool {
    get { signs[.checked] }
    set { signs[.checked] = newValue }
  }
  /// The slot was deleted or moved away before the window ended.
  var isSlotRemoved: Bool {
    get { signs[.slotRemoved] }
    set { signs[.slotRemoved] = newValue }
  }
  /// A later fault met a leaf of level 1 around it, and nothing was unmapped in between: the host maps it by a hugetlb page of
  /// PUD_SIZE.
  var isInPUD: Bool {
    get { signs[.pud] }
    set { signs[.pud] = newValue }
  }
  /// The thread's fault before was the same, and had to retry: nothing had taken the page away between the two.
  var repeatsRetry: Bool {
    get { signs[.repeatsRetry] }
    set { signs[.repeatsRetry] = newValue }
  }
  /// Another vCPU's fault that had to change the same entry, and may have come first, was still under way when the window ended.
  var isOutlasted: Bool {
    get { signs[.outlasted] }
    set { signs[.outlasted] = newValue }
  }
  /// KVM_RUN ended with -EINTR: of failed memory the VMM is told by a signal, and nothing is mapped then.
  var endsInSignal: Bool {
    get { signs[.endsInSignal] }
    set { signs[.endsInSignal] = newValue }
  }
  /// After that, and before it let the vCPU go on, its thread took that very page out of the VMM's memory: what failed is
  /// replaced.
  var isReplaced: Bool {
    get { signs[.replaced] }
    set { signs[.replaced] = newValue }
  }
  /// Logging of the slot was switched on or off in the window or soon after: the new flags are in force a little before their commit.
  var isLoggingSwitched: Bool {
    get { signs[.loggingSwitched] }
    set { signs[.loggingSwitched] = newValue }
  }
  /// That was done more than once: the first switch may be forgotten by the time the fault is decided.
  var isLoggingSwitchedAgain: Bool {
    get { signs[.loggingSwitchedAgain] }
    set { signs[.loggingSwitchedAgain] = newValue }
  }
  /// Events are missing since a commit told of the slot, and another one may be among them: the slot may have other flags by then, or
  /// other memory behind it.
  var mayLackCommit: Bool {
    get { signs[.lacksCommit] }
    set { signs[.lacksCommit] = newValue }
  }
  /// It is a guess alone of which VM it is (`TracedThread.mayBeOfOtherVM`).
  var mayBeOfOtherVM: Bool {
    get { signs[.otherVM] }
    set { signs[.otherVM] = newValue }
  }
  /// Whether it is open if the fault found that the slot logs.
  var isLoggingOpen: Bool { !signs.isDisjoint(with: [.loggingSwitched, .lacksCommit]) }
  /// Whether its slot may not be the one that was known at the fault.
  var isSlotOpen: Bool { !signs.isDisjoint(with: [.slotRemoved, .loggingSwitched, .lacksCommit]) }
  /// The slot came into force after the fault: until then nothing was known of it.
  var isAdopted: Bool {
    get { signs[.adopted] }
    set { signs[.adopted] = newValue }
  }
}

/// Faults of other vCPUs that are open at a fault.
struct FaultPeers: OptionSet, Hashable {
  var rawValue: UInt8

  /// On the same page.
  static let onPage = FaultPeers(rawValue: 1)
  /// In the same region.
  static let inRegion = FaultPeers(rawValue: 2)
  /// Of the same VM.
  static let inVM = FaultPeers(rawValue: 4)
  /// In the same region, where a block may be mapped or broken.
  static let mayResize = FaultPeers(rawValue: 8)
}

/// Whether memory was unmapped in a window.
enum UnmapOverlap: UInt8, Hashable {
  /// No.
  case none
  /// An unmap that was over when the window ended.
  case ended
  /// One that was not.
  case underway

  /// What accounts for a table that lacks something, or still has it.
  var exception: DivergenceException? {
    switch self {
    case .none: nil
    case .ended: .race
    case .underway: .pendingNotifier
    }
  }
}
