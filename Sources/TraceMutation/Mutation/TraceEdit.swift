package import KVMTrace

/// A few changes to a list of records; places are positions in the list as it was.
package struct TraceEdit {
  package var replaced: [Int: TraceRecord] = [:]
  package var removed: Set<Int> = []
  /// New records, and the one behind which they come.
  package var inserted: (after: Int, records: [TraceRecord])?

  /// The records after the edit.
  package func applied(to records: [TraceRecord]) -> [TraceRecord] {
    var result = records
    for (index, record) in replaced { result[index] = record }
    if let inserted { result.insert(contentsOf: inserted.records, at: inserted.after + 1) }
    for index in removed.sorted(by: >) {
      precondition(inserted == nil, "an edit removes or inserts")
      result.remove(at: index)
    }
    return result
  }
}
