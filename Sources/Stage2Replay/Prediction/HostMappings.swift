internal import KVMTypes

/// What is known of the sizes with which the host's own page table maps a VM's memory, region by region.
///
/// KVM maps a block exactly where the host does (`transparent_hugepage_adjust`, `get_user_mapping_size`), and the host
/// cannot change the size without a notifier's unmap. So the size that one fault proves holds until the next unmap,
/// across dirty logging, too. There is one entry for each region that the VM has touched, as in the kernel's tables.
struct HostMappings {
  private var sizes: [FrameKey: MappingSize] = [:]
  private let shift: UInt64

  init(pageSize: PageSize) { shift = pageSize.bitsPerLevel }

  /// How the host maps the region of `gfn`, nil where that is not known.
  subscript(gfn: GFN) -> MappingSize? { sizes[FrameKey(gfn.rawValue >> shift)] }

  /// A fault showed how the host maps the region of `gfn`.
  mutating func learn(_ gfn: GFN, _ size: MappingSize) {
    let region = FrameKey(gfn.rawValue >> shift)
    if let known = sizes[region], known.basis < size.basis { return }
    sizes[region] = size
  }

  /// The host unmaps the frames.
  mutating func unmap(_ frames: FrameRange) {
    let first = frames.start.rawValue >> shift
    let last = (frames.end.rawValue - 1) >> shift
    if first == last {
      if frames.count == 1 << shift {
        // khugepaged, and the copy of the huge zero page: a block takes the place of what is unmapped.
        sizes[FrameKey(first)] = MappingSize(isBlock: true, basis: .assumed)
      } else if sizes[FrameKey(first)] != nil {
        // A part of a block cannot go without the block being split.
        sizes[FrameKey(first)] = MappingSize(isBlock: false, basis: .assumed)
      }
    } else if last - first < UInt64(sizes.count) {
      for region in first...last { sizes[FrameKey(region)] = nil }
    } else {
      sizes = sizes.filter { $0.key.value < first || $0.key.value > last }
    }
  }
}
