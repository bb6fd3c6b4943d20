/// Where things of a VM's stretches of memory, each of the size of a level-2 block, lie in dense tables: by the number of
/// the stretch, in the order in which they appear. Faults come in streams, so the last answer is mostly the next one.
struct BlockPositions {
  private var positions: [FrameKey: Int32] = [:]
  private var lastBlock = UInt64.max
  private var lastPosition: Int32 = 0

  /// How many there are.
  var count: Int { positions.count }

  /// The position of a stretch, nil where it is not known.
  @inline(__always)
  subscript(block: UInt64) -> Int? {
    if block == lastBlock { return Int(lastPosition) }
    return positions[FrameKey(block)].map { Int($0) }
  }

  /// The position of a stretch, which is taken in if it is new: the next position then.
  @inline(__always)
  mutating func insert(_ block: UInt64) -> (position: Int, isNew: Bool) {
    if block == lastBlock { return (Int(lastPosition), false) }
    lastBlock = block
    if let known = positions[FrameKey(block)] {
      lastPosition = known
      return (Int(known), false)
    }
    lastPosition = Int32(positions.count)
    positions[FrameKey(block)] = lastPosition
    return (Int(lastPosition), true)
  }
}
