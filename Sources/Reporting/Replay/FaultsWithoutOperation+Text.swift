internal import Stage2Replay

extension ReplayReport {
  /// "12 led to no operation: 8 in no slot, 4 that came again"; nil for none. Those of which nothing is known have lines of their
  /// own.
  static func words(_ faults: [NoOperationReason: Int]) -> String? {
    let known = faults.filter { !$0.key.isUnknown && $0.value > 0 }
    guard !known.isEmpty else { return nil }
    return "\(Quantity.count(known.values.reduce(0, +))) led to no operation: "
      + known.sorted { ($1.value, $0.key.rawValue) < ($0.value, $1.key.rawValue) }
      .map { "\(Quantity.count($1)) \($0.phrase)" }.joined(separator: ", ")
  }

  /// "2 of them under way at the end: what became of them is unknown", a line for each reason that says so.
  static func unknownWords(_ faults: [NoOperationReason: Int]) -> [String] {
    NoOperationReason.allCases.filter { $0.isUnknown && faults[$0, default: 0] > 0 }.map { reason in
      let count = faults[reason]!
      return
        "\(Quantity.count(count)) of them \(reason.phrase): what became of \(count == 1 ? "it" : "them") is unknown"
    }
  }
}

extension NoOperationReason {
  /// What is said of one fault or several.
  package var phrase: String {
    switch self {
    case .noSlot: "in no slot"
    case .unknownSlots: "in no slot that the trace tells"
    case .readOnlySlot: "by writes to a read-only slot"
    case .ownUnmap: "with an unmap of the page by their own thread"
    case .faultedAgain: "that came again"
    case .failed: "in which KVM_RUN failed"
    case .gotException: "that gave the guest an exception"
    case .otherFault: "of another kind"
    case .cutOff: "under way at the end"
    }
  }
}
