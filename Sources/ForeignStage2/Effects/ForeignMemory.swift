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
  /// So many pages, or objects, has no VM: a backend may state anything, and sums of it are to be numbers.
  private static let most = 1 << 36
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
      objects = Self.sum(objects, count)
      isChanged = true
      return
    default: return
    }
    changes[Int(use.rawValue)] = Self.sum(changes[Int(use.rawValue)], count)
    isChanged = true
  }

  /// The sum, as far as there can be so many.
  private static func sum(_ a: Int, _ b: Int64) -> Int {
    min(max(a + min(max(Int(b), -2 * most), 2 * most), -most), most)
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
      let room = max(Self.most - accounting.allPages.live, 0)
      if change > 0 { accounting.allocate(use, pages: min(change, room)) }
      let released = min(-change, accounting.pages(use).live)
      if released > 0 { accounting.release(use, pages: released) }
      changes[Int(use.rawValue)] = 0
    }
    settleMappings(inTree: inTree, isBlock: isBlock)
  }

  /// However many a backend says there are, that takes no longer.
  private mutating func settleMappings(inTree stated: Int, isBlock: Bool) {
    let inTree = min(max(stated, 0), Self.most)
    let gone = accounting.mappings.live - inTree
    if gone > 0 {
      var blocks = min(gone, goingBlocks, accounting.blockMappings.live)
      let pages = min(gone - blocks, accounting.pageMappings.live)
      blocks = gone - pages
      if blocks > 0 { accounting.removeMapping(isBlock: true, count: blocks) }
      if pages > 0 { accounting.removeMapping(isBlock: false, count: pages) }
    }
    if gone < 0 {
      let spare = min(-gone, accounting.spareMappings.live)
      if spare > 0 { accounting.useSpareMapping(isBlock: isBlock, count: spare) }
      if -gone > spare { accounting.addMapping(isBlock: isBlock, count: -gone - spare) }
    }
    goingBlocks = 0
    let surplus = accounting.spareMappings.live - max(objects - inTree, 0)
    if surplus > 0 { accounting.removeSpareMapping(count: surplus) }
    if surplus < 0 { accounting.addSpareMapping(count: -surplus) }
  }
}
