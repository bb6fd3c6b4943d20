internal import KVMTypes

/// When a VM was last seen to do something.
struct VMActivity {
  /// The last event of one of its threads.
  var last = Sequence.start
  /// When one of its vCPUs ran last.
  var lastSeen = Nanoseconds(0)
  /// The last event that told of an unmap of its memory.
  var lastUnmapEvent = Sequence.start
}

/// Unmaps of a VM's memory that may be under way.
struct VMUnmaps {
  /// How many.
  var unfinished = 0
  /// Those of memory in no known slot, which may be the VM's. Nothing tells when most of them are over: their threads may do nothing else.
  var unknown: [UnknownUnmap] = []
  /// Where in the merged trace the last unmap of any of its memory was over.
  var last = Sequence.start
  /// The epoch in which a fault is known to have operated: unmaps that began before the epoch, of which no event tells,
  /// are taken to have been over by then, though one may still wait for mmu_lock.
  var settledEpoch = Epoch.never
}
