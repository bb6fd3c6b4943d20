import KVMTypes

/// Searching EL2's table of a guest by frame: what takes the place of the host's tree in a fast replay.
extension Stage2PageTable where Pages: ~Copyable {
  /// The first valid leaf that overlaps the frames `first...last`, with its first frame and its pages; nil
  /// if there is none.
  ///
  /// Mutating, because a call that borrows copies the table's fields, 768 bytes, to the stack first.
  @inline(__always)
  mutating func firstLeaf(from first: GFN, through last: GFN) -> (gfn: GFN, pages: UInt64)? {
    let address = first.rawValue &<< pageShift
    guard let pgd, address < ipaLimit, first <= last else { return nil }
    let end = descend(pgd, address)
    if end.entry.isValid { return frames(at: first.rawValue, level: Int(end.level)) }
    return first == last ? nil : nextLeaf(pgd, from: first, through: last)
  }

  /// The frames of the leaf of `level` that has `frame`.
  @inline(__always)
  private func frames(at frame: UInt64, level: Int) -> (gfn: GFN, pages: UInt64) {
    let entryShift = shift(level) &- pageShift
    return (GFN((frame &>> entryShift) &<< entryShift), 1 &<< entryShift)
  }

  @inline(never)
  private mutating func nextLeaf(
    _ pgd: UInt32, from first: GFN, through last: GFN
  ) -> (gfn: GFN, pages: UInt64)? {
    var frame = first.rawValue
    let limit = min(last.rawValue, ipaLimit &>> pageShift &- 1)
    while frame <= limit {
      // Down from the top for each entry that is passed over: empty entries of the upper levels cover
      // so much that few are met.
      let end = descend(pgd, frame &<< pageShift)
      if end.entry.isValid { return frames(at: frame, level: Int(end.level)) }
      let entryShift = shift(Int(end.level)) &- pageShift
      // Along this table to the next entry that is not empty.
      let inRange = (limit &>> entryShift) &- (frame &>> entryShift)
      if inRange == 0 { return nil }
      let beyond = end.offset &+ 1 &+ Int(truncatingIfNeeded: inRange)
      let passed = arena.nextNonzero(end.table, from: end.offset &+ 1, below: beyond) &- end.offset
      frame = (frame &>> entryShift &+ UInt64(truncatingIfNeeded: passed)) &<< entryShift
    }
    return nil
  }

  /// Whether every entry of the range is empty or at least neither mapped nor poisoned: `PKVM_NOPAGE`.
  @inline(never)
  mutating func isUnmapped(_ ipa: IPA, size: UInt64) -> Bool {
    guard let pgd else { return true }
    var address = ipa.rawValue
    let end = min(address + size, geometry.ipaLimit)
    while address < end {
      let walk = descend(pgd, address)
      if walk.entry.isValid || walk.entry.guestPageState == .poison { return false }
      let entryShift = shift(Int(walk.level))
      address = (address &>> entryShift &+ 1) &<< entryShift
    }
    return true
  }
}
