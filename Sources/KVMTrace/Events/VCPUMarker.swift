public import KVMTypes

/// What stands behind the first change of a VM's slots in a part that was cut out of a recording, such as `pkvm-replay:vcpus tids=347,348`:
/// whose vCPUs are the VM's, as the recording as a whole tells. The thread that prints it is that of the change.
public struct VCPUMarker: Hashable, Sendable {
  /// The threads that run vCPUs of the VM.
  public var threads: [ThreadID]

  /// A line of trace_marker has room for so many.
  private static let threadsMax = 100

  /// A marker that names these threads.
  public init(threads: [ThreadID]) { self.threads = threads }

  /// The marker with these settings. What is no number of a thread is left out.
  init(_ settings: [TraceMarker.Setting]) {
    let list = settings.first { $0.key == "tids" }?.value ?? ""
    threads = list.split(separator: ",").compactMap { Int32($0) }.filter { $0 > 0 }.map { ThreadID($0) }
  }

  /// The line that says this.
  public var text: String {
    "\(TraceMarker.prefix)vcpus tids=" + threads.map { String($0.rawValue) }.joined(separator: ",")
  }

  /// Markers that name any number of threads.
  public static func markers(naming threads: [ThreadID]) -> [VCPUMarker] {
    stride(from: 0, to: threads.count, by: threadsMax).map { first in
      VCPUMarker(threads: Array(threads[first..<min(first + threadsMax, threads.count)]))
    }
  }
}
