internal import KVMTypes

/// How often threads were given pages that other threads had: evidence that they run vCPUs of different VMs.
///
/// A page that one vCPU was given stays mapped for all of its VM until the host takes it away. Two vCPUs of one VM
/// get the same page from two faults now and then, when they race or when a fault had to be retried; guests of two
/// VMs that are alike, as two that boot the same kernel, do so again and again.
///
/// The pages are in a table of fixed size (1 MiB), in which one takes the place of another: 64 Ki of them tell guests apart.
struct PageRivalry {
  /// A thread that was given pages which another one had, or the reverse, and how often.
  struct Rival {
    let thread: ThreadIndex
    let count: Int
  }

  /// The thread that was given a page last.
  private struct Holder: BitwiseCopyable {
    var gfn: GFN
    var thread: ThreadIndex
    /// How often all pages had been taken away by then, so that emptying the table touches none of it.
    var generation: UInt32
  }

  private var holders: [Holder] = []
  private var generation: UInt32 = 1
  /// By the numbers of two threads.
  private var counts: [FrameKey: Int] = [:]
  private static let bits = 16
  /// So many pages that were given twice say nothing.
  private static let racesMax = 8
  /// A range of more pages that is taken away empties the table, which is cheaper than to look for each.
  private static let rangePagesMax: UInt64 = 512

  /// A thread was given a page by a translation fault.
  mutating func give(_ gfn: GFN, to thread: ThreadIndex) {
    if holders.isEmpty {
      let none = Holder(gfn: GFN(0), thread: thread, generation: 0)
      holders = Array(repeating: none, count: 1 << Self.bits)
    }
    let place = Self.place(gfn)
    let holder = holders[place]
    if holder.generation == generation, holder.gfn == gfn {
      if holder.thread == thread { return }
      counts[Self.pair(holder.thread, thread), default: 0] += 1
    }
    holders[place] = Holder(gfn: gfn, thread: thread, generation: generation)
  }

  /// The host took pages away from some VM that has them at these frames.
  mutating func take(_ frames: FrameRange) {
    if holders.isEmpty { return }
    if frames.end - frames.start > Self.rangePagesMax { return takeAll() }
    for offset in 0..<(frames.end - frames.start) {
      let place = Self.place(frames.start + offset)
      if holders[place].gfn == frames.start + offset { holders[place].generation = 0 }
    }
  }

  mutating func takeAll() { generation += 1 }

  /// How often one of two threads was given a page that the other had; none if that may have been races.
  func count(_ one: ThreadIndex, _ other: ThreadIndex) -> Int {
    let count = counts[Self.pair(one, other)] ?? 0
    return count > Self.racesMax ? count : 0
  }

  /// The rivals of each thread that has any: those for which `count` is not 0.
  var rivals: [ThreadIndex: [Rival]] {
    var rivals: [ThreadIndex: [Rival]] = [:]
    for (pair, count) in counts where count > Self.racesMax {
      let (one, other) = (ThreadIndex(Int(pair.value >> 32)), ThreadIndex(Int(pair.value & 0xffff_ffff)))
      rivals[one, default: []].append(Rival(thread: other, count: count))
      rivals[other, default: []].append(Rival(thread: one, count: count))
    }
    return rivals
  }

  /// Neighbouring frames go to neighbouring places, so that a guest's memory does not drive itself out.
  private static func place(_ gfn: GFN) -> Int { Int(truncatingIfNeeded: gfn.rawValue) & ((1 << bits) - 1) }

  private static func pair(_ one: ThreadIndex, _ other: ThreadIndex) -> FrameKey {
    FrameKey(UInt64(min(one, other).position) << 32 | UInt64(max(one, other).position))
  }
}
