internal import KVMTrace
internal import KVMTypes

/// Whether a fault mapped a page or a block, and how that is known.
struct MappingSize: Hashable {
  /// The level of the leaf: 3 for a page, 2 for a block of PMD_SIZE, 1 for one of PUD_SIZE.
  var level: TranslationLevel
  var basis: Basis

  var isBlock: Bool { level < .l3 }

  static let page = MappingSize(level: .l3, basis: .derived)
  static let block = MappingSize(level: .l2, basis: .derived)
  static let pud = MappingSize(level: .l1, basis: .derived)
}

/// How many regions of a slot that could hold a block are proven to have held one, or pages.
struct SizeTally: Hashable {
  var blocks = 0
  var pages = 0
  /// How many stretches of PUD_SIZE are proven to have held a block of that size.
  var puds = 0
}

extension MappingSize {
  /// Decides the size of the mapping that a fault made where the slot allows a block: from what the host's table is known to
  /// hold, else from what followed in the region.
  ///
  /// - Parameters:
  ///   - isHostAddressKnown: whether it is known where the slot's memory lies in the VMM.
  ///   - known: how the host maps the region, as far as that is known.
  ///   - mayBePUD: whether the slot allows a block of PUD_SIZE.
  ///   - tally: the sizes of the slot's regions, asked for where nothing else tells.
  @inline(__always)
  init(
    of fault: SettledFault, isHostAddressKnown: Bool, known: MappingSize?, mayBePUD: Bool,
    tally: () -> SizeTally
  ) {
    let proof = fault.decision.sizeProof
    if !isHostAddressKnown {
      // Neither the host's changes of its table nor logging can be seen: what follows in the region decides.
      let size = proof ?? fault.blockSize ?? Self.byDefault(fault, mayBePUD: mayBePUD, tally())
      self.init(level: size.level, basis: .assumed)
    } else if let onBlock = fault.blockSize {
      self = onBlock
    } else if let known, known.basis == .derived {
      self = known
    } else {
      self = proof ?? known ?? Self.byDefault(fault, mayBePUD: mayBePUD, tally())
    }
    // Beyond what the slot allows, the next smaller block (`kvm_s2_resolve_vma_size`).
    if level < .l2, !mayBePUD { level = .l2 }
  }

  /// Where nothing tells: a region of pages shows every further page that is touched by a fault, a block never shows
  /// anything. A table of level 3 that exists already speaks for pages, as do other regions of the slot. Pages of PUD_SIZE come
  /// from hugetlb alone, a VMA at a time: where a slot has one, the rest of it is taken to be like that.
  private static func byDefault(_ fault: SettledFault, mayBePUD: Bool, _ tally: SizeTally) -> MappingSize {
    if mayBePUD, tally.puds > 0 { return MappingSize(level: .l1, basis: .assumed) }
    let isPages = fault.kind == .permission || fault.level == .l3 || (tally.pages > 0 && tally.blocks == 0)
    return MappingSize(level: isPages ? .l3 : .l2, basis: .assumed)
  }
}

extension Memslot {
  /// Whether a fault on `page` may map a block: logging asks for pages, and a slot that cannot hold the block cannot have
  /// it.
  func mayBeMapped(byBlockAt page: IPA, _ pageSize: PageSize) -> Bool {
    !isLogging && supportsBlock(of: pageSize.pmdBytes, at: page.gfn(pageSize), pageSize)
  }
}

extension FaultWindow {
  /// Whether the fault met a block that denied the access.
  var isOnBlock: Bool {
    @inline(__always) get { kind == .permission && (level == .l2 || level == .l1) && !isStage1Walk }
  }

  /// The size of that block, nil where there was none.
  fileprivate var blockSize: MappingSize? { isOnBlock ? MappingSize(level: level, basis: .derived) : nil }
}
