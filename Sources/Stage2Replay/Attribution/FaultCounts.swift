internal import KVMTrace
internal import KVMTypes

/// The faults of a VM, by kind and level.
public struct FaultCounts: Hashable, Sendable {
  /// All faults.
  public var total = 0
  /// Faults on what is not mapped.
  public var translation = 0
  /// Faults for want of a right.
  public var permission = 0
  /// Access flag faults.
  public var accessFlag = 0
  /// Faults that turned out to be device accesses of the guest; they are among the translation faults, too.
  public var mmio = 0
  /// Faults of any other status.
  public var other = 0
  /// Faults that were under way when the trace ended, or the part of it that is replayed: what became of them it does not tell.
  public internal(set) var cut = 0
  /// Faults of guests of the VM's own, on addresses of theirs: they are in no other figure, and not replayed.
  public internal(set) var nested = 0
  /// Faults by the level at which the walk stopped, -1 to 3, as far as that is known.
  public var byLevel: [Int] { levels.all }
  /// Faults of which the syndrome does not tell the level (`FaultWindow.walkLevel`).
  public var ofUnknownLevel: Int { total - levels.all.reduce(0, +) }
  private var levels = LevelCounts()

  /// No faults.
  public init() {}

  /// - Parameter isProtected: whether it is one of a protected guest, which EL2 may have made up.
  @inline(__always)
  mutating func add(_ event: GuestFault, isProtected: Bool) {
    let esr = event.esr
    total += 1
    switch esr.faultKind {
    case .translation: translation += 1
    case .permission: permission += 1
    case .accessFlag: accessFlag += 1
    default: other += 1
    }
    if !esr.isStage1Walk, !(isProtected && event.isMemShare), let level = esr.level { levels.add(level) }
  }
}

/// How many faults stopped at each level.
private struct LevelCounts: Hashable {
  private var above = 0
  private var l0 = 0
  private var l1 = 0
  private var l2 = 0
  private var l3 = 0

  /// From level -1 on.
  var all: [Int] { [above, l0, l1, l2, l3] }

  @inline(__always)
  mutating func add(_ level: TranslationLevel) {
    switch level.rawValue {
    case 3: l3 += 1
    case 2: l2 += 1
    case 1: l1 += 1
    case 0: l0 += 1
    default: above += 1
    }
  }
}
