/// How much a file may hold beyond what it takes compressed: what was forged to hold a thousand times as much, again and again, is not
/// decompressed to its end.
struct DecompressionBudget {
  /// So many bytes may come of each compressed one, on average. deflate makes 1,032 at most; zstd can make many more, of what nobody
  /// records.
  static let ratioMax = 1024
  /// So many bytes may come of any file: pages that are all but empty, of an idle machine, come to little in the beginning.
  static let leastBytes = 256 << 20
  /// What is said of what is beyond it.
  static let excess = "more than \(ratioMax) times what it takes, and more than \(leastBytes >> 20) MiB"

  private var left = leastBytes

  /// How much may come of `taken` compressed bytes.
  func allowance(from taken: Int) -> Int { max(left + Self.ratioMax * taken, 0) }

  /// Takes `made` bytes in that came of `taken` compressed ones; whether they are still within the budget.
  mutating func allows(_ made: Int, from taken: Int) -> Bool {
    left += Self.ratioMax * taken - made
    return left >= 0
  }
}
