internal import KVMTrace
internal import KVMTypes

/// Finds the distances between host and guest addresses that explain the pairs of a trace.
///
/// A pair whose ranges are single pages (or blocks, for a fault on a block) allows as many distances as it has ranges,
/// and one of them is right. Each distance that is right of a slot explains every pair of that slot, so the one that
/// explains most is tried first; its pairs are set aside, and the rest is tried again.
///
/// Chance agrees with no distance for long. There are 2^35 page-aligned distances in a 47-bit address space, so
/// two pairs with a range each agree by chance with a probability of 2^-35. What can agree are neighbours in a scan: when
/// the host ages its memory page by page, a distance that is a page off explains many pairs, too. Hence the margin.
struct OffsetVote {
  /// A distance, and the pairs that it explains.
  struct Cluster {
    /// Host minus guest address, modulo 2^64.
    var offset: UInt64
    /// The positions of the pairs, in the order of the trace.
    var pairs: [Int]
    var runnerUp: Int
  }

  private let pairs: FaultPairs
  /// The distances that each pair allows, none for a pair with a range that names no single page.
  private let offsets: [[UInt64]]

  /// - Parameter counts: whose pairs count.
  init(_ pairs: FaultPairs, where counts: (ThreadID) -> Bool = { _ in true }) {
    self.pairs = pairs
    offsets = pairs.all.map { pair in
      counts(pair.tid) ? Self.offsets(of: pair, pairs.ranges(of: pair)) : []
    }
  }

  private static func offsets(of pair: FaultPair, _ ranges: ArraySlice<HVARange>) -> [UInt64] {
    var offsets: [UInt64] = []
    for range in ranges {
      let first = range.start.rawValue & ~(pair.bytes - 1)
      guard range.end.rawValue - first <= pair.bytes else { return [] }
      let offset = first &- pair.address.rawValue
      if !offsets.contains(offset) { offsets.append(offset) }
    }
    return offsets
  }

  /// Whether the distance puts the pair's frame into one of its ranges.
  func explains(_ offset: UInt64, _ position: Int) -> Bool {
    let pair = pairs.all[position]
    let start = pair.address.rawValue &+ offset
    return pairs.ranges(of: pair).contains { range in
      start < range.end.rawValue && start &+ pair.bytes > range.start.rawValue
    }
  }

  /// The distances that explain at least `minimum` pairs which no distance before them explained, the one with most
  /// pairs first.
  func clusters(minimum: Int) -> [Cluster] {
    var counts: [UInt64: Int] = [:]
    for allowed in offsets { for offset in allowed { counts[offset, default: 0] += 1 } }
    counts = counts.filter { $0.value >= minimum }
    var voters: [UInt64: [Int32]] = [:]
    for (position, allowed) in offsets.enumerated() {
      for offset in allowed where counts[offset] != nil {
        voters[offset, default: []].append(Int32(position))
      }
    }
    var isTaken = [Bool](repeating: false, count: offsets.count)
    var clusters: [Cluster] = []
    // Counts only fall, so one that is still right when its turn comes is the highest.
    var queue = counts.map { (count: $0.value, offset: $0.key) }.sorted {
      ($0.count, $1.offset) < ($1.count, $0.offset)
    }
    while let best = queue.popLast() {
      let members = voters[best.offset]!.filter { !isTaken[Int($0)] }.map(Int.init)
      guard members.count >= minimum else { continue }
      if members.count < best.count {
        let entry = (count: members.count, offset: best.offset)
        let position = queue.partitioningIndex { ($0.count, entry.offset) >= (entry.count, $0.offset) }
        queue.insert(entry, at: position)
        continue
      }
      clusters.append(Cluster(offset: best.offset, pairs: members, runnerUp: runnerUp(best.offset, members)))
      for member in members { isTaken[member] = true }
    }
    return clusters
  }

  private func runnerUp(_ offset: UInt64, _ members: [Int]) -> Int {
    var counts: [UInt64: Int] = [:]
    for member in members {
      for other in offsets[member] where other != offset { counts[other, default: 0] += 1 }
    }
    return counts.values.max() ?? 0
  }
}
