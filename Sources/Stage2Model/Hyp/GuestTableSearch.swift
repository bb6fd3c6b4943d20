import KVMTypes

/// Searching EL2's table of a guest by frame: what takes the place of the host's tree in a fast replay.
extension Stage2PageTable where Pages: ~Copyable {
  /// The first valid leaf that overlaps the frames `first...last`, with its first frame and its pages; nil
  /// if there is none.
  ///
  /// Mutating, because a call that borrows copies the table's fields, 768 bytes, to the stack first.
  mutating func firstLeaf(from first: GFN, through last: GFN) -> (gfn: GFN, pages: UInt64)? {
    guard let pgd else { return nil }
    let descriptors = 1 &<< Int(truncatingIfNeeded: bitsPerLevel)
    var frame = first.rawValue
    let end = min(last.rawValue, ipaLimit &>> pageShift &- 1)
    while frame <= end {
      // Down from the top for each entry that is passed over: empty entries of the upper levels cover
      // so much that few are met.
      let address = frame &<< pageShift
      let (table, offset, level) = descend(pgdTable(pgd, address), address)
      let entry = Stage2Descriptor(rawValue: arena.load(table, offset))
      let entryShift = shift(level) &- pageShift
      if entry.isValid { return (GFN((frame &>> entryShift) &<< entryShift), 1 &<< entryShift) }
      // Along this table to the next entry that is not empty.
      let inRange = Int(truncatingIfNeeded: (end &>> entryShift) &- (frame &>> entryShift))
      if inRange == 0 { return nil }
      let limit = min(descriptors, offset + 1 + inRange)
      let passed = arena.nextNonzero(table, from: offset + 1, below: limit) - offset
      frame = (frame &>> entryShift &+ UInt64(truncatingIfNeeded: passed)) &<< entryShift
    }
    return nil
  }

  /// Whether every entry of the range is empty or at least neither mapped nor poisoned: `PKVM_NOPAGE`.
  mutating func isUnmapped(_ ipa: IPA, size: UInt64) -> Bool {
    guard let pgd else { return true }
    var address = ipa.rawValue
    let end = min(address + size, geometry.ipaLimit)
    while address < end {
      let (table, offset, level) = descend(pgdTable(pgd, address), address)
      let entry = Stage2Descriptor(rawValue: arena.load(table, offset))
      if entry.isValid || entry.guestPageState == .poison { return false }
      address = (address >> shift(level) + 1) << shift(level)
    }
    return true
  }
}
