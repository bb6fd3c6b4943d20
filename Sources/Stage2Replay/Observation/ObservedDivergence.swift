public import KVMTypes

/// One event that breaks a rule. `Divergence` is the first of those that have one cause.
public struct ObservedDivergence: Hashable, Sendable {
  /// The rule.
  public var rule: DivergenceRule
  /// Whether something accounts for it.
  public var verdict: DivergenceVerdict
  /// What accounts for it, or why the state was not known; nil where nothing does.
  public var exception: DivergenceException?
  /// The VM, as the report numbers them; nil where the thread belongs to none.
  public var vm: Int?
  /// Where it happened.
  public var place: DivergencePlace
}

/// Where a rule was broken.
public struct DivergencePlace: Hashable, Sendable {
  /// When.
  public var time: Nanoseconds
  /// The processor.
  public var cpu: CPUIndex
  /// The thread.
  public var tid: ThreadID
  /// The guest physical address; nil where the event has none.
  public var ipa: IPA?
}
