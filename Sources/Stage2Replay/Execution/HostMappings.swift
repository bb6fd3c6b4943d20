internal import KVMTypes

/// What is known of the sizes with which the host's own page table maps a VM's memory, region by region.
///
/// KVM maps a block exactly where the host does (`transparent_hugepage_adjust`, `get_user_mapping_size`), and the host
/// cannot change the size without a notifier's unmap. So the size that one fault proves holds until the next unmap,
/// across dirty logging, too. There is one entry for each region that the VM has touched, as in the kernel's tables.
struct HostMappings {
  /// What is known of one region.
  private struct Region {
    let block: UInt64
    var size: MappingSize?
    /// The host did something to a page: no hugetlb page and no huge device mapping holds the region, for those are mapped,
    /// unmapped and aged as a whole (`kvm_s2_resolve_vma_size` gives a block its size by the VMA).
    var isInPages = false
  }

  private var regions: ContiguousArray<Region> = []
  private var positions = BlockPositions()
  private let shift: UInt64

  init(pageSize: PageSize) { shift = pageSize.bitsPerLevel }

  /// How the host maps the region of `gfn`, nil where that is not known.
  subscript(gfn: GFN) -> MappingSize? { positions[gfn.rawValue >> shift].flatMap { regions[$0].size } }

  /// Whether it is certain that no hugetlb page holds `gfn`.
  func isInPages(_ gfn: GFN) -> Bool {
    positions[gfn.rawValue >> shift].map { regions[$0].isInPages } ?? false
  }

  /// The host ages the frames.
  mutating func age(_ frames: FrameRange) {
    if frames.count < 1 << shift { notePages(frames) }
  }

  /// Other memory may take the place of the frames.
  mutating func forget(_ frames: FrameRange) {
    let first = frames.start.rawValue >> shift
    let last = (frames.end.rawValue - 1) >> shift
    if last - first < UInt64(regions.count) {
      for block in first...last {
        if let position = positions[block] { regions[position] = Region(block: block) }
      }
    } else {
      for position in regions.indices {
        let block = regions[position].block
        if block >= first && block <= last { regions[position] = Region(block: block) }
      }
    }
  }

  /// The position of a region, which is taken in if it is new.
  @inline(__always)
  private mutating func insert(_ block: UInt64) -> Int {
    let (position, isNew) = positions.insert(block)
    if isNew { regions.append(Region(block: block)) }
    return position
  }

  /// The host does something to frames that are not whole regions.
  private mutating func notePages(_ frames: FrameRange) {
    let mask = UInt64(1) << shift - 1
    if frames.start.rawValue & mask != 0 { regions[insert(frames.start.rawValue >> shift)].isInPages = true }
    if frames.end.rawValue & mask != 0 { regions[insert(frames.end.rawValue >> shift)].isInPages = true }
  }

  /// A fault showed how the host maps the region of `gfn`.
  mutating func learn(_ gfn: GFN, _ size: MappingSize) {
    let position = insert(gfn.rawValue >> shift)
    if !size.isBlock, size.basis == .derived { regions[position].isInPages = true }
    if let known = regions[position].size, known.basis < size.basis { return }
    regions[position].size = size
  }

  /// The host unmaps the frames.
  ///
  /// - Parameter isReclaimed: its reclaim does, of which what was a block comes back page by page.
  mutating func unmap(_ frames: FrameRange, isReclaimed: Bool = false) {
    defer { notePages(frames) }
    let first = frames.start.rawValue >> shift
    let last = (frames.end.rawValue - 1) >> shift
    if first == last {
      if frames.count == 1 << shift, !isReclaimed {
        // khugepaged, and the copy of the huge zero page: a block takes the place of what is unmapped.
        regions[insert(first)].size = MappingSize(isBlock: true, basis: .assumed)
      } else if isReclaimed || positions[first].map({ regions[$0].size != nil }) ?? false {
        // A part of a block cannot go without the block being split.
        regions[insert(first)].size = MappingSize(isBlock: false, basis: .assumed)
      }
    } else {
      // Perhaps the VMM maps other memory there.
      forget(frames)
    }
  }
}
