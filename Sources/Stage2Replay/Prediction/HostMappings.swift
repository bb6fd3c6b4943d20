internal import KVMTypes

/// What is known of the sizes with which the host's own page table maps a VM's memory, region by region.
///
/// KVM maps a block exactly where the host does (`transparent_hugepage_adjust`, `get_user_mapping_size`), and the host
/// cannot change the size without a notifier's unmap. So the size that one fault proves holds until the next unmap.
/// There is one entry for each region that the VM has touched, as there is in the kernel's tables.
struct HostMappings {
  enum Size {
    /// Proven to be a block, or pages.
    case block, pages
    /// Unmapped whole and at once: what khugepaged does before it puts a block in place of pages.
    case unmappedWhole
  }

  private var sizes: [UInt64: Size] = [:]
  private let shift: UInt64

  init(pageSize: PageSize) { shift = pageSize.bitsPerLevel }

  subscript(gfn: GFN) -> Size? { sizes[gfn.rawValue >> shift] }

  mutating func prove(_ gfn: GFN, isBlock: Bool) { sizes[gfn.rawValue >> shift] = isBlock ? .block : .pages }

  mutating func unmap(_ frames: FrameRange) {
    let first = frames.start.rawValue >> shift
    let last = (frames.end.rawValue - 1) >> shift
    let isWhole = first == last && frames.count == 1 << shift
    if isWhole {
      sizes[first] = .unmappedWhole
    } else if last - first < UInt64(sizes.count) {
      for region in first...last { sizes[region] = nil }
    } else {
      sizes = sizes.filter { $0.key < first || $0.key > last }
    }
  }
}
