internal import KVMTypes

/// What is known of the sizes with which the host's own page table maps a VM's memory, region by region.
///
/// KVM maps a block exactly where the host does (`transparent_hugepage_adjust`, `get_user_mapping_size`), and the host
/// cannot change the size without a notifier's unmap. So the size that one fault proves holds until the next unmap,
/// across dirty logging, too. There is one entry for each region that the VM has touched, as in the kernel's tables.
struct HostMappings {
  private var sizes: [FrameKey: MappingSize] = [:]
  /// Regions in which the host did something to a page: no hugetlb page and no huge device mapping holds them, for those
  /// are mapped, unmapped and aged as a whole (`kvm_s2_resolve_vma_size` gives a block its size by the VMA).
  private var pageRegions: Set<FrameKey> = []
  private let shift: UInt64

  init(pageSize: PageSize) { shift = pageSize.bitsPerLevel }

  /// How the host maps the region of `gfn`, nil where that is not known.
  subscript(gfn: GFN) -> MappingSize? { sizes[FrameKey(gfn.rawValue >> shift)] }

  /// Whether it is certain that no hugetlb page holds `gfn`.
  func isInPages(_ gfn: GFN) -> Bool { pageRegions.contains(FrameKey(gfn.rawValue >> shift)) }

  /// The host ages the frames.
  mutating func age(_ frames: FrameRange) {
    if frames.count < 1 << shift { notePages(frames) }
  }

  /// Other memory may take the place of the frames.
  mutating func forget(_ frames: FrameRange) {
    let first = frames.start.rawValue >> shift
    let last = (frames.end.rawValue - 1) >> shift
    if last - first < UInt64(sizes.count + pageRegions.count) {
      for region in first...last {
        sizes[FrameKey(region)] = nil
        pageRegions.remove(FrameKey(region))
      }
    } else {
      sizes = sizes.filter { $0.key.value < first || $0.key.value > last }
      pageRegions = pageRegions.filter { $0.value < first || $0.value > last }
    }
  }

  /// The host does something to frames that are not whole regions.
  private mutating func notePages(_ frames: FrameRange) {
    let mask = UInt64(1) << shift - 1
    if frames.start.rawValue & mask != 0 { pageRegions.insert(FrameKey(frames.start.rawValue >> shift)) }
    if frames.end.rawValue & mask != 0 { pageRegions.insert(FrameKey(frames.end.rawValue >> shift)) }
  }

  /// A fault showed how the host maps the region of `gfn`.
  mutating func learn(_ gfn: GFN, _ size: MappingSize) {
    let region = FrameKey(gfn.rawValue >> shift)
    if !size.isBlock, size.basis == .derived { pageRegions.insert(region) }
    if let known = sizes[region], known.basis < size.basis { return }
    sizes[region] = size
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
        sizes[FrameKey(first)] = MappingSize(isBlock: true, basis: .assumed)
      } else if sizes[FrameKey(first)] != nil || isReclaimed {
        // A part of a block cannot go without the block being split.
        sizes[FrameKey(first)] = MappingSize(isBlock: false, basis: .assumed)
      }
    } else {
      // Perhaps the VMM maps other memory there.
      forget(frames)
    }
  }
}
