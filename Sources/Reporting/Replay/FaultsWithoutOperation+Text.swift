internal import Stage2Replay

extension ReplayReport {
  /// "12 led to no operation: 8 in no slot, 4 that came again"; nil for none. Those of which nothing is known have a line of their
  /// own.
  static func words(_ faults: [NoOperationReason: Int]) -> String? {
    let known = faults.filter { $0.key != .unknownSlots && $0.value > 0 }
    guard !known.isEmpty else { return nil }
    return "\(Quantity.count(known.values.reduce(0, +))) led to no operation: "
      + known.sorted { ($1.value, $0.key.rawValue) < ($0.value, $1.key.rawValue) }
      .map { "\(Quantity.count($1)) \($0.phrase)" }.joined(separator: ", ")
  }
}

extension NoOperationReason {
  /// What is said of one fault or several.
  fileprivate var phrase: String {
    switch self {
    case .noSlot: "in no slot"
    case .unknownSlots: "in no slot that the trace tells"
    case .readOnlySlot: "by writes to a read-only slot"
    case .ownUnmap: "with an unmap of the page by their own thread"
    case .faultedAgain: "that came again"
    case .failed: "in which KVM_RUN failed"
    case .gotException: "that gave the guest an exception"
    case .otherFault: "of another kind"
    }
  }
}
