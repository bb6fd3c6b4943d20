internal import KVMTrace
internal import KVMTypes

/// The last host ranges that notifiers spoke of, in the order of the trace.
struct HostRangeHistory {
  /// How many different ranges a pair may have: among more, its frame could lie nearly anywhere.
  static let candidatesMax = 64
  /// Repetitions of the last range are one, so few more than that have to be kept.
  private static let capacity = 4 * candidatesMax

  private struct Entry {
    var range: HVARange
    /// The place in the merged trace of its last event.
    var sequence: Sequence
  }

  private var entries: [Entry] = []
  private var next = 0

  mutating func append(_ range: HVARange, at sequence: Sequence) {
    guard range.start < range.end else { return }
    let last = (next + Self.capacity - 1) % Self.capacity
    if last < entries.count, entries[last].range == range {
      entries[last].sequence = sequence
      return
    }
    if entries.count < Self.capacity {
      entries.append(Entry(range: range, sequence: sequence))
    } else {
      entries[next] = Entry(range: range, sequence: sequence)
    }
    next = (next + 1) % Self.capacity
  }

  /// Appends the different ranges after `sequence`, the last one first.
  ///
  /// - Returns: false where there are too many, or the history does not reach back that far; then nothing is appended.
  func append(since sequence: Sequence, to ranges: inout [HVARange]) -> Bool {
    let first = ranges.count
    var index = next
    for _ in entries.indices {
      index = (index + Self.capacity - 1) % Self.capacity
      if entries[index].sequence <= sequence { return true }
      if ranges[first...].contains(entries[index].range) { continue }
      guard ranges.count - first < Self.candidatesMax else {
        ranges.removeSubrange(first...)
        return false
      }
      ranges.append(entries[index].range)
    }
    if entries.count < Self.capacity { return true }
    ranges.removeSubrange(first...)
    return false
  }
}
