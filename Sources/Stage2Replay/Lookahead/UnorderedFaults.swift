internal import KVMTypes

/// Which waiting faults race with one of another vCPU, where no kvm_entry tells who came first.
///
/// A kvm_entry bounds how far back a new fault looks for those it races with (`RegionTimelines.markRaces`). Without it each
/// fault would mark all that wait on its page, or in its region: thousands, again and again. So marks are kept here once for all
/// of them, by how far they reach.
struct UnorderedFaults: ~Copyable {
  /// Of the page or the region under a key of `RegionTimelines`. A fault that is the only one of its region is in none.
  private var mixes = FrameMap(filler: FaultMix())

  /// Takes a fault in.
  ///
  /// - Parameters:
  ///   - begin: from where on the faults of the region are kept.
  ///   - marks: whether it races with all that are there.
  /// - Returns: whether one of another thread is there.
  mutating func append(_ fault: TimelineNode, _ key: UInt64, begin: Sequence, marks: Bool) -> Bool {
    if let slot = mixes.slot(of: key) { return mixes[slot: slot].append(fault, begin: begin, marks: marks) }
    var mix = FaultMix()
    _ = mix.append(fault, begin: begin, marks: marks)
    _ = mixes.updateValue(mix, forKey: key)
    return false
  }

  /// Whether a later fault was found to race with this one.
  func isRaced(_ fault: TimelineNode, _ key: UInt64) -> Bool { mixes[key]?.isRaced(fault) ?? false }

  /// Nothing of the page or the region is kept any more.
  mutating func forget(_ key: UInt64) { mixes.remove(key) }
}

/// The faults on a page or in a region, as far as who races with whom goes.
///
/// A fault of one thread marks all before it but that thread's own. The union of two such marks has the same form: all up to one
/// place, and up to a second place all but one thread's.
struct FaultMix: BitwiseCopyable {
  /// The last fault, and the last one of any other thread than that one's.
  private var last = Sequence.start
  private var lastThread = ThreadID(0)
  private var lastOfOthers = Sequence.start
  /// Up to here all are marked.
  private var allMarked = Sequence.start
  /// Up to here all are marked but those of one thread.
  private var othersMarked = Sequence.start
  private var unmarked = ThreadID(0)

  /// Takes a fault in, which marks those before it if `marks`.
  ///
  /// - Parameter begin: from where on faults are kept.
  /// - Returns: whether one of another thread is.
  mutating func append(_ fault: TimelineNode, begin: Sequence, marks: Bool) -> Bool {
    if marks {
      if fault.tid != unmarked { (allMarked, unmarked) = (othersMarked, fault.tid) }
      othersMarked = last
    }
    if fault.tid != lastThread { (lastOfOthers, lastThread) = (last, fault.tid) }
    last = fault.sequence
    return lastOfOthers != .start && lastOfOthers >= begin
  }

  func isRaced(_ fault: TimelineNode) -> Bool {
    fault.sequence <= allMarked || fault.sequence <= othersMarked && fault.tid != unmarked
  }
}
