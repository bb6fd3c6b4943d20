internal import KVMTrace
internal import KVMTypes

/// A fault, and the host ranges of which at least one must hold its frame: nothing else can have unmapped it, or cleared
/// its access flag.
struct FaultPair {
  var tid: ThreadID
  /// The page or block, in bytes of IPA.
  var address: IPA
  var bytes: UInt64
  /// When the frame was last known to be mapped, or young, and when it was no more.
  var since: Nanoseconds
  var time: Nanoseconds
  /// The fault's place in the merged trace.
  var sequence: Sequence
  /// Where its ranges are in the store.
  var ranges: Range<Int>
}

/// A bounded number of pairs: at most 32,768 with 524,288 ranges between them, which takes 11 MiB.
///
/// When the store is full, regions of which it has many pairs lose every other one, so that slots with few keep theirs.
struct FaultPairs {
  private static let pairsMax = 1 << 15
  private static let rangesMax = 1 << 19
  /// A region keeps as many: twice what it takes to place a slot.
  private static let regionPairsMin = 2 * SlotInference.marginMin

  private(set) var all: [FaultPair] = []
  private var ranges: [HVARange] = []
  private let pageSize: PageSize

  init(pageSize: PageSize) { self.pageSize = pageSize }

  func ranges(of pair: FaultPair) -> ArraySlice<HVARange> { ranges[pair.ranges] }

  /// Adds a pair of a fault with the ranges of `history` since `moment`, where there are any and not too many.
  mutating func append(
    _ tid: ThreadID, _ address: IPA, bytes: UInt64, since moment: TraceMoment,
    in history: HostRangeHistory, at fault: TraceMoment
  ) {
    if all.count >= Self.pairsMax || ranges.count >= Self.rangesMax { thin() }
    let first = ranges.count
    guard history.append(since: moment.sequence, to: &ranges), ranges.count > first else { return }
    all.append(
      FaultPair(
        tid: tid, address: address, bytes: bytes, since: moment.time, time: fault.time,
        sequence: fault.sequence,
        ranges: first..<ranges.count))
  }

  /// Drops the pairs of faults from a place of the trace on: events that are missing there could have been their cause.
  mutating func remove(from sequence: Sequence) {
    while let last = all.last, last.sequence >= sequence {
      all.removeLast()
      ranges.removeSubrange(last.ranges.lowerBound...)
    }
  }

  private mutating func thin() {
    let shift = pageSize.levelShift(.l2)
    func region(_ pair: FaultPair) -> UInt64 { pair.address.rawValue >> shift }
    var counts: [UInt64: Int] = [:]
    for pair in all { counts[region(pair), default: 0] += 1 }
    // Where no region has many, all of them lose.
    let isCrowded = counts.values.contains { $0 > Self.regionPairsMin }
    var seen: [UInt64: Int] = [:]
    var kept: [FaultPair] = []
    var keptRanges: [HVARange] = []
    for var pair in all {
      let key = region(pair)
      seen[key, default: 0] += 1
      let mayGo = !isCrowded || counts[key]! > Self.regionPairsMin
      if mayGo, seen[key]!.isMultiple(of: 2) { continue }
      let first = keptRanges.count
      keptRanges += ranges[pair.ranges]
      pair.ranges = first..<keptRanges.count
      kept.append(pair)
    }
    all = kept
    ranges = keptRanges
  }
}
