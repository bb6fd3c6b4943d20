/// A set of positions below a limit, which finds those next to one: all in time that grows with the logarithm of the limit.
///
/// A bit for each position, and above 64 words a word that says which of them are not empty, and so on.
struct PositionSet {
  /// From the bits of the positions up to a single word.
  private var levels: [[UInt64]] = []

  /// No positions yet, of `limit` that are possible.
  init(limit: Int) {
    var count = max(limit, 1)
    repeat {
      count = (count + 63) >> 6
      levels.append([UInt64](repeating: 0, count: count))
    } while count > 1
  }

  mutating func insert(_ position: Int) {
    var bit = position
    for level in levels.indices {
      levels[level][bit >> 6] |= 1 << UInt64(bit & 63)
      bit >>= 6
    }
  }

  mutating func remove(_ position: Int) {
    var bit = position
    for level in levels.indices {
      levels[level][bit >> 6] &= ~(1 << UInt64(bit & 63))
      guard levels[level][bit >> 6] == 0 else { return }
      bit >>= 6
    }
  }

  /// The greatest position of the set below `position`, nil where there is none.
  func last(below position: Int) -> Int? {
    var bit = position
    for level in levels.indices {
      let word = levels[level][bit >> 6] & (1 << UInt64(bit & 63) - 1)
      if word != 0 {
        return descend(bit & ~63 | (63 - word.leadingZeroBitCount), from: level) {
          63 - $0.leadingZeroBitCount
        }
      }
      bit >>= 6
    }
    return nil
  }

  /// The least position of the set above `position`, nil where there is none.
  func first(above position: Int) -> Int? {
    var bit = position
    for level in levels.indices {
      let word = levels[level][bit >> 6] & ~(UInt64.max >> UInt64(63 - bit & 63))
      if word != 0 {
        return descend(bit & ~63 | word.trailingZeroBitCount, from: level, \.trailingZeroBitCount)
      }
      bit >>= 6
    }
    return nil
  }

  /// The position below a bit of a level that `choose` leads to.
  private func descend(_ bit: Int, from level: Int, _ choose: (UInt64) -> Int) -> Int {
    var bit = bit
    for lower in levels[..<level].reversed() { bit = bit << 6 | choose(lower[bit]) }
    return bit
  }
}
