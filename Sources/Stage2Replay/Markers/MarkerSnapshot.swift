internal import KVMTrace
internal import KVMTypes

/// A memory marker when it came in, with what is known only then: the model's figures follow when all events before it have
/// been applied.
struct MarkerSnapshot {
  /// Nil where the marker only says that everything is quiet.
  var marker: MemoryMarker?
  var time: Nanoseconds
  var cpu: CPUIndex
  var tid: ThreadID
  /// The VMs that there were.
  var vms: [Int]
  /// Exits and accesses to devices of all vCPUs that there were.
  var exits: Int
  var mmioExits: Int
  /// The types of VMs without memslots, which no fault has shown.
  var otherVMs: [VMType] = []
  /// Whether it is the first of the memory markers.
  var isFirst = false
  /// Why nothing can be said of the host's memory.
  var doubt: MarkerDoubt?
}
