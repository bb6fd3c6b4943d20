public import KVMTypes
public import Stage2Model

/// How an event that breaks a rule is judged.
public enum DivergenceVerdict: UInt8, Hashable, Sendable, CaseIterable {
  /// Nothing accounts for it.
  case unexplained
  /// A legitimate exception accounts for it.
  case explained
  /// The state that the rule speaks of was not known.
  case unknown

  /// The name in reports.
  public var name: String {
    switch self {
    case .unexplained: "unexplained"
    case .explained: "explained"
    case .unknown: "unknown"
    }
  }
}

/// Events that break a rule for one cause: the first of them, and how many there are.
///
/// One cause is one rule, verdict, exception and VM; the first unexplained divergences are kept apart by region of guest memory,
/// too.
public struct Divergence: Hashable, Sendable {
  /// The rule.
  public var rule: DivergenceRule
  /// Whether something accounts for it.
  public var verdict: DivergenceVerdict
  /// What accounts for it, or why the state was not known; nil where nothing does.
  public var exception: DivergenceException?
  /// When.
  public var time: Nanoseconds
  /// The processor.
  public var cpu: CPUIndex
  /// The thread.
  public var tid: ThreadID
  /// The VM, as the report numbers them; nil where the thread belongs to none.
  public var vm: Int?
  /// The guest physical address; nil where the event has none.
  public var ipa: IPA?
  /// What the rule asks for.
  public var expected: String
  /// What the event shows.
  public var observed: String
  /// How the state that the rule was held against is known.
  public var basis: Basis
  /// How many events broke the rule for this cause.
  public var count: Int
  /// What a walk of the address found in the model; nil where the rule does not look at the table.
  public var state: Stage2Walk?
  /// What happened to the region of guest memory before, the oldest first; empty for what is explained.
  public var recentEvents: [RegionEvent]
}

/// All divergences of a replay.
public struct DivergenceReport: Hashable, Sendable {
  /// Events that break a rule without anything to account for it.
  public var unexplained = 0
  /// Events that break a rule for a legitimate reason.
  public var explained = 0
  /// Events that break a rule whose state was not known.
  public var unknown = 0
  /// The same by VM, for VMs that have any; the key is the VM's number.
  public var byVM: [Int: DivergenceCounts] = [:]
  /// The causes, the unexplained ones first, then in the order of time. Their counts add up to those above, and those of a VM's to its
  /// own.
  public var items: [Divergence] = []

  /// No divergence.
  public init() {}

  /// Those of some VMs, and those of no VM, which are of the whole recording.
  public func limited(to vms: [Int]) -> DivergenceReport {
    var result = self
    result.byVM = byVM.filter { vms.contains($0.key) }
    for (vm, counts) in byVM where !vms.contains(vm) {
      result.unexplained -= counts.unexplained
      result.explained -= counts.explained
      result.unknown -= counts.unknown
    }
    result.items = items.filter { item in item.vm.map(vms.contains) ?? true }
    return result
  }
}

/// Events that break a rule, by verdict.
public struct DivergenceCounts: Hashable, Sendable {
  /// Events that break a rule without anything to account for it.
  public var unexplained = 0
  /// Events that break a rule for a legitimate reason.
  public var explained = 0
  /// Events that break a rule whose state was not known.
  public var unknown = 0

  /// No divergence.
  public init() {}
}
