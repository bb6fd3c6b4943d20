internal import KVMTypes

/// Who is in a stage-2 function and who waits for a VM's lock, at the moment: few threads, where there may be many.
struct LockWaits {
  /// Threads in a probed function whose return will be told.
  private(set) var running: [ThreadIndex] = []
  /// Threads between contention_begin and contention_end on the lock of a VM.
  private(set) var waiting: [ThreadIndex] = []

  /// Where events are missing, ends may be: the oldest are forgotten beyond this.
  private static let most = 256

  mutating func begin(_ thread: ThreadIndex) { Self.insert(thread, into: &running) }

  mutating func end(_ thread: ThreadIndex) { Self.remove(thread, from: &running) }

  mutating func beginWait(_ thread: ThreadIndex) { Self.insert(thread, into: &waiting) }

  mutating func endWait(_ thread: ThreadIndex) { Self.remove(thread, from: &waiting) }

  private static func insert(_ thread: ThreadIndex, into list: inout [ThreadIndex]) {
    guard !list.contains(thread) else { return }
    if list.count == most { list.removeFirst() }
    list.append(thread)
  }

  private static func remove(_ thread: ThreadIndex, from list: inout [ThreadIndex]) {
    if let index = list.firstIndex(of: thread) { list.remove(at: index) }
  }
}
