internal import KVMTrace
internal import KVMTypes

/// The memslots of one VM (`struct kvm_memslots`), by frame and by host address.
struct MemslotTable {
  /// The slots in the order of their frames, which never overlap.
  private(set) var slots: [Memslot] = []
  /// The positions in `slots` in the order of host addresses, and the highest end of these and all before: two
  /// slots may share host memory, so a search walks back until nothing can reach any more.
  private var byHVA: [(slot: Int, highestEnd: UInt64)] = []
  private let pageSize: PageSize

  init(pageSize: PageSize) { self.pageSize = pageSize }

  /// The slot that holds `gfn`.
  func slot(_ gfn: GFN) -> Memslot? {
    var low = 0
    var high = slots.count
    while low < high {
      let middle = (low + high) / 2
      if slots[middle].base <= gfn { low = middle + 1 } else { high = middle }
    }
    guard low > 0, slots[low - 1].contains(gfn) else { return nil }
    return slots[low - 1]
  }

  /// Whether any slot shares a frame with the range.
  func overlaps(_ base: GFN, _ pages: UInt64) -> Bool {
    slots.contains { $0.overlaps(base, pages) }
  }

  /// Whether the creation of a slot cannot concern the VM whose slots these are. The kernel never creates a slot over
  /// another one, or under a number in use; so the address of `struct kvm` belongs to a new VM by now.
  func isContradicted(by commit: MemslotCommit) -> Bool {
    overlaps(commit.base, commit.pages) || slots.contains { commit.id != nil && $0.id == commit.id }
  }

  /// Appends the frames of each slot that a notifier's range overlaps, in the order of host addresses, as the kernel's
  /// interval tree of slots delivers them.
  func appendOverlaps(_ range: HVARange, to frames: inout [FrameRange]) {
    var low = 0
    var high = byHVA.count
    while low < high {
      let middle = (low + high) / 2
      if slots[byHVA[middle].slot].hva < range.end { low = middle + 1 } else { high = middle }
    }
    var first = low
    while first > 0, byHVA[first - 1].highestEnd > range.start.rawValue { first -= 1 }
    for entry in byHVA[first..<low] {
      let slot = slots[entry.slot]
      if let overlap = slot.frames(range, pageSize) { frames.append(overlap) }
    }
  }

  mutating func insert(_ slot: Memslot) {
    let position = slots.firstIndex { $0.base > slot.base } ?? slots.count
    slots.insert(slot, at: position)
    index()
  }

  /// Removes the slot that begins at `base`, and returns it.
  mutating func remove(base: GFN) -> Memslot? {
    guard let position = slots.firstIndex(where: { $0.base == base }) else { return nil }
    defer { index() }
    return slots.remove(at: position)
  }

  private mutating func index() {
    byHVA = slots.indices.sorted { (slots[$0].hva, $0) < (slots[$1].hva, $1) }.map { ($0, 0) }
    var highest: UInt64 = 0
    for position in byHVA.indices {
      let slot = slots[byHVA[position].slot]
      highest = max(highest, slot.hva.rawValue &+ (slot.pages << pageSize.shift))
      byHVA[position].highestEnd = highest
    }
  }
}
