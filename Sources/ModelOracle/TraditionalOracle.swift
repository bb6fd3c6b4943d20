package import KVMTypes
package import Stage2Model

/// What the traditional MMU must do, written as plainly as possible: a dictionary of leaves, from which
/// tables follow by definition. Shares no code with the model; nothing here is fast.
package struct TraditionalOracle {
  package struct Leaf: Hashable {
    package var level: Int
    package var frame: UInt64?
    package var rights: Stage2Prot
    package var isDevice: Bool
    package var software: UInt64
    package var young = true
  }

  package struct TableName: Hashable {
    package let level: Int
    package let number: UInt64
  }

  package let pageSize: UInt64
  package let limit: UInt64
  /// Bytes that an entry of level 0, 1, 2 and 3 covers.
  package let sizes: [UInt64]
  package let startLevel: Int
  package let pgdPages: Int
  package let hasFWB: Bool
  package let hasTLBIRange: Bool
  package let relaxPermsTakesExecute: Bool

  package var leaves: [UInt64: Leaf] = [:]
  /// How many leaves need each table.
  package var users: [TableName: Int] = [:]
  /// Tables that wait for RCU, by level.
  package var unlinked: [Int: Int] = [:]
  package var caches: [Int: Int] = [:]
  package var splitCache = 0
  package var emptyCacheWarnings = 0
  package var tlbiVMID = 0
  package var tlbiIPA = 0
  package var tlbiNonShareable = 0
  package var tlbiRange = 0
  package var dcachePages = 0
  package var icachePages = 0

  package var biggestLevel: Int { max(startLevel, pageSize == 4096 ? 1 : 2) }

  // MARK: What there is

  package func covering(_ ipa: UInt64) -> (base: UInt64, leaf: Leaf)? {
    for level in biggestLevel...3 {
      let base = ipa / sizes[level] * sizes[level]
      if let leaf = leaves[base], leaf.level == level { return (base, leaf) }
    }
    return nil
  }

  package func overlapping(_ start: UInt64, _ end: UInt64) -> [UInt64] {
    leaves.filter { $0.key < end && $0.key + sizes[$0.value.level] > start }.keys.sorted()
  }

  /// A table exists where a leaf needs it.
  package func tables() -> Set<TableName> { Set(users.keys) }

  /// The leaf at `base` becomes `leaf`, or goes.
  private mutating func put(_ base: UInt64, _ leaf: Leaf?) {
    if let old = leaves[base] { use(base, old.level, -1) }
    leaves[base] = leaf
    if let leaf { use(base, leaf.level, 1) }
  }

  private mutating func use(_ base: UInt64, _ leafLevel: Int, _ change: Int) {
    for level in (startLevel + 1)..<(max(startLevel, leafLevel) + 1) {
      let table = TableName(level: level, number: base / sizes[level - 1])
      let count = users[table, default: 0] + change
      users[table] = count == 0 ? nil : count
    }
  }

  /// Tables below the PGD by level, those that wait for RCU included.
  package func tableCounts() -> [Int: Int] {
    var counts = unlinked
    for table in tables() { counts[table.level, default: 0] += 1 }
    return counts.filter { $0.value != 0 }
  }

  package func walk(_ ipa: UInt64) -> Stage2Walk {
    if let (_, leaf) = covering(ipa) {
      return .leaf(level: TranslationLevel(Int8(leaf.level)), prot: prot(leaf), young: leaf.young)
    }
    let tables = tables()
    var level = startLevel
    while level < 3, tables.contains(TableName(level: level + 1, number: ipa / sizes[level])) { level += 1 }
    return .invalid(level: TranslationLevel(Int8(level)))
  }

  package func prot(_ leaf: Leaf) -> Stage2Prot { leaf.rights.union(Stage2Prot(rawValue: leaf.software)) }

  package func pages(_ leaf: Leaf) -> Int { Int(sizes[leaf.level] / pageSize) }

  package func range(_ ipa: UInt64, _ size: UInt64) -> (UInt64, UInt64)? {
    let start = ipa / pageSize * pageSize
    let end = (start + size + pageSize - 1) / pageSize * pageSize
    return start > limit || end > limit ? nil : (start, end)
  }

  // MARK: Operations

  package mutating func map(
    _ ipa: UInt64, _ size: UInt64, _ frame: UInt64?, _ prot: Stage2Prot, vcpu: Int
  ) -> Int32 {
    let isDevice = prot.contains(.device)
    if isDevice && (prot.contains(.normalNonCacheable) || !prot.isDisjoint(with: .execute)) { return -22 }
    if prot.contains(.privilegedExecute) != prot.contains(.userExecute) { return -22 }
    guard let (start, end) = range(ipa, size) else { return -34 }
    let before = tables()
    var collapsed: Set<TableName> = []
    let result = mapLeaves(start, end, frame, prot, &collapsed)
    for table in collapsed { unlinked[table.level, default: 0] += 1 }
    for _ in tables().subtracting(before) {
      if caches[vcpu, default: 0] > 0 { caches[vcpu]! -= 1 } else { emptyCacheWarnings += 1 }
    }
    return result
  }

  private mutating func mapLeaves(
    _ start: UInt64, _ end: UInt64, _ frame: UInt64?, _ prot: Stage2Prot, _ collapsed: inout Set<TableName>
  ) -> Int32 {
    var at = start
    while at < end {
      let here = frame.map { $0 + (at - start) / pageSize }
      let level = (biggestLevel...3).first { level in
        let size = sizes[level]
        return at % size == 0 && size <= end - at && (here ?? 0) % (size / pageSize) == 0
      }!
      let new = Leaf(
        level: level, frame: here, rights: prot.intersection(.rwx), isDevice: prot.contains(.device),
        software: prot.rawValue & (0xf << 55))
      if let (base, old) = covering(at), old.level <= level {
        if old.level == level, old.young, old.isDevice == new.isDevice, old.software == new.software,
          old.frame == nil || new.frame == nil || old.frame == new.frame
        {
          return -11
        }
        tlbiIPA += 1
        put(base, nil)
      } else {
        let inside = overlapping(at, at + sizes[level])
        if !inside.isEmpty {
          let before = tables()
          for base in inside { put(base, nil) }
          // Tables above the new block survive through it.
          put(at, new)
          collapsed.formUnion(before.subtracting(tables()))
          if hasTLBIRange {
            let pages = (sizes[level] + pageSize - 1) / pageSize
            tlbiRange += Int((pages + (1 << 21) - 1) / (1 << 21))
          } else {
            tlbiVMID += 1
          }
        }
      }
      put(at, new)
      if !hasFWB && !new.isDevice { dcachePages += pages(new) }
      if new.rights.contains(.execute) { icachePages += pages(new) }
      at += sizes[level]
    }
    return 0
  }

  package mutating func unmap(_ ipa: UInt64, _ size: UInt64) -> Int32 {
    let deferred = hasFWB && hasTLBIRange
    if deferred { tlbiRange += Int((size / pageSize + (1 << 21) - 1) / (1 << 21)) }
    guard let (start, end) = range(ipa, size) else { return -34 }
    let before = tables()
    for base in overlapping(start, end) {
      let leaf = leaves[base]!
      put(base, nil)
      if !deferred { tlbiIPA += 1 }
      if !hasFWB && !leaf.isDevice { dcachePages += pages(leaf) }
    }
    tlbiIPA += before.subtracting(tables()).count
    return 0
  }

  package mutating func wrprotect(_ ipa: UInt64, _ size: UInt64) -> Int32 {
    guard let (start, end) = range(ipa, size) else { return -34 }
    for base in overlapping(start, end) { leaves[base]!.rights.remove(.write) }
    return 0
  }

  package mutating func relaxPerms(_ ipa: UInt64, _ prot: Stage2Prot) -> Int32 {
    if prot.rawValue >> 55 != 0 { return -22 }
    if prot.contains(.privilegedExecute) != prot.contains(.userExecute) { return -22 }
    if ipa >= limit { return -34 }
    tlbiNonShareable += 1
    guard let (base, leaf) = covering(ipa) else { return -11 }
    if prot.contains(.execute) && !leaf.rights.contains(.execute) { icachePages += pages(leaf) }
    if relaxPermsTakesExecute { leaves[base]!.rights.subtract(.execute) }
    leaves[base]!.rights.formUnion(prot.intersection(.rwx))
    return 0
  }

  package mutating func mkyoung(_ ipa: UInt64) {
    if let (base, _) = covering(ipa) { leaves[base]!.young = true }
  }

  package mutating func testClearYoung(_ ipa: UInt64, _ size: UInt64, _ markOld: Bool) -> Bool {
    guard let (start, end) = range(ipa, size) else { return false }
    var young = false
    for base in overlapping(start, end) where leaves[base]!.young {
      young = true
      if markOld { leaves[base]!.young = false }
    }
    return young
  }

  package mutating func flush(_ ipa: UInt64, _ size: UInt64) -> Int32 {
    if hasFWB { return 0 }
    guard let (start, end) = range(ipa, size) else { return -34 }
    for base in overlapping(start, end) where !leaves[base]!.isDevice { dcachePages += pages(leaves[base]!) }
    return 0
  }

  package mutating func split(_ ipa: UInt64, _ size: UInt64) -> Int32 {
    guard let (start, end) = range(ipa, size) else { return -34 }
    var at = start
    while at < end {
      guard let (base, leaf) = covering(at), leaf.level < 3 else {
        at += pageSize
        continue
      }
      let descriptors = Int(sizes[2] / sizes[3])
      let downToPages = splitCache >= (leaf.level == 1 ? descriptors + 1 : 1)
      if splitCache == 0 { return -12 }
      tlbiIPA += 1
      put(base, nil)
      let level = downToPages ? 3 : leaf.level + 1
      let step = sizes[level]
      for index in 0..<(sizes[leaf.level] / step) {
        var part = leaf
        part.level = level
        part.young = true
        part.isDevice = false
        part.frame = leaf.frame.map { $0 + index * (step / pageSize) }
        put(base + index * step, part)
      }
      splitCache -= downToPages && leaf.level == 1 ? descriptors + 1 : 1
    }
    return 0
  }

  package mutating func topUp(_ vcpu: Int, _ pages: Int) {
    if caches[vcpu, default: 0] < pages { caches[vcpu] = 40 }
  }

  package mutating func destroy(_ ipa: UInt64, _ size: UInt64) {
    for base in overlapping(ipa, ipa + size) { put(base, nil) }
  }
}
