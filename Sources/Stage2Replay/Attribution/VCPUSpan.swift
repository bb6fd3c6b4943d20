public import KVMTypes

/// From some moment on a thread runs a vCPU of a VM.
public struct VCPUSpan: Hashable, Sendable {
  /// The thread.
  public var tid: ThreadID
  /// The VM's number in the report.
  public var vm: Int
  /// The moment, 0 for the first VM of a thread.
  public var since: Nanoseconds
}
