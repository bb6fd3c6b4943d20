internal import KVMTrace
internal import KVMTypes

/// A guest fault, from its event to the end of its window and until it is decided: the one record of it. It lies in the
/// `FaultSlab`; thread, queue and timeline name it by its `FaultID`, and what is learnt later is written to it. Thousands
/// wait at a time, so it is kept small: what few faults have, such as waits for locks, lies beside it.
struct FaultWindow: BitwiseCopyable {
  /// The event itself: where the guest's instruction was, and what it accessed (`hxfar`).
  let event: GuestFault
  /// The address, with the granularity of the host's page.
  let page: IPA
  let access: FaultAccess
  let origin: FaultOrigin
  /// The slot that holds the address; nil where none did, which a later commit may correct.
  var slot: Memslot?
  /// The fault's place in its region's timeline; nil while it is in none, for its window lasts longer than the timelines
  /// reach back.
  var node: TimelineNode.Index?
  /// What followed inside the window.
  var signs: WindowSigns = []
  /// What the thread's next fault says.
  var nextAccess = NextAccess.unknown
  /// The place of the fault's event in the merged trace.
  let begin: Sequence
  /// The window's end: the place in the merged trace of the thread's next kvm_entry, or of its return to the VMM.
  var end = Sequence.pending
  /// What the divergence rules need to know of the window.
  var evidence = FaultEvidence()
}

/// What a fault's syndrome says (`ESR_EL2`).
struct FaultAccess: BitwiseCopyable {
  var kind: FaultKind
  /// The level at which the walk stopped, 3 where the syndrome tells none.
  var level: TranslationLevel
  private var signs: Signs

  private struct Signs: OptionSet, BitwiseCopyable {
    var rawValue: UInt8
    static let write = Signs(rawValue: 1)
    static let exec = Signs(rawValue: 2)
    static let stage1Walk = Signs(rawValue: 4)
  }

  @inline(__always)
  init(kind: FaultKind, level: TranslationLevel, isWrite: Bool, isExec: Bool, isStage1Walk: Bool) {
    self.kind = kind
    self.level = level
    signs = []
    signs[.write] = isWrite
    signs[.exec] = isExec
    signs[.stage1Walk] = isStage1Walk
  }

  @inline(__always)
  init(_ esr: ESR) {
    self.init(
      kind: esr.faultKind, level: esr.level ?? .l3, isWrite: esr.isWrite, isExec: esr.isExec,
      isStage1Walk: esr.isStage1Walk)
  }

  @inline(__always)
  var isWrite: Bool { signs.contains(.write) }
  @inline(__always)
  var isExec: Bool { signs.contains(.exec) }
  /// The guest's own table was being walked (S1PTW).
  @inline(__always)
  var isStage1Walk: Bool { signs.contains(.stage1Walk) }
}

/// Whose fault it is.
struct FaultOrigin: BitwiseCopyable {
  let cpu: CPUIndex
  let tid: ThreadID
  /// The vCPU's number in its VM.
  let vcpu: Int32
  /// Where in its thread's stream the fault belongs, to match operations that probes recorded.
  let place: ThreadPlace
}

/// What is known of a window, each of it by a bit.
struct WindowSigns: OptionSet, BitwiseCopyable {
  var rawValue: UInt16

  /// No slot holds the address, and that is settled: the next slot that came does not hold it either.
  static let outsideSlots = WindowSigns(rawValue: 1 << 0)
  /// EL2 made the fault up, for the host to map a page that a protected guest asks to share.
  static let memShare = WindowSigns(rawValue: 1 << 1)
  /// kvm_mmio came.
  static let mmio = WindowSigns(rawValue: 1 << 2)
  /// KVM_RUN failed.
  static let failed = WindowSigns(rawValue: 1 << 3)
  /// It failed with -EFAULT.
  static let badAddress = WindowSigns(rawValue: 1 << 4)
  /// The thread itself unmapped the page on its way into the host's memory: a copy-on-write, or a migration.
  static let ownUnmap = WindowSigns(rawValue: 1 << 5)
  /// Memory of the VM may have been in the middle of an unmap by another thread at some moment of the window.
  static let invalidated = WindowSigns(rawValue: 1 << 6)
  /// That other thread is a vCPU in a fault of its own.
  static let copyOnWrite = WindowSigns(rawValue: 1 << 7)
  /// Another vCPU's fault had to change the same entry of a table while both were handled under the read lock: one of them
  /// may have found that the other had just done so, and got -EAGAIN.
  static let sharedEntry = WindowSigns(rawValue: 1 << 8)
  /// The end of its window was not seen: its kvm_entry is missing.
  static let endUnseen = WindowSigns(rawValue: 1 << 9)
  /// Its thread waited for a lock, or an unmap for the one that it may have had: `FaultSlab.waits(of:)`.
  static let waits = WindowSigns(rawValue: 1 << 10)
  /// As far as addresses go, a block of the slot can hold the page (`fault_supports_stage2_huge_mapping`).
  static let blockFits = WindowSigns(rawValue: 1 << 11)
  /// A fetch, or a walk of the guest's own table, while its slot may have been on its way out: where it found none, the guest got an
  /// abort, of which no event tells.
  static let leavingSlot = WindowSigns(rawValue: 1 << 14)
  /// The thread itself unmapped memory of the VM otherwise, such as in reclaim: before the operation, which made it retry,
  /// or after it.
  static let ownReclaim = WindowSigns(rawValue: 1 << 12)
  /// The vCPU did not go on where it had faulted: it got an exception in place of the page.
  static let gotException = WindowSigns(rawValue: 1 << 13)
  /// Its memory is a guest_memfd's, and no probe tells when pages are taken out of the file.
  static let untoldHoles = WindowSigns(rawValue: 1 << 15)
}

extension FaultWindow {
  var cpu: CPUIndex { origin.cpu }
  var tid: ThreadID { origin.tid }
  var place: ThreadPlace { origin.place }
  var vcpu: Int { Int(origin.vcpu) }
  /// The address as the hardware gave it, with a granularity of 4 KiB whatever the host's page is (HPFAR_EL2).
  var address: IPA { event.ipa }
  var kind: FaultKind { access.kind }
  var level: TranslationLevel { access.level }
  var isWrite: Bool { access.isWrite }
  var isExec: Bool { access.isExec }
  var isStage1Walk: Bool { access.isStage1Walk }

  var isOutsideSlots: Bool {
    get { signs[.outsideSlots] }
    set { signs[.outsideSlots] = newValue }
  }
  var isMemShare: Bool {
    get { signs[.memShare] }
    set { signs[.memShare] = newValue }
  }
  var sawMMIO: Bool {
    get { signs[.mmio] }
    set { signs[.mmio] = newValue }
  }
  var failed: Bool {
    get { signs[.failed] }
    set { signs[.failed] = newValue }
  }
  var isBadAddress: Bool {
    get { signs[.badAddress] }
    set { signs[.badAddress] = newValue }
  }
  var sawOwnUnmap: Bool {
    get { signs[.ownUnmap] }
    set { signs[.ownUnmap] = newValue }
  }
  var sawOwnReclaim: Bool {
    get { signs[.ownReclaim] }
    set { signs[.ownReclaim] = newValue }
  }
  var gotException: Bool {
    get { signs[.gotException] }
    set { signs[.gotException] = newValue }
  }
  var mayBeInvalidated: Bool {
    get { signs[.invalidated] }
    set { signs[.invalidated] = newValue }
  }
  var mayRaceCopyOnWrite: Bool {
    get { signs[.copyOnWrite] }
    set { signs[.copyOnWrite] = newValue }
  }
  var sharesEntry: Bool {
    get { signs[.sharedEntry] }
    set { signs[.sharedEntry] = newValue }
  }
  var mayHaveUntoldHoles: Bool { signs[.untoldHoles] }
  var isEndUnseen: Bool {
    get { signs[.endUnseen] }
    set { signs[.endUnseen] = newValue }
  }

  /// The level at which the walk of its address stopped; nil where the syndrome does not tell: emulators report that of
  /// the guest's own table for a fault of its walk, and EL2 makes one up.
  var walkLevel: TranslationLevel? {
    @inline(__always) get { isStage1Walk || isMemShare ? nil : level }
  }

  /// Whether the thread's next fault may say what became of this one: it retried, another vCPU was faster, its
  /// memory has failed, or rights were not relaxed (`PKVMEra.relaxesGuestMemfd`).
  var isOpenToNext: Bool {
    @inline(__always) get {
      mayBeInvalidated || sharesEntry || evidence.endsInSignal
        || kind == .permission && slot.map { $0.flags.contains(.guestMemfd) } == true
    }
  }

  /// Whether the thread's next fault was the same.
  var isRepeated: Bool {
    @inline(__always) get { nextAccess == .again || nextAccess == .againAtOnce }
  }

  /// Whether the vCPU found the same entry of a table empty once more, with which another one's fault, that may have come first, is busy
  /// beyond the window (`stage2_try_break_pte`).
  var lostToLongerFault: Bool {
    @inline(__always) get { evidence.isOutlasted && kind == .translation && isRepeated }
  }

  /// Whether a fault of another vCPU may have to change the same entry: not where each page has one of its own.
  var mayShareEntry: Bool {
    switch kind {
    case .translation: (walkLevel ?? .l2) < .l3
    case .permission: true
    default: false
    }
  }

  /// Whether the walk ended where a block of PUD_SIZE would be, or above, or may have.
  var stopsAtPUD: Bool { (walkLevel ?? .l1) <= .l1 }

  private var isKnownToStopAtPUD: Bool { walkLevel.map { $0 <= .l1 } ?? false }

  /// Whether this fault and another one have to change the same entry of level 1, which may hold a block: one of them found it
  /// empty, or the block there denied it access, and the other does too or has tables replaced by a block. Dirty logging maps
  /// pages, which leaves a table alone.
  ///
  /// - Parameter arePUDsKnown: whether any leaf of level 1 was met. Until then a fault of which it is not known where its walk
  ///   stopped is taken to have gone further.
  func needsPUDEntry(of other: FaultWindow, _ pageSize: PageSize, arePUDsKnown: Bool) -> Bool {
    guard arePUDsKnown || isKnownToStopAtPUD && other.isKnownToStopAtPUD else { return false }
    guard page.rawValue >> pageSize.levelShift(.l1) == other.page.rawValue >> pageSize.levelShift(.l1),
      let slot, other.slot != nil, kind != .accessFlag, other.kind != .accessFlag
    else { return false }
    switch (stopsAtPUD, other.stopsAtPUD) {
    case (true, true): return true
    case (false, false): return false
    default: return !slot.isLogging || evidence.mayLackCommit
    }
  }

  /// Whether `other` may have operated before this one, which found no leaf: it began first, or found none either. Else the leaf that it
  /// met may be what this one mapped.
  func mayFollow(_ other: FaultWindow) -> Bool { other.begin < begin || other.kind == .translation }

  /// Whether this fault's walk stopped at level 1 where that of another one, which is under way, had gone on.
  func findsTableGone(of other: FaultWindow) -> Bool {
    kind == .translation && walkLevel == .l1 && other.begin < begin
      && other.walkLevel.map { $0 > .l1 } ?? false
  }

  /// Whether this fault found an entry empty in which another one, which is under way, had found a block or a table: that one
  /// breaks it, and makes its own entry later (`stage2_try_break_pte`, `stage2_make_pte`). Where the level of the walk is not
  /// known, a vCPU that comes back shows that it found no page missing, which it would have mapped.
  func findsBroken(by other: FaultWindow, _ pageSize: PageSize) -> Bool {
    mayFindBroken(by: other, pageSize)
      && (walkLevel != nil || other.walkLevel == .l2 || isRepeated)
  }

  /// Whether it may have, as far as the fault itself tells.
  func mayFindBroken(by other: FaultWindow, _ pageSize: PageSize) -> Bool {
    guard kind == .translation, other.begin < begin, slot != nil, other.slot != nil,
      page.rawValue >> pageSize.levelShift(.l2) == other.page.rawValue >> pageSize.levelShift(.l2)
    else { return false }
    let isBlock = other.kind == .permission && other.walkLevel == .l2
    let isTable = other.kind != .accessFlag && other.walkLevel == .l3
    return (isBlock || isTable) && (walkLevel ?? .l2) == .l2
  }

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
