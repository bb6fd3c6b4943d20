internal import KVMTrace
internal import KVMTypes

/// The memslots of one VM (`struct kvm_memslots`), by frame and by host address.
///
/// A VM may have 32,767 slots and a VMM creates them one by one, so both orders are kept by insertion.
struct MemslotTable {
  /// The slots in the order of their frames, which never overlap in a kernel.
  private(set) var slots: [Memslot] = []
  /// The slots of known host address in the order of those, each with the highest end of itself and all before: two slots may share
  /// host memory, so a search walks back until nothing can reach any more.
  private var byHVA: [(slot: Memslot, highestEnd: UInt64)] = []
  /// From the lowest to the highest address of the host at which a slot has memory; empty where none has.
  private var hostSpan = HVARange(start: HVA(.max), end: HVA(0))
  private var ids: [Int16: Int] = [:]
  let pageSize: PageSize

  init(pageSize: PageSize) { self.pageSize = pageSize }

  /// The slot that holds `gfn`.
  @inline(__always)
  func slot(_ gfn: GFN) -> Memslot? {
    let next = firstSlot(above: gfn)
    guard next > 0, slots[next - 1].contains(gfn) else { return nil }
    return slots[next - 1]
  }

  /// Whether any slot shares a frame with the range.
  func overlaps(_ base: GFN, _ pages: UInt64) -> Bool {
    let next = firstSlot(above: base + (pages - 1))
    return next > 0 && slots[next - 1].overlaps(base, pages)
  }

  func contains(id: Int16) -> Bool { ids[id] != nil }

  /// Whether a slot may have memory in a notifier's range: that it has none takes two comparisons.
  @inline(__always)
  func mayOverlap(_ range: HVARange) -> Bool { range.start < hostSpan.end && hostSpan.start < range.end }

  /// The frames of each slot that a notifier's range overlaps, in the order of host addresses, as the kernel's interval tree of
  /// slots delivers them.
  func overlaps(_ range: HVARange) -> FrameRanges {
    var frames = FrameRanges()
    guard mayOverlap(range) else { return frames }
    let end = firstByHVA { $0.hva! >= range.end }
    var first = end
    while first > 0, byHVA[first - 1].highestEnd > range.start.rawValue { first -= 1 }
    for position in first..<end {
      if let overlap = byHVA[position].slot.frames(range, pageSize) { frames.append(overlap) }
    }
    return frames
  }

  mutating func insert(_ slot: Memslot) {
    slots.insert(slot, at: firstSlot(above: slot.base))
    if let id = slot.id { ids[id, default: 0] += 1 }
    guard let hva = slot.hva else { return }
    let position = firstByHVA { ($0.hva!, $0.base) > (hva, slot.base) }
    byHVA.insert((slot, 0), at: position)
    updateEnds(from: position)
  }

  /// Removes the slot that begins at `base`, and returns it.
  mutating func remove(base: GFN) -> Memslot? {
    let next = firstSlot(above: base)
    guard next > 0, slots[next - 1].base == base else { return nil }
    let slot = slots.remove(at: next - 1)
    if let id = slot.id, let count = ids[id] { ids[id] = count > 1 ? count - 1 : nil }
    guard let hva = slot.hva else { return slot }
    var position = firstByHVA { ($0.hva!, $0.base) >= (hva, slot.base) }
    while byHVA[position].slot != slot { position += 1 }
    byHVA.remove(at: position)
    updateEnds(from: position)
    return slot
  }

  /// The position of the first slot that begins above `gfn`.
  @inline(__always)
  private func firstSlot(above gfn: GFN) -> Int {
    slots.partitioningIndex { $0.base > gfn }
  }

  /// The position of the first slot, in the order of host addresses, from which on `condition` holds.
  private func firstByHVA(where condition: (Memslot) -> Bool) -> Int {
    byHVA.partitioningIndex { condition($0.slot) }
  }

  /// Recomputes the highest ends behind a change, as far as it reaches.
  private mutating func updateEnds(from start: Int) {
    defer {
      hostSpan = HVARange(
        start: byHVA.first?.slot.hva ?? HVA(.max), end: HVA(byHVA.last?.highestEnd ?? 0))
    }
    var highest = start > 0 ? byHVA[start - 1].highestEnd : 0
    for position in start..<byHVA.count {
      let slot = byHVA[position].slot
      highest = max(highest, slot.hva!.rawValue &+ (slot.pages << pageSize.shift))
      if byHVA[position].highestEnd == highest, position > start { return }
      byHVA[position].highestEnd = highest
    }
  }
}
