internal import KVMTypes

/// Which region a block of guest memory is: one number of 4 bytes for each block, in pieces of 64 neighbouring blocks, which exist
/// where any block of theirs is a region. So a guest of 16 GiB with faults all over takes 36 KiB, which stay in the cache, and
/// one whose blocks lie far apart 270 bytes each.
struct RegionIndices: ~Copyable {
  private static let blocksPerPiece: UInt64 = 64
  private static let none = RegionIndex(-1)
  /// Where the numbers of a piece begin, by the piece's place.
  private var pieces = FrameMap(filler: Int32(0))
  private var regions = RecordStore<RegionIndex>()

  /// The region that a block is, nil where it is none.
  @inline(__always)
  subscript(block: UInt64) -> RegionIndex? {
    guard let first = pieces[block / Self.blocksPerPiece] else { return nil }
    let region = regions[Int(first) + Int(block % Self.blocksPerPiece)]
    return region == Self.none ? nil : region
  }

  /// A block becomes a region.
  mutating func insert(_ region: RegionIndex, at block: UInt64) {
    let piece = block / Self.blocksPerPiece
    if pieces[piece] == nil {
      _ = pieces.updateValue(Int32(regions.count), forKey: piece)
      regions.append(repeating: Self.none, count: Int(Self.blocksPerPiece))
    }
    guard let first = pieces[piece] else { return }
    regions[Int(first) + Int(block % Self.blocksPerPiece)] = region
  }
}
