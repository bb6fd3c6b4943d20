public import KVMTypes
internal import Stage2Model
public import Stage2Replay

/// Events that contradict the model, in the JSON report.
public struct DivergencesEntry: Encodable, Sendable {
  /// Events that nothing accounts for.
  public var unexplained: Int
  /// Events for which an exception accounts.
  public var explained: Int
  /// Events of which the state before was not known.
  public var unknown: Int
  /// Why the counts do not tell that nothing contradicts the model, in words; nil where they do.
  public var uncheckedWhy: String?
  /// The causes.
  public var items: [Item]

  /// Events that break one rule for one cause: the first of them, and how many there are.
  public struct Item: Encodable, Sendable {
    /// The rule.
    public var rule: DivergenceRule
    /// Whether anything accounts for them.
    public var verdict: DivergenceVerdict
    /// What does, or may.
    public var exception: DivergenceException?
    /// When the first one was.
    public var timeNs: UInt64
    /// Its processor.
    public var cpu: UInt16
    /// Its thread.
    public var tid: Int32
    /// The VM, nil for what concerns none, or several.
    public var vm: Int?
    /// The guest physical address, if there is one.
    public var ipa: UInt64?
    /// What the rule demands.
    public var expected: String
    /// What the trace has.
    public var observed: String
    /// How the state is known that it contradicts.
    public var basis: Basis
    /// How many there are.
    public var count: Int
    /// The position in `inputs`, where there are several.
    public var input: Int?
    /// What a walk of the address finds in the model.
    public var state: StateEntry?
    /// What happened in the region of guest memory before.
    public var recentEvents: [EventEntry]
  }

  /// What a walk of the address finds in the model.
  public struct StateEntry: Encodable, Sendable {
    /// The level at which it ends.
    public var level: Int8
    /// The rights of the leaf (`enum kvm_pgtable_prot`), nil where nothing is mapped.
    public var prot: UInt64?
    /// Whether its access flag is set.
    public var young: Bool?
  }

  /// Something that happened in the region of guest memory before.
  public struct EventEntry: Encodable, Sendable {
    /// When; for a fault the end of its window.
    public var timeNs: UInt64
    /// The processor.
    public var cpu: UInt16
    /// The thread.
    public var tid: Int32
    /// What happened.
    public var event: RegionEvent.Kind
    /// The level of a fault.
    public var level: Int8?
    /// How the guest touched the memory, nil for what is no guest's.
    public var access: RegionEvent.Access?
    /// The first address.
    public var ipa: UInt64
    /// How many of the host's pages are concerned.
    public var pages: UInt32
    /// What KVM did.
    public var effect: RegionEvent.Effect
  }

  init(_ report: DivergenceReport, uncheckedWhy: String?) {
    unexplained = report.unexplained
    explained = report.explained
    unknown = report.unknown
    self.uncheckedWhy = uncheckedWhy
    items = report.items.map(Item.init)
  }

  /// Those of one VM.
  init(_ report: DivergenceReport, vm: Int, uncheckedWhy: String?) {
    let counts = report.byVM[vm] ?? DivergenceCounts()
    unexplained = counts.unexplained
    explained = counts.explained
    unknown = counts.unknown
    self.uncheckedWhy = uncheckedWhy
    items = report.items.filter { $0.vm == vm }.map(Item.init)
  }
}

extension DivergencesEntry.Item {
  init(_ divergence: Divergence) {
    rule = divergence.rule
    verdict = divergence.verdict
    exception = divergence.exception
    timeNs = divergence.time.rawValue
    cpu = divergence.cpu.rawValue
    tid = divergence.tid.rawValue
    vm = divergence.vm
    ipa = divergence.ipa?.rawValue
    expected = divergence.expected
    observed = divergence.observed
    basis = divergence.basis
    count = divergence.count
    state = divergence.state.map(DivergencesEntry.StateEntry.init)
    recentEvents = divergence.recentEvents.map(DivergencesEntry.EventEntry.init)
  }
}

extension DivergencesEntry.StateEntry {
  init(_ walk: Stage2Walk) {
    switch walk {
    case .invalid(let level): self.level = level.rawValue
    case .leaf(let level, let prot, let young):
      self.level = level.rawValue
      self.prot = prot.rawValue
      self.young = young
    }
  }
}

extension DivergencesEntry.EventEntry {
  init(_ event: RegionEvent) {
    timeNs = event.time.rawValue
    cpu = event.cpu.rawValue
    tid = event.tid.rawValue
    self.event = event.kind
    level = event.level?.rawValue
    access = event.access == .none ? nil : event.access
    ipa = event.ipa.rawValue
    pages = event.pages
    effect = event.effect
  }
}
