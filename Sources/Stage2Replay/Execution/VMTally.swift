internal import KVMTypes
internal import Stage2Model

/// What is counted of one VM when its steps are executed.
struct VMTally: ~Copyable {
  /// Under another kernel than the one that was traced: the recorded faults that are accesses to memory, and the faults
  /// that these accesses take there.
  var accesses = 0
  var modelledFaults = 0
  var operations = RecordStore(repeating: OperationCounts(), count: OperationKind.allCases.count)
  /// What the operations cost, by kind, if that is counted.
  var work: [Stage2Work] = Array(repeating: Stage2Work(), count: OperationKind.allCases.count)
  /// Faults that led to no operation, by reason.
  var nothing: [Int] = Array(repeating: 0, count: NoOperationReason.allCases.count)
  /// What else than operations rests on assumptions.
  var doubts = ReplayDoubts()

  /// Takes over what is the guest's and the host's affair from the execution under the traced kernel.
  mutating func takeOver(_ traced: any TracedExecution) {
    nothing = traced.nothing
    doubts.outcomes = traced.doubts.outcomes
  }
}

/// How often one kind of operation was performed on a VM's table, and how that is known.
public struct OperationCounts: Hashable, Sendable {
  /// All calls.
  public var count = 0
  /// Calls that returned -EAGAIN.
  public var again = 0
  /// Calls that returned another error.
  public var errors = 0
  /// The host's pages in the ranges of the calls that did not fail: what was mapped, and of functions on a range what was asked
  /// for, mapped or not. A function on one address counts one.
  public var pages: UInt64 = 0
  /// Calls by basis.
  public var derived = 0
  /// Calls that the trace allows but does not force.
  public var assumed = 0

  /// A call that covers `pages`, one at least.
  @inline(__always)
  mutating func add(_ kind: OperationKind, pages covered: UInt64, _ result: Int32?, _ basis: Basis) {
    count &+= 1
    if let result, result < 0, kind != .testClearYoung {
      if result == KernelResult.again.rawValue { again += 1 } else { errors += 1 }
    } else {
      pages &+= max(covered, 1)
    }
    if basis == .derived { derived &+= 1 } else { assumed &+= 1 }
  }
}
