internal import KVMTypes

/// Which pages of a region of PMD_SIZE are mapped, by a bit for each.
struct MappedPages {
  private var words: [UInt64]
  /// How many are.
  private(set) var count: UInt32 = 0

  /// - Parameter pages: how many the region has: a multiple of 64.
  init(pages: Int) { words = Array(repeating: 0, count: pages / 64) }

  /// Some pages are mapped now, or none of them is.
  mutating func set(_ pages: Range<Int>, to isMapped: Bool) {
    var page = pages.lowerBound
    while page < pages.upperBound {
      let word = page / 64
      let end = min(pages.upperBound, (word + 1) * 64)
      let width = end - page
      let mask = (width == 64 ? UInt64.max : (1 << UInt64(width)) - 1) << UInt64(page % 64)
      let before = words[word]
      words[word] = isMapped ? before | mask : before & ~mask
      count = count &+ UInt32(words[word].nonzeroBitCount) &- UInt32(before.nonzeroBitCount)
      page = end
    }
  }
}
