internal import KVMTrace
internal import KVMTypes

/// A memory marker when it came in, with what is known only then: the model's figures follow when all events before it have
/// been executed.
struct MarkerSnapshot {
  /// Nil where the marker only says that everything is quiet.
  var marker: MemoryMarker?
  var time: Nanoseconds
  var cpu: CPUIndex
  var tid: ThreadID
  /// What was known of the VMs.
  var roster: MarkerRoster
  /// Whether it is the first of the memory markers.
  var isFirst = false
  /// Why nothing can be said of the host's memory.
  var doubt: MarkerDoubt?
}
