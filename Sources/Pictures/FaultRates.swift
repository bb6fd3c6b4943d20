public import KVMTypes
public import Stage2Replay

/// A VM's faults over time, by kind.
public struct FaultRates: Sendable {
  /// The kinds that are told apart; each fault is of one.
  public enum Kind: Int, CaseIterable, Sendable {
    /// A translation fault on memory.
    case translation
    /// A translation fault on a device (kvm_mmio came).
    case mmio
    /// A permission fault.
    case permission
    /// An access flag fault.
    case accessFlag
    /// Any other.
    case other

    /// The name in reports.
    public var name: StaticString {
      switch self {
      case .translation: "translation"
      case .mmio: "MMIO"
      case .permission: "permission"
      case .accessFlag: "access flag"
      case .other: "other"
      }
    }

    init(_ fault: ObservedFault) {
      switch fault.kind {
      case .translation: self = fault.isMMIO ? .mmio : .translation
      case .permission: self = .permission
      case .accessFlag: self = .accessFlag
      default: self = .other
      }
    }
  }

  /// The faults of one interval.
  public struct Bin: Mergeable, Sendable {
    private var counts = SIMD8<UInt32>()

    /// None.
    public init() {}

    /// How many there are of a kind.
    public subscript(kind: Kind) -> Int { Int(counts[kind.rawValue]) }

    /// All of them.
    public var total: Int { Kind.allCases.reduce(0) { $0 + self[$1] } }

    mutating func add(_ kind: Kind) { counts[kind.rawValue] &+= 1 }

    /// The faults of the next interval, too.
    public mutating func merge(_ next: Bin) { counts &+= next.counts }
  }

  /// By the moment at which they came.
  public private(set) var bins: TimeBins<Bin>

  /// No faults.
  ///
  /// - Parameter shortest: the length that intervals begin with.
  public init(shortest: Nanoseconds = EqualIntervals.shortest) { bins = TimeBins(shortest: shortest) }

  mutating func add(_ fault: ObservedFault) {
    bins.with(fault.begin) { $0.add(Kind(fault)) }
  }
}
