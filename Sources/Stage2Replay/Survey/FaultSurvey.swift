internal import KVMTrace
internal import KVMTypes

/// What the syndromes of all faults tell of the machine and the guests' tables.
struct FaultSurvey {
  /// A vCPU took an access flag fault: its CPU does not set the flag itself.
  private(set) var sawAccessFlagFault = false
  /// The guest executed what was mapped for data, and faulted.
  private(set) var sawExecPermissionFault = false
  /// The lowest level of a translation fault: the table begins there, or above.
  private(set) var lowestLevel: TranslationLevel?
  /// The lowest level of a leaf that denied an access, or was old: the kernel maps as large blocks as that.
  private(set) var lowestLeaf: TranslationLevel?
  /// A translation fault came from a walk of the guest's own table.
  private(set) var sawStage1WalkFault = false
  /// The highest guest physical address that faulted.
  private(set) var highestIPA: UInt64 = 0
  /// Which faults are of guests of a guest.
  var nesting = NestingSurvey()
  /// How faults stopped in the regions that a block may map.
  private(set) var regions: FaultedRegions
  /// By thread, the lowest level of a translation fault.
  private(set) var lowestLevels: [ThreadID: TranslationLevel] = [:]
  /// The same by `ThreadIndex`, until all events have been seen.
  private var levels: ContiguousArray<TranslationLevel?> = []

  /// Of how many threads translation faults were seen, or of some that appeared before them.
  var threadCount: Int { levels.count }

  init(pageSize: PageSize) { regions = FaultedRegions(pageSize: pageSize) }

  /// kvm_access_fault.
  mutating func noteAccessFault() { sawAccessFlagFault = true }

  /// kvm_guest_fault.
  @inline(__always)
  mutating func consume(_ fault: GuestFault, _ kind: FaultKind, _ thread: ThreadIndex?) {
    if fault.ipa.rawValue < IPA.limit, fault.ipa.rawValue > highestIPA { highestIPA = fault.ipa.rawValue }
    switch kind {
    case .accessFlag:
      sawAccessFlagFault = true
      noteLeaf(fault)
    case .permission:
      if fault.esr.isExec { sawExecPermissionFault = true }
      noteLeaf(fault)
    case .translation:
      guard let level = fault.esr.level else { return }
      // Emulators report the level of the stage-1 table for a fault of its walk.
      if fault.esr.isStage1Walk {
        sawStage1WalkFault = true
      } else {
        regions.note(fault.ipa, level)
        if let thread, thread.position < levels.count, let known = levels[thread.position], known <= level {
          return
        }
        lower(level, thread)
      }
    default: break
    }
  }

  /// A leaf denied an access. Emulators report the level of the guest's own table for a fault of its walk.
  @inline(__always)
  private mutating func noteLeaf(_ fault: GuestFault) {
    guard let level = fault.esr.level, level < .l3, !fault.esr.isStage1Walk else { return }
    lowestLeaf = min(lowestLeaf ?? level, level)
  }

  private mutating func lower(_ level: TranslationLevel, _ thread: ThreadIndex?) {
    lowestLevel = min(lowestLevel ?? level, level)
    guard let thread else { return }
    while levels.count <= thread.position { levels.append(nil) }
    levels[thread.position] = min(levels[thread.position] ?? level, level)
  }

  /// All events have been seen.
  mutating func finish(_ windows: FaultWindows) {
    for (position, level) in levels.enumerated() {
      lowestLevels[windows[ThreadIndex(position)].tid] = level
    }
  }
}
