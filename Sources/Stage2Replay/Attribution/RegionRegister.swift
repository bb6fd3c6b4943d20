internal import KVMTypes

/// What events say of one region of a VM's memory, of the size of a level-2 block.
struct RegionActivity {
  /// Which stretch of memory it is, counted in blocks.
  let block: UInt64
  /// Where the last unmap of the region's memory was over at the latest.
  var lastUnmap = Sequence.start
  /// The last age of the region's memory, and the thread that asked for it.
  var lastAge = Sequence.start
  var lastAgeThread: ThreadIndex?
}

/// The regions that a VM's faults have touched, by `RegionIndex`: as many as the kernel had tables of level 3 or blocks.
struct RegionRegister: ~Copyable {
  private var regions = RecordStore<RegionActivity>()
  private var indices = RegionIndices()
  /// The region asked for last: faults come in streams.
  private var lastBlock = UInt64.max
  private var lastIndex = RegionIndex(0)
  private let shift: UInt64

  init(pageSize: PageSize) { shift = pageSize.bitsPerLevel }

  var count: Int { regions.count }

  @inline(__always)
  func block(_ gfn: GFN) -> UInt64 { gfn.rawValue &>> shift }

  subscript(region: RegionIndex) -> RegionActivity {
    @inline(__always) unsafeAddress { UnsafePointer(regions.place(of: region.position)) }
    @inline(__always) unsafeMutableAddress { regions.place(of: region.position) }
  }

  /// The region of `gfn`, taken in if it is new.
  ///
  /// - Parameter lastUnmap: where the VM's last unmap was over at the latest, of one that ran before it was known. Of any other it is of
  ///   no concern, for nothing was mapped in the region.
  @inline(__always)
  mutating func insert(_ gfn: GFN, lastUnmap: Sequence) -> (region: RegionIndex, isNew: Bool) {
    let block = block(gfn)
    if block == lastBlock { return (lastIndex, false) }
    lastBlock = block
    let known = indices[block]
    lastIndex = known ?? add(block, lastUnmap: lastUnmap)
    return (lastIndex, known == nil)
  }

  @inline(never)
  private mutating func add(_ block: UInt64, lastUnmap: Sequence) -> RegionIndex {
    let region = RegionIndex(regions.count)
    indices.insert(region, at: block)
    regions.append(RegionActivity(block: block, lastUnmap: lastUnmap))
    return region
  }

  /// A fault on a frame comes soon.
  @inline(__always)
  func prefetch(_ gfn: GFN) {
    if let known = indices[block(gfn)] { regions.prefetch(known.position) }
  }

  /// Changes each known region from one to another.
  mutating func update(in blocks: ClosedRange<UInt64>, _ body: (inout RegionActivity) -> Void) {
    if blocks.upperBound - blocks.lowerBound < UInt64(regions.count) {
      for block in blocks { if let index = indices[block] { body(&regions[index.position]) } }
    } else {
      for position in 0..<regions.count where blocks.contains(regions[position].block) {
        body(&regions[position])
      }
    }
  }
}
