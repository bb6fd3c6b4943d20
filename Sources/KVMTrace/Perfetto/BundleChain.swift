/// Tells whether bundles of one CPU and one writer are missing: each says when the one before it ended.
struct BundleChain {
  /// So many bundles are looked for at a time.
  private static let soughtMax = 4096

  /// The end of the bundle that was added last; nil where that is not known.
  private var end: UInt64? = 0
  /// By the ends of the bundles that were not there when others came behind them, those others' runs.
  private var sought: [UInt64: Int] = [:]

  /// The runs before which a bundle is missing, as far as is known so far.
  var behindMissing: [Int] { sought.values.sorted() }

  /// Adds a bundle.
  ///
  /// - Parameter run: which run it is; nil where it is none, or where something is missing before it in any case.
  mutating func add(_ stamps: BundleSurvey.Stamps, run: Int?) {
    if let run, let previous = stamps.previousEnd, let end, previous > end, sought.count < Self.soughtMax {
      sought[previous] = run
    }
    if stamps.isOpen {
      end = nil
    } else if let last = stamps.last {
      end = last
      if !sought.isEmpty { sought[last] = nil }
    }
  }
}
