internal import KVMTypes

/// How often threads were given pages that other threads had: evidence that they run vCPUs of different VMs.
///
/// A page that one vCPU was given stays mapped for all of its VM until the host takes it away. Two vCPUs of one VM
/// get the same page from two faults now and then, when they race or when a fault had to be retried; guests of two
/// VMs that are alike, as two that boot the same kernel, do so again and again.
struct PageRivalry {
  private struct Pair: Hashable {
    let first: ThreadID
    let second: ThreadID

    init(_ one: ThreadID, _ other: ThreadID) {
      first = min(one, other)
      second = max(one, other)
    }
  }

  /// The thread that was given a page last.
  private var holders: [GFN: ThreadID] = [:]
  private var counts: [Pair: Int] = [:]
  /// Beyond so many pages none is added: 64 Ki of them tell guests apart.
  private static let pagesMax = 65_536
  /// So many pages that were given twice say nothing.
  private static let racesMax = 8
  /// A range of more pages that is taken away empties the table, which is cheaper than to look for each.
  private static let rangePagesMax: UInt64 = 512

  /// A thread was given a page by a translation fault.
  mutating func give(_ gfn: GFN, to tid: ThreadID) {
    if let holder = holders[gfn] {
      if holder == tid { return }
      counts[Pair(holder, tid), default: 0] += 1
    } else if holders.count >= Self.pagesMax {
      return
    }
    holders[gfn] = tid
  }

  /// The host took pages away from some VM that has them at these frames.
  mutating func take(_ frames: FrameRange) {
    if frames.end - frames.start > Self.rangePagesMax { return takeAll() }
    for offset in 0..<(frames.end - frames.start) { holders.removeValue(forKey: frames.start + offset) }
  }

  mutating func takeAll() { holders.removeAll(keepingCapacity: true) }

  /// How often one of two threads was given a page that the other had; none if that may have been races.
  func count(_ one: ThreadID, _ other: ThreadID) -> Int {
    let count = counts[Pair(one, other)] ?? 0
    return count > Self.racesMax ? count : 0
  }
}
