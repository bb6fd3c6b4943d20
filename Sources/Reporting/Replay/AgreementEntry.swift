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
    /// Recorded calls; nil where no probe on the function was recorded.
    public var recorded: Int?
    /// Predicted calls; nil where the trace does not tell of all of them, as without the notifiers that lead to them.
    public var predicted: Int?
    /// Those of both that were of the same thread, at the same place in its events, on the same memory; nil where one of them is.
    public var matched: Int?
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
    /// Predictions called derived that no recorded call met; nil where none was recorded. Else always 0.
    public var derivedWrong: Int?
    /// In how many of several recordings that have probes the function is not scored, for one of the first two is not known there: its
    /// figures are of the others; nil for none.
    public var unscoredInputs: Int?
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

  /// That of several recordings; nil without any. The mismatches are in the order of the recordings.
  static func sum(_ tables: [Self]) -> Self? {
    guard !tables.isEmpty else { return nil }
    let entries = tables.reduce(into: [OperationKind: [ReplayReport.AgreementEntry]]()) { entries, table in
      entries.merge(table.byOperation.mapValues { [$0] }, uniquingKeysWith: +)
    }
    return Self(byOperation: entries.mapValues(ReplayReport.AgreementEntry.sum))
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
    recorded = score.isRecorded ? score.recorded : nil
    predicted = score.isTold ? score.predicted : nil
    matched = score.isScored ? score.matched : nil
    answersMatched = score.isScored && kind == .testClearYoung ? score.answerMatched : nil
    let comparesRights = score.isScored && (kind == .map || kind == .relaxPerms)
    protCompared = comparesRights ? score.protCompared : nil
    protMatched = comparesRights ? score.protMatched : nil
    protDerived = comparesRights ? score.protDerived : nil
    protDerivedMatched = comparesRights ? score.protDerivedMatched : nil
    derivedWrong = score.isRecorded ? score.derivedWrong : nil
    self.mismatches = mismatches.filter { ($0.predicted ?? $0.recorded)?.kind == kind }.map {
      ReplayReport.MismatchEntry(
        predicted: $0.predicted.map { .init($0) }, recorded: $0.recorded.map { .init($0) })
    }
  }

  /// The sum over those of several recordings in which the function is scored; where it is in none, of what is known.
  fileprivate static func sum(_ entries: [Self]) -> Self {
    let scored = entries.filter { $0.matched != nil }
    let added = scored.isEmpty ? entries : scored
    var sum = added[0]
    for entry in added.dropFirst() { sum.add(entry) }
    // What is called derived is never wrong, and where it is, it is told.
    sum.derivedWrong = entries.compactMap(\.derivedWrong).reduce(nil) { ($0 ?? 0) + $1 }
    sum.unscoredInputs = entries.count > scored.count ? entries.count - scored.count : nil
    return sum
  }

  private mutating func add(_ other: Self) {
    for field in [\Self.recorded, \.predicted, \.matched] {
      self[keyPath: field] = self[keyPath: field].adding(other[keyPath: field])
    }
    for field in [
      \Self.answersMatched, \.protCompared, \.protMatched, \.protDerived, \.protDerivedMatched,
    ] {
      if let more = other[keyPath: field] { self[keyPath: field] = (self[keyPath: field] ?? 0) + more }
    }
    mismatches += other.mismatches
  }

  /// Its figures in words: recorded, predicted, alike, the share that is alike, and derived and wrong.
  package var words: [String] {
    let share = matched.map { matched in
      Quantity.percent(UInt64(matched), of: UInt64(max(recorded ?? 0, predicted ?? 0)))
    }
    return [recorded.map { Quantity.count($0) } ?? "not recorded"]
      + [
        predicted.map { Quantity.count($0) }, matched.map { Quantity.count($0) }, share,
        derivedWrong.map { Quantity.count($0) },
      ]
      .map { $0 ?? "unknown" }
  }
}

extension ReplayReport.AgreementTable {
  /// The functions, those with most recorded calls first.
  package var ordered: [(kind: OperationKind, entry: ReplayReport.AgreementEntry)] {
    byOperation.sorted {
      ($1.value.recorded ?? 0, $0.key.name) < ($0.value.recorded ?? 0, $1.key.name)
    }.map { ($0, $1) }
  }

  /// That a row is not of all recordings, a sentence each.
  package var notes: [String] {
    ordered.compactMap { kind, entry in
      entry.unscoredInputs.map { count in
        "\(kind.name): without \(Quantity.count(count, "recording")), where its calls or what leads to them were not recorded"
      }
    }
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
