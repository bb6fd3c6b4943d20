internal import KVMTypes
internal import Stage2Model
internal import Stage2Replay

/// Events that contradict the model, in the JSON report.
public struct DivergencesEntry: Encodable, Sendable {
  /// Events that nothing accounts for.
  public var unexplained: Int
  var explained: Int
  var unknown: Int
  var items: [Item]

  /// Events that break one rule for one cause: the first of them, and how many there are.
  public struct Item: Encodable, Sendable {
    var rule: String
    var verdict: String
    var exception: String?
    var timeNs: UInt64
    var cpu: UInt16
    var tid: Int32
    var vm: Int?
    var ipa: UInt64?
    var expected: String
    var observed: String
    var basis: String
    var count: Int
    /// The position in `inputs`, where there are several.
    var input: Int?
    var state: StateEntry?
    var recentEvents: [EventEntry]
  }

  /// What a walk of the address finds in the model.
  public struct StateEntry: Encodable, Sendable {
    var level: Int8
    /// Nil where nothing is mapped.
    var prot: UInt64?
    var young: Bool?
  }

  /// Something that happened in the region of guest memory before.
  public struct EventEntry: Encodable, Sendable {
    var timeNs: UInt64
    var cpu: UInt16
    var tid: Int32
    var event: String
    var level: Int8?
    var access: String?
    var ipa: UInt64
    var pages: UInt32
    var effect: String
  }

  init(_ report: DivergenceReport) {
    unexplained = report.unexplained
    explained = report.explained
    unknown = report.unknown
    items = report.items.map(Item.init)
  }

  /// Those of one VM.
  init(_ report: DivergenceReport, vm: Int) {
    let counts = report.byVM[vm] ?? DivergenceCounts()
    unexplained = counts.unexplained
    explained = counts.explained
    unknown = counts.unknown
    items = report.items.filter { $0.vm == vm }.map(Item.init)
  }
}

extension DivergencesEntry.Item {
  init(_ divergence: Divergence) {
    rule = divergence.rule.id
    verdict = divergence.verdict.name
    exception = divergence.exception?.id
    timeNs = divergence.time.rawValue
    cpu = divergence.cpu.rawValue
    tid = divergence.tid.rawValue
    vm = divergence.vm
    ipa = divergence.ipa?.rawValue
    expected = divergence.expected
    observed = divergence.observed
    basis = divergence.basis.name
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
    self.event = event.kind.name
    level = event.level?.rawValue
    access = event.access.name
    ipa = event.ipa.rawValue
    pages = event.pages
    effect = event.effect.name
  }
}

extension RegionEvent.Kind {
  /// The name in reports.
  var name: String {
    switch self {
    case .translationFault: "translation fault"
    case .permissionFault: "permission fault"
    case .accessFault: "access flag fault"
    case .otherFault: "fault"
    case .unmap: "unmap"
    case .age: "age"
    case .testAge: "test age"
    case .slotRemoval: "slot removal"
    case .writeProtection: "write protection"
    }
  }
}

extension RegionEvent.Access {
  /// The name in reports, nil for what is no guest's.
  var name: String? {
    switch self {
    case .read: "read"
    case .write: "write"
    case .exec: "fetch"
    case .stage1Walk: "stage-1 walk"
    case .none: nil
    }
  }
}

extension RegionEvent.Effect {
  /// The name in reports.
  var name: String {
    switch self {
    case .nothing: "nothing"
    case .again: "failed or -EAGAIN"
    case .mappedPage: "page mapped"
    case .mappedBlock: "block mapped"
    case .relaxed: "rights relaxed"
    case .madeYoung: "made young"
    case .asked: "done"
    }
  }
}
