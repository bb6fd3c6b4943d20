internal import KVMTypes

/// What is known of the size with which the host's own page table maps the memory of one region.
struct HostRegion: Hashable, BitwiseCopyable {
  private(set) var size: MappingSize?
  /// The host did something to a page: no hugetlb page and no huge device mapping holds the region, for those are mapped,
  /// unmapped and aged as a whole (`kvm_s2_resolve_vma_size` gives a block its size by the VMA).
  private(set) var isInPages = false

  /// A fault showed how the host maps the region.
  @inline(__always)
  mutating func learn(_ size: MappingSize) {
    if size.level == .l3, size.basis == .derived { isInPages = true }
    if let known = self.size, known.basis < size.basis { return }
    self.size = size
  }

  /// A walk went on into a table of pages, and nothing was unmapped since a block was assumed: it was none.
  mutating func disproveBlock() {
    if size == MappingSize(level: .l2, basis: .assumed) { size = MappingSize(level: .l3, basis: .assumed) }
  }

  /// Events are missing, and an unmap may be among them: other memory may have taken the place of what was there.
  mutating func doubt() {
    size?.basis = .assumed
    isInPages = false
  }

  /// The host does something to a part of it.
  fileprivate mutating func notePages() { isInPages = true }

  /// The host unmaps memory in it.
  ///
  /// - Parameters:
  ///   - isWhole: all of it.
  ///   - isReclaimed: its reclaim does, of which what was a block comes back page by page.
  fileprivate mutating func unmap(isWhole: Bool, isReclaimed: Bool) {
    if isWhole, !isReclaimed {
      // khugepaged, and the copy of the huge zero page: a block takes the place of what is unmapped.
      size = MappingSize(level: .l2, basis: .assumed)
    } else if isReclaimed || size != nil {
      // A part of a block cannot go without the block being split.
      size = MappingSize(level: .l3, basis: .assumed)
    }
  }
}

/// What is known of the sizes with which the host's own page table maps a VM's memory, region by region.
///
/// KVM maps a block exactly where the host does (`transparent_hugepage_adjust`, `get_user_mapping_size`), and the host
/// cannot change the size without a notifier's unmap. So the size that one fault proves holds until the next unmap,
/// across dirty logging, too. What is known of a region that a fault has touched is kept with the region.
struct HostMappings: ~Copyable {
  /// The regions that the host has done something to and no fault has touched yet, by their block.
  private var untouched = FrameMap(filler: HostRegion())
  /// What is mapped by hugetlb pages of PUD_SIZE.
  private var puds: PUDMappings
  private let shift: UInt64

  init(pageSize: PageSize) {
    shift = pageSize.bitsPerLevel
    puds = PUDMappings(pageSize: pageSize)
  }

  /// The size with which the host is known to map a frame of a region.
  func size(of gfn: GFN, _ region: HostRegion) -> MappingSize? {
    guard let pud = puds[gfn] else { return region.size }
    return region.size?.basis == .derived && pud.basis != .derived ? region.size : pud
  }

  /// A fault showed the size with which the host maps a frame, by a page of PUD_SIZE or not.
  ///
  /// - Returns: whether it is proven for the first time that it does by one of PUD_SIZE.
  mutating func learn(_ size: MappingSize, of gfn: GFN, _ regions: inout GuestRegions) -> Bool {
    if size.level == .l1 {
      guard puds.learn(gfn, size.basis) else { return false }
      // What was taken for the size of regions before is none.
      let frames = puds.frames(around: gfn)
      regions.forEach(in: frames) { region, regions in regions[region].host = HostRegion() }
      return size.basis == .derived
    }
    if !puds.isEmpty, size.basis == .derived { puds.forget(FrameRange(start: gfn, end: gfn + 1)) }
    return false
  }

  /// A fault touches a region for the first time.
  ///
  /// - Returns: what is known of it.
  mutating func touch(_ block: UInt64) -> HostRegion {
    guard untouched.count > 0, let known = untouched[block] else { return HostRegion() }
    untouched.remove(block)
    return known
  }

  /// Events are missing, as `HostRegion.doubt` has it.
  mutating func doubtPUDs() { if !puds.isEmpty { puds.doubt() } }

  /// The host ages the frames.
  mutating func age(_ frames: FrameRange, _ regions: inout GuestRegions) {
    if frames.count < 1 << shift { notePages(frames, &regions) }
    if !puds.isEmpty { puds.age(frames) }
  }

  /// Other memory may take the place of the frames.
  mutating func forget(_ frames: FrameRange, _ regions: inout GuestRegions) {
    regions.forEach(in: frames) { region, regions in regions[region].host = HostRegion() }
    if !puds.isEmpty { puds.forget(frames) }
    if untouched.count == 0 { return }
    let blocks = frames.start.rawValue >> shift...(frames.end.rawValue - 1) >> shift
    for block in untouched.keys(in: blocks) { untouched.remove(block) }
  }

  /// The host unmaps the frames.
  ///
  /// - Parameter isReclaimed: its reclaim does.
  mutating func unmap(_ frames: FrameRange, isReclaimed: Bool = false, _ regions: inout GuestRegions) {
    let block = frames.start.rawValue >> shift
    if !puds.isEmpty, puds.unmap(frames) { return }
    if block == (frames.end.rawValue - 1) >> shift {
      let isWhole = frames.count == 1 << shift
      update(block, &regions) {
        $0.unmap(isWhole: isWhole, isReclaimed: isReclaimed)
        if !isWhole { $0.notePages() }
      }
    } else {
      // Perhaps the VMM maps other memory there.
      forget(frames, &regions)
      notePages(frames, &regions)
    }
  }

  /// The host does something to frames that are not whole regions.
  private mutating func notePages(_ frames: FrameRange, _ regions: inout GuestRegions) {
    let mask = UInt64(1) << shift - 1
    if frames.start.rawValue & mask != 0 {
      update(frames.start.rawValue >> shift, &regions) { $0.notePages() }
    }
    if frames.end.rawValue & mask != 0 { update(frames.end.rawValue >> shift, &regions) { $0.notePages() } }
  }

  /// Changes what is known of a region, whether a fault has touched it or not.
  @inline(__always)
  private mutating func update(
    _ block: UInt64, _ regions: inout GuestRegions, _ body: (inout HostRegion) -> Void
  ) {
    if let region = regions.index(of: block) { return body(&regions[region].host) }
    var region = untouched[block] ?? HostRegion()
    body(&region)
    _ = untouched.updateValue(region, forKey: block)
  }
}
