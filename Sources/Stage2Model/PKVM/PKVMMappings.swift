import KVMTypes

/// `struct kvm_pgtable::pkvm_mappings` of any era: one of the two trees, the other stays empty.
struct PKVMMappings: ~Copyable {
  let isInterval: Bool
  var plain = MappingRBTree()
  var interval = MappingIntervalTree()

  init(isInterval: Bool) { self.isInterval = isInterval }

  var count: Int { isInterval ? interval.count : plain.count }

  var counters: MappingTreeCounters { isInterval ? interval.counters : plain.counters }

  /// Bytes of memory behind the tree.
  var byteCount: Int { interval.byteCount + plain.byteCount }

  func depth() -> MappingTreeDepth { isInterval ? interval.depth() : plain.depth() }

  /// False where the plain tree has the frame already (`rb_find_add`).
  @inline(__always)
  mutating func insert(_ mapping: Mapping) -> Bool {
    if isInterval {
      interval.insert(mapping)
      return true
    }
    return plain.insert(mapping.gfn, pfn: mapping.pfn) != nil
  }

  @inline(__always)
  mutating func iterFirst(_ first: GFN, _ last: GFN) -> MappingID? {
    isInterval ? interval.iterFirst(from: first, through: last) : plain.iterFirst(from: first, through: last)
  }

  @inline(__always)
  mutating func iterNext(_ id: MappingID, _ first: GFN, _ last: GFN) -> MappingID? {
    isInterval
      ? interval.iterNext(id, from: first, through: last) : plain.iterNext(id, through: last)
  }

  @inline(__always)
  mutating func remove(_ id: MappingID) {
    if isInterval { interval.remove(id) } else { plain.remove(id) }
  }

  @inline(__always)
  subscript(id: MappingID) -> Mapping { isInterval ? interval[id] : plain[id] }

  func forEach(_ body: (Mapping) -> Void) {
    if isInterval { interval.forEach { body($1) } } else { plain.forEach { body($1) } }
  }
}

/// A mapping found by a search, with its node where a tree is kept.
struct FoundMapping {
  let gfn: GFN
  let pages: UInt64
  let id: MappingID?
}

/// A walk over the mappings of a range that lets its user remove the mapping it stands on: the successor is
/// fetched before the mapping is handed out (`for_each_mapping_in_range_safe`).
struct MappingCursor {
  let first: GFN
  let last: GFN
  var next: FoundMapping?
  /// How many mappings were handed out.
  var position = 0
}

extension PKVMStage2 {
  /// The first mapping that overlaps the frames `first...last`.
  @inline(__always)
  mutating func firstMapping(_ first: GFN, _ last: GFN) -> FoundMapping? {
    if usesTree { return firstInTree(first, last) }
    guard let leaf = hyp.table.firstLeaf(from: first, through: last) else { return nil }
    return FoundMapping(gfn: leaf.gfn, pages: leaf.pages, id: nil)
  }

  @inline(never)
  private mutating func firstInTree(_ first: GFN, _ last: GFN) -> FoundMapping? {
    guard let id = mappings.iterFirst(first, last) else { return nil }
    return found(id)
  }

  @inline(__always)
  private func found(_ id: MappingID) -> FoundMapping {
    let mapping = mappings[id]
    return FoundMapping(gfn: mapping.gfn, pages: mapping.pages, id: id)
  }

  /// Begins `for_each_mapping_in_range_safe`.
  @inline(__always)
  mutating func cursor(_ first: GFN, _ last: GFN) -> MappingCursor {
    MappingCursor(
      first: first, last: last, next: first > last ? mapping(across: first, last) : firstMapping(first, last))
  }

  /// What the interval tree finds for a range of no bytes, whose last byte lies before its first: the block that has both.
  @inline(never)
  private mutating func mapping(across first: GFN, _ last: GFN) -> FoundMapping? {
    if comparesFrames { return nil }
    if usesTree { return firstInTree(first, last) }
    guard let block = firstMapping(first, first), block.gfn <= last else { return nil }
    return block
  }

  /// The next mapping of the walk, which the caller may remove.
  @inline(__always)
  mutating func advance(_ cursor: inout MappingCursor) -> FoundMapping? {
    guard let here = cursor.next else { return nil }
    cursor.position += 1
    if let id = here.id {
      cursor.next = mappings.iterNext(id, cursor.first, cursor.last).map { found($0) }
    } else {
      let next = here.gfn + here.pages
      cursor.next = next > cursor.last ? nil : firstMapping(next, cursor.last)
    }
    return here
  }

  /// The mapping object that the vCPU holds ready is filled in and linked (`swap(mapping, cache->mapping)`).
  ///
  /// Without one the kernel dereferences NULL. 7.3 tops up on every fault; before, a permission fault that
  /// changed the size of a mapping could get here.
  ///
  /// - Returns: false where the plain tree had a node for the frame already: the object is lost.
  @inline(__always)
  @discardableResult
  mutating func insertMapping(_ mapping: Mapping, vcpu: VCPUIndex) -> Bool {
    if memcaches[vcpu.rawValue].hasMapping {
      memcaches[vcpu.rawValue].hasMapping = false
    } else {
      dereferenceNull()
    }
    if usesTree, !insertInTree(mapping) { return false }
    hyp.memory.useSpareMapping(isBlock: mapping.pages != 1)
    return true
  }

  /// There is no mapping object. The model goes on with one.
  @inline(never)
  private mutating func dereferenceNull() {
    warnings.record(.noPreallocatedMapping)
    hyp.memory.addSpareMapping()
  }

  @inline(never)
  private mutating func insertInTree(_ mapping: Mapping) -> Bool {
    if mappings.insert(mapping) { return true }
    warnings.record(.duplicateMapping)
    hyp.memory.loseSpareMapping()
    return false
  }

  /// Counts the hypercall for the mapping that `cursor` handed out last: one for each
  /// `PKVMConfiguration.hypercallBatch` of them.
  @inline(__always)
  mutating func count(_ hypercall: Hypercall, _ cursor: MappingCursor) {
    let batch = configuration.hypercallBatch
    if batch == 1 || (cursor.position - 1) % batch == 0 { hypercalls.count(hypercall) }
  }

  /// A mapping is unlinked and freed.
  @inline(__always)
  mutating func removeMapping(_ mapping: FoundMapping) {
    if let id = mapping.id { mappings.remove(id) }
    hyp.memory.removeMapping(isBlock: mapping.pages != 1)
  }
}

extension KernelWarning {
  /// A mapping was to be inserted and the memory cache had none: a NULL dereference.
  public static var noPreallocatedMapping: KernelWarning {
    KernelWarning("pkvm_pgtable_stage2_map", "cache->mapping is NULL: the host crashes")
  }
  /// The plain tree has a node for the frame: the new one is lost.
  public static var duplicateMapping: KernelWarning {
    KernelWarning("pkvm_pgtable_stage2_map", "rb_find_add found the frame in the tree")
  }
}
