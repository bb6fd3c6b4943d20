/// Looks at a replay while it goes on. Operations have a function of their own in `Replay.run`; here is what else can be told
/// one by one.
///
/// Nothing is kept of what nobody asked for. Each kind comes in its own order, in the order of time but for what is settled late;
/// kinds are not in order with each other: a fault's window is told when it ends, its operation some thousand events later.
/// Under another kernel than the traced one there are no divergences.
public struct ReplayObserver {
  /// Receives the kernel and machine that are modelled, before anything else. What it throws ends the replay.
  public var onBegin: ((ReplayProfile) throws -> Void)?
  /// Receives each VM when it appears, before anything that is told of it.
  public var onVM: ((ObservedVM) throws -> Void)?
  /// Receives the window of each fault of a VM's own stage 2.
  public var onFault: ((ObservedFault) throws -> Void)?
  /// Receives each recorded hold of a VM's `mmu_lock`.
  public var onHold: (((vm: Int, hold: RecordedHold)) throws -> Void)?
  /// Receives each recorded wait for a VM's `mmu_lock`.
  public var onWait: (((vm: Int, wait: RecordedWait)) throws -> Void)?
  /// Receives the memory of a VM's stage 2 behind each step that changed it.
  public var onMemory: ((ObservedMemory) throws -> Void)?
  /// Receives each event that breaks a rule.
  public var onDivergence: ((ObservedDivergence) throws -> Void)?

  /// Nobody looks.
  public init() {}

  /// One that tells both what they want to know.
  public func and(_ other: ReplayObserver) -> ReplayObserver {
    var both = ReplayObserver()
    both.onBegin = Self.both(onBegin, other.onBegin)
    both.onVM = Self.both(onVM, other.onVM)
    both.onFault = Self.both(onFault, other.onFault)
    both.onHold = Self.both(onHold, other.onHold)
    both.onWait = Self.both(onWait, other.onWait)
    both.onMemory = Self.both(onMemory, other.onMemory)
    both.onDivergence = Self.both(onDivergence, other.onDivergence)
    return both
  }

  private static func both<Value>(
    _ first: ((Value) throws -> Void)?, _ second: ((Value) throws -> Void)?
  ) -> ((Value) throws -> Void)? {
    guard let first, let second else { return first ?? second }
    return { value in
      try first(value)
      try second(value)
    }
  }

  /// What is looked at.
  var kinds: ObservedKinds {
    var kinds: ObservedKinds = []
    if onFault != nil { kinds.insert(.faults) }
    if onHold != nil { kinds.insert(.holds) }
    if onWait != nil { kinds.insert(.waits) }
    if onDivergence != nil { kinds.insert(.divergences) }
    if onVM != nil { kinds.insert(.vms) }
    if onMemory != nil { kinds.insert(.memory) }
    return kinds
  }

  func tell(_ observed: Observed) throws {
    if let onVM { for vm in observed.vms { try onVM(vm) } }
    if let onFault { for fault in observed.faults { try onFault(fault) } }
    if let onWait { for (vm, wait) in observed.locks.waits { try onWait((vm.position, wait)) } }
    if let onHold { for (vm, hold) in observed.locks.holds { try onHold((vm.position, hold)) } }
    if let onMemory { for memory in observed.memory { try onMemory(memory) } }
    if let onDivergence { for divergence in observed.divergences { try onDivergence(divergence) } }
  }
}

/// The kinds of what can be looked at, besides operations.
struct ObservedKinds: OptionSet, Sendable {
  let rawValue: UInt8

  static let faults = ObservedKinds(rawValue: 1)
  static let holds = ObservedKinds(rawValue: 2)
  static let waits = ObservedKinds(rawValue: 4)
  static let divergences = ObservedKinds(rawValue: 8)
  static let vms = ObservedKinds(rawValue: 16)
  static let memory = ObservedKinds(rawValue: 32)
}

/// What happened since it was told last.
struct Observed {
  var operations: [Stage2Operation] = []
  var faults: [ObservedFault] = []
  var locks = ObservedLockTimes()
  var vms: [ObservedVM] = []
  var memory: [ObservedMemory] = []
  var divergences: [ObservedDivergence] = []
}

/// Times under locks, and before them, since they were told last.
struct ObservedLockTimes {
  var holds: [(VMIndex, RecordedHold)] = []
  var waits: [(VMIndex, RecordedWait)] = []
}
