public import KVMTypes
internal import Stage2Model
public import Stage2Replay

extension ReplayReport {
  /// How the predicted operations agree with the recorded ones.
  public struct AgreementTable: Encodable, Sendable {
    /// By operation, for those that either side has.
    public var byOperation: [OperationKind: AgreementEntry]

    /// An object by the kernel's names of the operations, as the probes have them.
    public func encode(to encoder: any Encoder) throws {
      var container = encoder.container(keyedBy: ReportKey.self)
      for (kind, entry) in byOperation { try container.encode(entry, forKey: ReportKey(kind.name)) }
    }
  }

  /// How predictions of one operation fared against the probes on the kernel's own.
  public struct AgreementEntry: Encodable, Sendable {
    /// Recorded calls.
    public var recorded: Int
    /// Predicted calls.
    public var predicted: Int
    /// Those of both that were of the same thread, at the same place in its events, on the same memory.
    public var matched: Int
    /// Of those matched, the ones whose answer was predicted, too; nil but for test_clear_young.
    public var answersMatched: Int?
    /// Of those matched, the ones whose rights were compared; nil for operations without rights.
    public var protCompared: Int?
    /// Those of them with equal rights.
    public var protMatched: Int?
    /// Those of them whose predicted rights are derived.
    public var protDerived: Int?
    /// Those of these with equal rights.
    public var protDerivedMatched: Int?
    /// Predictions called derived that no recorded call met. Always 0.
    public var derivedWrong: Int
    /// The first that differ, in the order of time.
    public var mismatches: [MismatchEntry]
  }

  /// A predicted and a recorded operation that differ.
  public struct MismatchEntry: Encodable, Sendable {
    /// The position in `inputs`, where there are several.
    public var input: Int?
    /// What was predicted, nil where nothing was.
    public var predicted: OperationFields?
    /// What was recorded, nil where nothing was.
    public var recorded: OperationFields?
  }

  /// An operation.
  public struct OperationFields: Encodable, Sendable {
    /// When, in nanoseconds of the trace's clock.
    public var timeNs: UInt64
    /// The thread.
    public var tid: Int32
    /// The first guest physical address.
    public var address: UInt64
    /// The bytes, 0 for an operation that goes by the address alone.
    public var size: UInt64
    /// The rights (`enum kvm_pgtable_prot`), where the operation has any.
    public var prot: UInt64?
    /// What it returned, where that is known.
    public var ret: Int32?
    /// How the operation is known.
    public var basis: Basis
  }
}

extension ReplayReport.AgreementTable {
  init(_ agreement: AgreementResult) {
    byOperation = [:]
    for (kind, score) in agreement.scores {
      byOperation[kind] = ReplayReport.AgreementEntry(kind, score, agreement.mismatches)
    }
  }

  /// That of several traces; the mismatches in the order of the traces.
  static func + (a: Self, b: Self) -> Self {
    Self(byOperation: a.byOperation.merging(b.byOperation) { $0 + $1 })
  }

  /// Marks everything as found in one of several inputs.
  mutating func setInput(_ position: Int) {
    for kind in byOperation.keys {
      for index in byOperation[kind]!.mismatches.indices {
        byOperation[kind]!.mismatches[index].input = position
      }
    }
  }
}

extension ReplayReport.AgreementEntry {
  init(_ kind: OperationKind, _ score: AgreementScore, _ mismatches: [AgreementMismatch]) {
    recorded = score.recorded
    predicted = score.predicted
    matched = score.matched
    answersMatched = kind == .testClearYoung ? score.answerMatched : nil
    protCompared = kind == .map || kind == .relaxPerms ? score.protCompared : nil
    protMatched = kind == .map || kind == .relaxPerms ? score.protMatched : nil
    protDerived = kind == .map || kind == .relaxPerms ? score.protDerived : nil
    protDerivedMatched = kind == .map || kind == .relaxPerms ? score.protDerivedMatched : nil
    derivedWrong = score.derivedWrong
    self.mismatches = mismatches.filter { ($0.predicted ?? $0.recorded)?.kind == kind }.map {
      ReplayReport.MismatchEntry(
        predicted: $0.predicted.map { .init($0) }, recorded: $0.recorded.map { .init($0) })
    }
  }

  /// That of several traces.
  fileprivate static func + (a: Self, b: Self) -> Self {
    var sum = a
    sum.recorded += b.recorded
    sum.predicted += b.predicted
    sum.matched += b.matched
    sum.derivedWrong += b.derivedWrong
    for field in [
      \Self.answersMatched, \.protCompared, \.protMatched, \.protDerived, \.protDerivedMatched,
    ] {
      if let more = b[keyPath: field] { sum[keyPath: field] = (a[keyPath: field] ?? 0) + more }
    }
    sum.mismatches += b.mismatches
    return sum
  }
}

extension ReplayReport.OperationFields {
  init(_ operation: Stage2Operation) {
    timeNs = operation.time.rawValue
    tid = operation.tid.rawValue
    address = operation.address.rawValue
    size = operation.size
    prot = operation.prot?.rawValue
    ret = operation.result
    basis = operation.basis
  }
}
