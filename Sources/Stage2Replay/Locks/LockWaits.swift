internal import KVMTypes

/// Who is in a stage-2 function and who waits for a VM's lock, at the moment: few threads, where there may be many.
///
/// Threads are positions in the replay's list.
struct LockWaits {
  /// Threads in a probed function whose return will be told.
  private(set) var running: [Int] = []
  /// Threads between contention_begin and contention_end on the lock of a VM.
  private(set) var waiting: [Int] = []

  /// Where events are missing, ends may be: the oldest are forgotten beyond this.
  private static let most = 256

  mutating func begin(_ thread: Int) { Self.insert(thread, into: &running) }

  mutating func end(_ thread: Int) { Self.remove(thread, from: &running) }

  mutating func beginWait(_ thread: Int) { Self.insert(thread, into: &waiting) }

  mutating func endWait(_ thread: Int) { Self.remove(thread, from: &waiting) }

  private static func insert(_ thread: Int, into list: inout [Int]) {
    guard !list.contains(thread) else { return }
    if list.count == most { list.removeFirst() }
    list.append(thread)
  }

  private static func remove(_ thread: Int, from list: inout [Int]) {
    if let index = list.firstIndex(of: thread) { list.remove(at: index) }
  }
}
