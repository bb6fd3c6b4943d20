internal import Dispatch

/// Reads a trace on another thread, a few batches ahead of whoever takes the events in, in the same order.
///
/// Invariant: a batch, and whether it is the last one, belong to the reading thread from the moment at which `read` is handed to it
/// until it signals `filled`, and to the caller's from there on. The reader and `hasEnded` belong to the reading thread until
/// `running` is empty.
final class ReadAhead: @unchecked Sendable {
  /// So many batches there are: one is taken in, one is filled, and the others last while the thread does something else. (With 4 of
  /// them a replay of 8 VMs on two threads took 0.56 s, with 16 0.38.)
  private static let batchesMax = 16
  /// So many events has one: seldom does one thread wait for another, and the records fit in the cache of a core.
  private static let eventsOfBatch = 2048

  private var reader: EventReader
  private let thread: WorkerThread
  private let batches: UnsafeMutablePointer<EventBatch>
  /// Whether the events end with a batch.
  private let isLast: UnsafeMutablePointer<Bool>
  /// Whether there are no more events to read.
  private var hasEnded = false
  private let filled = DispatchSemaphore(value: 0)
  private let running = DispatchGroup()

  init(_ reader: consuming EventReader, on thread: WorkerThread, mixesCPUs: Bool) {
    self.reader = reader
    self.thread = thread
    batches = .allocate(capacity: Self.batchesMax)
    isLast = .allocate(capacity: Self.batchesMax)
    for position in 0..<Self.batchesMax {
      (batches + position).initialize(
        to: EventBatch(ofAtLeast: Self.eventsOfBatch, mixesCPUs: mixesCPUs))
      (isLast + position).initialize(to: false)
    }
  }

  deinit {
    batches.deinitialize(count: Self.batchesMax)
    batches.deallocate()
    isLast.deallocate()
  }

  /// Calls `body` with each run, on the thread of the caller. To be called once.
  ///
  /// - Returns: what the pass counted.
  func forEachRun(_ body: (EventRun) throws -> Void) rethrows -> EventStatistics {
    // What `body` throws ends the reading, too: no more is handed over than the batches that are.
    defer { running.wait() }
    for position in 0..<Self.batchesMax { handOver(position) }
    var position = 0
    while true {
      filled.wait()
      try batches[position].forEachRun(body)
      if isLast[position] { break }
      handOver(position)
      position = (position + 1) % Self.batchesMax
    }
    running.wait()
    return reader.statistics
  }

  /// Has a batch filled.
  private func handOver(_ position: Int) {
    thread.run(in: running) { self.read(position) }
  }

  private func read(_ position: Int) {
    if hasEnded { return }
    hasEnded = !batches[position].fill(from: &reader)
    isLast[position] = hasEnded
    filled.signal()
  }
}
