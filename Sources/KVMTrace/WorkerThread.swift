package import Dispatch

/// A thread beside the caller's, which does one thing after another in the order in which they are handed over. A replay with
/// two threads has both its events read there and its VMs executed.
public final class WorkerThread: Sendable {
  private let queue = DispatchQueue(label: "reading and execution")

  /// A thread that nothing has been handed over to.
  public init() {}

  /// Does `work` after all that was handed over before. It must not wait for what comes later.
  package func run(in group: DispatchGroup, _ work: @escaping @Sendable () -> Void) {
    queue.async(group: group, execute: work)
  }
}
