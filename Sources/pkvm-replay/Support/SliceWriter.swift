import KVMTrace
import KVMTypes
import TraceExport

/// Writes a part of a recording: what its replay has to know of before it, the events that are chosen, and which events are missing.
///
/// What was lost before the part is as unknown to its replay as to one of the whole with the same `--from`. Of what was lost behind it
/// counts, of each CPU, what is missing between its last event in the part and its first one behind it.
struct SliceWriter {
  private let copy: TraceCopy
  private let part: TracePart
  private var context = SliceContext()
  /// Whether an event of the part has come.
  private var hasBegun: Bool
  /// Of which streams an event behind the part has come.
  private var ended: Set<Int> = []

  init(_ copy: TraceCopy, _ part: TracePart) {
    (self.copy, self.part) = (copy, part)
    hasBegun = part.from == nil
  }

  /// Takes in an event of before the part, and says whether it was one.
  ///
  /// - Parameters:
  ///   - marker: the marker that the event is.
  ///   - isOfOthers: whether it is about none of the VMs that were chosen.
  mutating func takesAhead(
    _ run: EventRun, _ position: Int, _ marker: TraceMarker?, isOfOthers: Bool
  ) throws -> Bool {
    guard try isAhead(run[position].time) else { return false }
    if isOfOthers, marker == nil {
      context.pass(run[position])
      return true
    }
    try context.take(run, position, marker, to: copy)
    return true
  }

  /// Takes in a loss that stands before an event of a run, of whatever time.
  mutating func take(_ loss: TraceRecord, in run: EventRun) throws {
    if try isAhead(loss.time) { return context.take(loss, buffer: run.bufferIndex) }
    if isBehind(loss.time), ended.contains(run.stream) { return }
    try copy.append(loss, ofBuffer: run.bufferIndex)
  }

  /// Takes in an event of the part.
  func append(_ run: EventRun, _ position: Int) throws {
    try copy.append(run[position], run.payload(position), ofBuffer: run.bufferIndex)
  }

  /// A run has been taken in.
  mutating func end(_ run: EventRun) {
    if isBehind(run[run.count - 1].time) { ended.insert(run.stream) }
  }

  /// The recording was read to its end.
  mutating func finish(_ statistics: EventStatistics) throws {
    if !hasBegun { try context.write(to: copy) }
    try copy.end(statistics, before: part.to)
  }

  private mutating func isAhead(_ time: Nanoseconds) throws -> Bool {
    guard !hasBegun, let from = part.from else { return false }
    if time < from { return true }
    hasBegun = true
    try context.write(to: copy)
    return false
  }

  private func isBehind(_ time: Nanoseconds) -> Bool { part.to.map { time >= $0 } ?? false }
}
