package import ForeignStage2
internal import KVMTypes
internal import Stage2Model

/// What the two sides of `patch` do of one recording.
public struct PatchRecording: Encodable, Sendable {
  /// The recording.
  public var path: String
  /// Calls of stage-2 functions that were handed to both sides, and the VMs that they are of.
  public var calls: UInt64
  /// VMs.
  public var vms: Int
  /// Calls that were compared: all but those of VMs that are left out.
  public var compared: UInt64
  /// Calls after which the sides differ in anything.
  public var differing: UInt64
  /// The first of them; nil where there is none.
  public var first: PatchDifference?
  /// The first in which they differ in that, by what they differ in.
  public var firstByKind: [PatchDifference.OfKind]
  /// How often a function differed in something.
  public var differences: [Count]
  /// Calls that returned something else than the model, by whose answer the recording goes on.
  public var unlikeModel: BySide
  /// VMs that a side could not go on with.
  public var lost: [PatchLostVM]

  /// A count of each side.
  public struct BySide: Encodable, Sendable {
    /// Of the first side.
    public var before: UInt64
    /// Of the second side.
    public var after: UInt64
  }

  /// How often a function differed in something.
  public struct Count: Encodable, Sendable {
    /// The function.
    public var operation: String
    /// In what it differed.
    public var kind: String
    /// How often.
    public var count: UInt64
  }

  /// What was found of the recording at `path`.
  package init(_ path: String, _ findings: PatchFindings, lost: [PatchLostVM]) {
    self.path = path
    calls = findings.calls
    vms = findings.vms
    compared = findings.compared
    differing = findings.differing
    first = findings.first.map(PatchDifference.init)
    firstByKind = findings.firsts.map { .init(kind: $0.kind, difference: PatchDifference($0.difference)) }
    differences = findings.counts.map { .init(operation: $0.function.name, kind: $0.kind, count: $0.count) }
    let unlikeModel = findings.sides.map { side in side.totals.results.reduce(0) { $0 + $1.unlikeModel } }
    self.unlikeModel = BySide(before: unlikeModel[0], after: unlikeModel[1])
    self.lost = lost
  }

  /// The first difference of all, whose kind is nil, and the first of each kind where that is another call.
  package var firsts: [(kind: String?, difference: PatchDifference)] {
    var shown: Set<UInt64> = []
    let all = (first.map { [(nil, $0)] } ?? []) + firstByKind.map { ($0.kind, $0.difference) }
    return all.filter { shown.insert($0.1.call).inserted }
  }

  /// That the sides have left the course; nil where they have not.
  var courseNote: String? {
    guard unlikeModel.before + unlikeModel.after > 0 else { return nil }
    let (before, after) = (Quantity.count(unlikeModel.before), Quantity.count(unlikeModel.after))
    return
      "\(path): \(before) calls before and \(after) after return something else than the model, by whose answer it goes on."
  }
}

/// A call after which two sides differ.
public struct PatchDifference: Encodable, Sendable {
  /// The call's number among all of the recording's.
  public var call: UInt64
  /// The VM, as the report of `replay` numbers them.
  public var vm: Int
  /// The function.
  public var operation: String
  /// The call in words, and the event that led to it.
  public var words: String
  /// The event that led to it.
  public var event: String
  /// Its time; nil where the call is of no event.
  public var timeNs: UInt64?
  /// Its processor.
  public var cpu: Int?
  /// Its thread.
  public var tid: Int?
  /// The address of the call.
  public var ipa: UInt64
  /// Bytes of the call's range, 0 where it has none.
  public var size: UInt64
  /// In what the sides differ.
  public var kinds: [String]
  /// What the model returns, by whose course the recording is replayed.
  public var model: Int
  /// So many effects both sides begin with.
  public var sameEffects: Int
  /// What the first side tells.
  public var before: Told
  /// What the second side tells.
  public var after: Told

  /// What a side tells of a call.
  public struct Told: Encodable, Sendable {
    /// What the function returned.
    public var result: Int64
    /// What a walk of the address finds afterwards; nil where the call is of no address.
    public var leaf: String?
    /// What it did, from the first on that the other side did not, in order; the first forty of many.
    public var effects: [String]
    /// How many effects each of these lines is: more than one where there were too many to tell them one by one.
    var counts: [Int]
    /// How many effects it had in all.
    public var effectCount: Int

    private enum CodingKeys: String, CodingKey {
      case result, leaf, effects, effectCount
    }

    /// What came of the call, in words.
    package var outcome: String { "returns \(result)" + (leaf.map { "; \($0)" } ?? "") }

    /// How many effects are neither among the first `same` ones, which both sides have, nor in the first lines of `effects`.
    package func rest(behind same: Int, lines: Int = .max) -> Int {
      effectCount - same - counts.prefix(lines).reduce(0, +)
    }
  }

  /// The first difference of a kind.
  public struct OfKind: Encodable, Sendable {
    /// In what the sides differ.
    public var kind: String
    /// Where they do first.
    public var difference: PatchDifference
  }

  package init(_ difference: Difference) {
    let call = difference.call
    let cause = call.cause
    let isOfEvent = cause.kind != .other && cause.kind != .end
    self.call = call.number
    vm = Int(call.vm)
    operation = call.function.name
    words = "\(call.words); \(call.causeWords)"
    event = cause.kind.name
    timeNs = isOfEvent ? cause.time.rawValue : nil
    cpu = isOfEvent ? Int(cause.cpu.rawValue) : nil
    tid = isOfEvent ? Int(cause.tid.rawValue) : nil
    ipa = call.ipa
    size = call.size
    kinds = difference.kinds.names
    model = Int(call.expected)
    sameEffects = difference.sameEffects
    before = Told(difference.before)
    after = Told(difference.after)
  }
}

extension PatchDifference.Told {
  fileprivate init(_ told: Difference.Told) {
    result = told.result
    leaf = told.leaf?.words
    effects = told.effects
    counts = told.counts
    effectCount = told.effectCount
  }
}

/// A VM that one side could not go on with: it is left out on both sides from there on.
public struct PatchLostVM: Encodable, Sendable {
  /// before or after.
  public var side: String
  /// What happened.
  public var reason: String
  /// The call in which it happened, in words, with the event that led to it.
  public var words: String
  /// The VM, as the report of `replay` numbers them.
  public var vm: Int
  /// The file that shows it once more; nil where none could be written.
  public var reproducer: String?

  /// - Parameter reproducer: the file that was written.
  package init(_ lost: LostVM, reproducer: String?) {
    side = lost.side == 0 ? "before" : "after"
    reason = lost.reason.words
    words = "\(lost.call.words); \(lost.call.causeWords)"
    vm = Int(lost.call.vm)
    self.reproducer = reproducer
  }
}
