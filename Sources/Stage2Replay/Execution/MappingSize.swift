internal import KVMTrace
internal import KVMTypes

/// Whether a fault mapped a page or a block, and how that is known.
struct MappingSize: Hashable {
  var isBlock: Bool
  var basis: Basis

  static let page = MappingSize(isBlock: false, basis: .derived)
  static let block = MappingSize(isBlock: true, basis: .derived)
}

/// How many regions of a slot that could hold a block are proven to have held one, or pages.
struct SizeTally: Hashable {
  var blocks = 0
  var pages = 0
}

extension MappingSize {
  /// Decides the size of the mapping that a fault made where the slot allows a block: from what the host's table is known to
  /// hold, else from what followed in the region.
  ///
  /// - Parameters:
  ///   - isHostAddressKnown: whether it is known where the slot's memory lies in the VMM.
  ///   - known: how the host maps the region, as far as that is known.
  ///   - tally: the sizes of the slot's regions, asked for where nothing else tells.
  @inline(__always)
  init(
    of fault: SettledFault, isHostAddressKnown: Bool, known: MappingSize?, tally: () -> SizeTally
  ) {
    let proof = fault.decision.sizeProof
    if !isHostAddressKnown {
      // Neither the host's changes of its table nor logging can be seen: what follows in the region decides.
      let size = proof ?? (fault.isOnBlock ? .block : Self.byDefault(fault, tally()))
      self.init(isBlock: size.isBlock, basis: .assumed)
    } else if fault.isOnBlock {
      self = .block
    } else if let known, known.basis == .derived {
      self = known
    } else {
      self = proof ?? known ?? Self.byDefault(fault, tally())
    }
  }

  /// Where nothing tells: a region of pages shows every further page that is touched by a fault, a block never shows
  /// anything. A table of level 3 that exists already speaks for pages, as do other regions of the slot.
  private static func byDefault(_ fault: SettledFault, _ tally: SizeTally) -> MappingSize {
    let isPages = fault.kind == .permission || fault.level == .l3 || (tally.pages > 0 && tally.blocks == 0)
    return MappingSize(isBlock: !isPages, basis: .assumed)
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
    @inline(__always) get { kind == .permission && level == .l2 && !isStage1Walk }
  }
}
