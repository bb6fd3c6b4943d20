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
  /// Faults by the level at which the walk stopped, -1 to 3.
  public var byLevel: [Int] { (0..<5).map { levels[$0] } }
  private var levels = SIMD8<Int>()

  /// No faults.
  public init() {}

  @inline(__always)
  mutating func add(_ esr: ESR) {
    total += 1
    switch esr.faultKind {
    case .translation: translation += 1
    case .permission: permission += 1
    case .accessFlag: accessFlag += 1
    default: other += 1
    }
    if let level = esr.level { levels[Int(level.rawValue) + 1] += 1 }
  }
}
