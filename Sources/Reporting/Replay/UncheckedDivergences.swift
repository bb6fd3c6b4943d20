internal import Stage2Replay

/// Why divergences that were not found tell nothing: the events that would be held against the model were not recorded, or there are
/// none. A count of 0 is then no figure.
enum UncheckedDivergences {
  /// In words, of a recording or of one of its VMs; nil where faults were held against the model.
  ///
  /// - Parameters:
  ///   - faults: how many there are, nil where they were not recorded.
  ///   - missing: what the recording lacks.
  static func why(faults: Int?, missing: [MissingEvents]) -> String? {
    let essential = missing.filter(\.isEssential).flatMap(\.events)
    guard let faults, !essential.contains("kvm_guest_fault") else {
      return "there is no fault to hold against the model"
    }
    if faults == 0 { return "no fault was held against the model" }
    return essential.isEmpty ? nil : "not all can be told without \(essential.joined(separator: ", "))"
  }

  /// In words, of several recordings together.
  static func why(_ reports: [ReplayReport]) -> String? {
    let reasons = reports.compactMap(\.divergences.uncheckedWhy)
    guard let first = reasons.first else { return nil }
    if reasons.count == reports.count, reasons.allSatisfy({ $0 == first }) { return first }
    let part = reasons.count == reports.count ? "all" : "\(reasons.count) of the \(reports.count)"
    return "none can be told of \(part) recordings"
  }
}
