internal import KVMTypes

/// Faults that vCPUs were handling when what is replayed begins, in the middle of a trace or of a VM's life. Their events lie
/// before it, but what they do to the table may still come: another vCPU's fault that has to change the same entry can
/// lose to one of them (`stage2_try_break_pte`), and finds what it broke.
///
/// Where the trace has their beginning they are known. Before a trace any thread may have had one whose first event does not
/// tell that it comes from the guest.
struct UnseenFaults {
  private let from: Nanoseconds?
  /// When the last of them may have been over, as far as is known; nil where there is none.
  private(set) var end: Nanoseconds?
  /// Grows with what is found.
  private(set) var revision = 0

  /// - Parameter from: where the replay begins, nil for the trace's beginning.
  init(from: Nanoseconds?) { self.from = from }

  /// The window of a fault ended.
  @inline(__always)
  mutating func close(begunAt begin: Nanoseconds, at time: Nanoseconds) {
    if let from, begin < from, time >= from { note(time) }
  }

  /// The first event of a thread is kvm_entry.
  mutating func begin(withEntryAt time: Nanoseconds) {
    if from.map({ time >= $0 }) ?? true { note(time) }
  }

  private mutating func note(_ time: Nanoseconds) {
    end = end.map { max($0, time) } ?? time
    revision += 1
  }
}
