public import KVMTypes

/// What a part that was cut out of a recording says of threads, such as `pkvm-replay:vcpus tids=347,348`, as the recording as a whole tells
/// it.
public struct ThreadsMarker: Hashable, Sendable {
  /// What is said of them; the marker's first word.
  public enum Role: String, Hashable, CaseIterable, Sendable {
    /// They run the vCPUs of a VM. It stands behind the first change of the VM's slots, printed by the thread of that.
    case vcpus
    /// They ran guests before the part, and before any event was lost. It stands behind the part's first event.
    case running
  }

  /// What is said.
  public let role: Role
  /// Of which threads.
  public var threads: [ThreadID]

  /// A line of trace_marker has room for so many.
  private static let threadsMax = 100

  /// A marker that names these threads.
  public init(_ role: Role, threads: [ThreadID]) { (self.role, self.threads) = (role, threads) }

  /// The marker with these settings. What is no number of a thread is left out.
  init(_ role: Role, _ settings: [TraceMarker.Setting]) {
    let list = settings.first { $0.key == "tids" }?.value ?? ""
    let threads = list.split(separator: ",").compactMap { Int32($0) }.filter { $0 > 0 }
    self.init(role, threads: threads.map { ThreadID($0) })
  }

  /// The line that says this.
  public var text: String {
    "\(TraceMarker.prefix)\(role.rawValue) tids=" + threads.map { String($0.rawValue) }.joined(separator: ",")
  }

  /// Markers that name any number of threads.
  public static func markers(_ role: Role, naming threads: [ThreadID]) -> [ThreadsMarker] {
    stride(from: 0, to: threads.count, by: threadsMax).map { first in
      ThreadsMarker(role, threads: Array(threads[first..<min(first + threadsMax, threads.count)]))
    }
  }
}
