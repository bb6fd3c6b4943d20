public import KVMTypes
public import Stage2Model

/// How one kind of operation fared when predictions were held against probes.
public struct AgreementScore: Hashable, Sendable {
  /// Whether its calls were recorded, should there be any: where not, that none was is no fact.
  public var isRecorded = true
  /// Whether the trace tells of all of its calls: where not, that none was predicted is no prediction.
  public var isTold = true
  /// Whether the two can be held against each other.
  public var isScored: Bool { isRecorded && isTold }
  /// Operations that probes recorded.
  public var recorded = 0
  /// Operations that were predicted.
  public var predicted = 0
  /// Pairs that are equal in address, size and, where the return was recorded, result, at the same place of the thread's stream
  /// and in the same order; for test_clear_young, whose answer depends on what the hardware did unseen, in address and size.
  public var matched = 0
  /// Matched pairs whose `prot` could be compared.
  public var protCompared = 0
  /// Those whose `prot` is the same.
  public var protMatched = 0
  /// Matched pairs whose predicted `prot` has the basis `derived`, and those of them whose `prot` is the same.
  public var protDerived = 0
  /// Those of them whose `prot` is the same.
  public var protDerivedMatched = 0
  /// Matched pairs of test_clear_young with the same answer.
  public var answerMatched = 0
  /// Predictions with the basis `derived` that were wrong, the answer of test_clear_young included.
  public var derivedWrong = 0
}

/// How long a recorded operation took, and the work that its model counted.
public struct OperationTiming: Hashable, Sendable {
  /// Which function.
  public var kind: OperationKind
  /// When it was entered.
  public var time: Nanoseconds
  /// From entry to return.
  public var duration: Nanoseconds
  /// What it cost, in units that a cost model prices.
  public var work: Stage2Work
}

/// A predicted and a recorded operation that differ, or one that only one side has.
public struct AgreementMismatch: Hashable, Sendable {
  /// What was predicted, nil where nothing was.
  public var predicted: Stage2Operation?
  /// What was recorded, nil where nothing was.
  public var recorded: Stage2Operation?
}
