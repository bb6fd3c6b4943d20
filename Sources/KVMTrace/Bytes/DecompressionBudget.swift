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

  private let ratio: Int
  private var left = leastBytes

  /// One that nothing has come of yet.
  init() { ratio = Self.ratioMax }

  /// That of pages of the ring buffer: one of them has an event at least, whose stamp compresses to no less than four bytes, however
  /// large the page is. The pages of an idle machine are large and all but empty, and many of them are one recording.
  init(ofPages pageBytes: Int) { ratio = max(Self.ratioMax, pageBytes / 4) }

  /// How much may come of `taken` compressed bytes.
  func allowance(from taken: Int) -> Int { max(left + ratio * taken, 0) }

  /// Takes `made` bytes in that came of `taken` compressed ones; whether they are still within the budget.
  mutating func allows(_ made: Int, from taken: Int) -> Bool {
    left += ratio * taken - made
    return left >= 0
  }
}
