internal import CStage2Backend
internal import KVMTypes
internal import Stage2Model

/// The memory that a foreign backend takes and gives back, as the model accounts for its own.
///
/// What an operation does to it is put together when it ends: a page that leaves a cache and becomes a table has then changed its use, in
/// whichever order that was told.
struct ForeignMemory {
  /// What there is, behind the last operation.
  private(set) var accounting: MemoryAccounting
  private var changes: [10 of Int] = .init(repeating: 0)
  private var isChanged = false
  /// Mapping objects that exist, in the tree or not.
  private var objects = 0
  /// Mapping objects of blocks that go in this operation.
  private var goingBlocks = 0

  init(_ nothing: MemoryAccounting) { accounting = nothing }

  /// What reports call memory of that kind.
  static func name(_ object: UInt32, level: Int32) -> String {
    switch s2_object(rawValue: object) {
    case S2_OBJECT_TABLE: level == S2_LEVEL_UNKNOWN ? "table that never hung" : "table of level \(level)"
    case S2_OBJECT_PGD: "PGD page"
    case S2_OBJECT_MAPPING: "mapping object"
    case S2_OBJECT_MEMCACHE: "memory cache page"
    case S2_OBJECT_POOL: "pool page"
    case S2_OBJECT_OTHER: "other object"
    default: "object of kind \(object)"
    }
  }

  /// EL2 took a block back: its mapping object goes.
  mutating func blockGoes() { goingBlocks += 1 }

  /// Memory was taken, or given back.
  mutating func note(_ object: UInt32, level: Int32, count: Int64, bytes: UInt64) {
    let use: PageUse
    switch s2_object(rawValue: object) {
    case S2_OBJECT_TABLE where (1...3).contains(level): use = .table(level: TranslationLevel(Int8(level)))
    case S2_OBJECT_PGD: use = .pgd
    case S2_OBJECT_MEMCACHE: use = .hostMemcache
    case S2_OBJECT_POOL: use = .pool
    // Whole pages are those of EL2's structures.
    case S2_OBJECT_OTHER where bytes == accounting.pageSize.bytes: use = .hypVM
    case S2_OBJECT_MAPPING:
      objects += Int(clamping: count)
      isChanged = true
      return
    default: return
    }
    changes[Int(use.rawValue)] += Int(clamping: count)
    isChanged = true
  }

  /// An operation ends.
  ///
  /// - Parameters:
  ///   - inTree: how many mappings the host's tree has, nil where that is not known or did not change.
  ///   - isBlock: whether what it mapped is a block.
  @inline(__always)
  mutating func settle(inTree: Int?, isBlock: Bool) {
    if !isChanged, inTree ?? accounting.mappings.live == accounting.mappings.live { return }
    settleChanges(inTree: inTree ?? min(accounting.mappings.live, max(objects, 0)), isBlock: isBlock)
  }

  @inline(never)
  private mutating func settleChanges(inTree: Int, isBlock: Bool) {
    isChanged = false
    for taken in PageUse.allCases where changes[Int(taken.rawValue)] > 0 {
      for given in PageUse.allCases {
        let pages = min(changes[Int(taken.rawValue)], -changes[Int(given.rawValue)])
        // What never was cannot be given back: a backend may be wrong.
        let moved = min(pages, accounting.pages(given).live)
        guard moved > 0 else { continue }
        accounting.move(from: given, to: taken, pages: moved)
        changes[Int(taken.rawValue)] -= moved
        changes[Int(given.rawValue)] += moved
      }
    }
    for use in PageUse.allCases {
      let change = changes[Int(use.rawValue)]
      if change > 0 { accounting.allocate(use, pages: change) }
      let released = min(-change, accounting.pages(use).live)
      if released > 0 { accounting.release(use, pages: released) }
      changes[Int(use.rawValue)] = 0
    }
    settleMappings(inTree: inTree, isBlock: isBlock)
  }

  private mutating func settleMappings(inTree: Int, isBlock: Bool) {
    while accounting.mappings.live > inTree {
      let takesBlock = goingBlocks > 0 && accounting.blockMappings.live > 0
      if takesBlock { goingBlocks -= 1 }
      accounting.removeMapping(isBlock: takesBlock || accounting.pageMappings.live == 0)
    }
    while accounting.mappings.live < inTree {
      if accounting.spareMappings.live > 0 {
        accounting.useSpareMapping(isBlock: isBlock)
      } else {
        accounting.addMapping(isBlock: isBlock)
      }
    }
    goingBlocks = 0
    let spare = max(objects - inTree, 0)
    while accounting.spareMappings.live > spare { accounting.removeSpareMapping() }
    while accounting.spareMappings.live < spare { accounting.addSpareMapping() }
  }
}
