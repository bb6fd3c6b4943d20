internal import KVMTypes

/// Threads that seem to run the vCPUs of one VM.
struct InferredGuest {
  var tids: Set<ThreadID>
  /// When one of them faulted first, and when one entered the guest or faulted last.
  var first: Nanoseconds
  var last: Nanoseconds
}
