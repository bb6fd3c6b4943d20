internal import KVMTrace
internal import KVMTypes

/// Whose event is the last of each processor in the part of a trace that is replayed: what that thread was about is not over.
struct StreamEnds {
  /// By number of the processor.
  private var threads: [ThreadID?] = []
  /// Where the part ends, nil for the end of the trace.
  private let end: Nanoseconds?

  init(before end: Nanoseconds?) { self.end = end }

  /// Takes in consecutive events of one processor.
  mutating func note(_ records: UnsafeBufferPointer<TraceRecord>) {
    guard let last = records.last(where: { isInPart($0) }) else { return }
    let index = Int(last.cpu.rawValue)
    while index >= threads.count { threads.append(nil) }
    threads[index] = last.tid
  }

  /// Whether the last event of a processor is a thread's.
  func contains(_ tid: ThreadID) -> Bool { threads.contains(tid) }

  private func isInPart(_ record: TraceRecord) -> Bool {
    record.kind != .lost && end.map { record.time < $0 } ?? true
  }
}
