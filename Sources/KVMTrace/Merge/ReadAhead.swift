internal import Dispatch

/// Reads a trace on a thread of its own, a few batches ahead of whoever takes the events in, in the same order.
///
/// Invariant: a batch, and whether it is the last one, belong to the reading thread from `free` on until it signals `filled`, and to
/// the other thread from there on until that signals `free`. The reader belongs to the reading thread until `running` is empty.
final class ReadAhead: @unchecked Sendable {
  /// So many batches there are: one is taken in, one is filled, and the others make up for what is uneven.
  private static let batchesMax = 4

  private var reader: EventReader
  private let batches: UnsafeMutablePointer<EventBatch>
  /// Whether nothing comes behind a batch, because the events end or because no more of them are wanted.
  private let isLast: UnsafeMutablePointer<Bool>
  private let free = DispatchSemaphore(value: 0)
  private let filled = DispatchSemaphore(value: 0)
  private let running = DispatchGroup()

  init(_ reader: consuming EventReader) {
    self.reader = reader
    batches = .allocate(capacity: Self.batchesMax)
    isLast = .allocate(capacity: Self.batchesMax)
    for position in 0..<Self.batchesMax {
      (batches + position).initialize(to: EventBatch())
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
    for _ in 0..<Self.batchesMax { free.signal() }
    DispatchQueue(label: "reading ahead").async(group: running) { self.read() }
    var position = 0
    defer {
      // What `body` throws ends the reading, too.
      isLast[position] = true
      free.signal()
      running.wait()
    }
    while true {
      filled.wait()
      try batches[position].forEachRun(body)
      if isLast[position] { break }
      free.signal()
      position = (position + 1) % Self.batchesMax
    }
    running.wait()
    return reader.statistics
  }

  private func read() {
    var position = 0
    while true {
      free.wait()
      if isLast[position] { return }
      isLast[position] = !batches[position].fill(from: &reader)
      let ends = isLast[position]
      filled.signal()
      if ends { return }
      position = (position + 1) % Self.batchesMax
    }
  }
}
