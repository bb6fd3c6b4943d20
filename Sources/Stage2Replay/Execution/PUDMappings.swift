internal import KVMTypes

/// Which stretches of a VM's memory the host maps by hugetlb pages of PUD_SIZE, 1 GiB with pages of 4 KiB.
///
/// Nothing else gives a leaf of level 1. The size belongs to the VMA, and the host maps, unmaps and ages such a page as a whole
/// (`unmap_hugepage_range`, `damon_hugetlb_mkold`): what happens to a part of a stretch happens to other memory.
struct PUDMappings {
  /// How that is known, by the number of the stretch.
  private var basis: [FrameKey: Basis] = [:]
  private let shift: UInt64

  init(pageSize: PageSize) { shift = 2 * pageSize.bitsPerLevel }

  var isEmpty: Bool { basis.isEmpty }

  /// Nil where nothing says so.
  subscript(gfn: GFN) -> MappingSize? {
    if basis.isEmpty { return nil }
    return basis[FrameKey(gfn.rawValue >> shift)].map { MappingSize(level: .l1, basis: $0) }
  }

  /// The frames of the stretch that a frame lies in.
  func frames(around gfn: GFN) -> FrameRange {
    let first = GFN(gfn.rawValue & ~((1 << shift) - 1))
    return FrameRange(start: first, end: first + (1 << shift))
  }

  /// A stretch is mapped by one page.
  ///
  /// - Returns: whether that is better known than before.
  mutating func learn(_ gfn: GFN, _ new: Basis) -> Bool {
    let key = FrameKey(gfn.rawValue >> shift)
    if let known = basis[key], known <= new { return false }
    basis[key] = new
    return true
  }

  /// Events are missing, and an unmap may be among them.
  mutating func doubt() { basis = basis.mapValues { _ in .assumed } }

  /// The host ages frames.
  mutating func age(_ frames: FrameRange) {
    guard frames.count < 1 << shift else { return }
    for key in keys(frames) where basis[key] != .derived { basis[key] = nil }
  }

  /// The host unmaps frames: of just one page of PUD_SIZE the VMA stays, more may be other memory afterwards.
  ///
  /// - Returns: whether that is all that there is to know of them.
  mutating func unmap(_ frames: FrameRange) -> Bool {
    let isOne = frames.count == 1 << shift && frames.start.rawValue & ((1 << shift) - 1) == 0
    guard isOne, basis[FrameKey(frames.start.rawValue >> shift)] != nil else {
      forget(frames)
      return false
    }
    basis[FrameKey(frames.start.rawValue >> shift)] = .assumed
    return true
  }

  /// Other memory may take the place of frames.
  mutating func forget(_ frames: FrameRange) {
    for key in keys(frames) { basis[key] = nil }
  }

  private func keys(_ frames: FrameRange) -> [FrameKey] {
    let range = frames.start.rawValue >> shift...(frames.end.rawValue - 1) >> shift
    return basis.keys.filter { range.contains($0.value) }
  }
}
