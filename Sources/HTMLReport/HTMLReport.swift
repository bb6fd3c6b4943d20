public import KVMTypes
public import Pictures
public import Reporting

/// Reports as pages for a browser: one file each, which asks nothing of a network, and which needs no script to be read.
public enum HTMLReport {
  /// What a page shows of one recording.
  public struct Recording: Sendable {
    /// The report, with its series.
    public var report: ReplayReport
    /// What the replay looks like over time and address.
    public var pictures: [ReplayPictures.VM]
    /// When events are missing.
    public var gaps: [Range<Nanoseconds>]

    /// A replayed recording.
    public init(_ report: ReplayReport, pictures: [ReplayPictures.VM], gaps: [Range<Nanoseconds>]) {
      self.report = report
      self.pictures = pictures
      self.gaps = gaps
    }
  }

  /// The page of one recording or of several.
  ///
  /// - Parameter maker: the program that made it, in one line.
  public static func page(_ recordings: [Recording], maker: String) -> Markup {
    var page = ReplayPage(recordings, maker: maker)
    return page.markup()
  }

  /// A threshold as somebody wrote it.
  public struct NamedThreshold: Sendable {
    /// Its text.
    public var text: String
    /// What it says.
    public var threshold: Threshold

    /// A threshold with its text.
    public init(_ text: String, _ threshold: Threshold) {
      self.text = text
      self.threshold = threshold
    }
  }

  /// The page of a comparison.
  ///
  /// - Parameters:
  ///   - thresholds: what it was held against.
  ///   - maker: the program that made it, in one line.
  public static func page(
    _ comparison: Comparison, thresholds: [NamedThreshold], maker: String
  ) -> Markup {
    ComparePage(comparison: comparison, thresholds: thresholds, maker: maker).markup
  }

  /// The page of a patch.
  ///
  /// - Parameters:
  ///   - thresholds: what it was held against.
  ///   - maker: the program that made it, in one line.
  public static func page(
    _ report: PatchReport, thresholds: [NamedThreshold], maker: String
  ) -> Markup {
    PatchPage(report: report, thresholds: thresholds, maker: maker).markup
  }

  /// The page of a plan.
  ///
  /// - Parameter maker: the program that made it, in one line.
  public static func page(_ plan: CapacityPlan, maker: String) -> Markup {
    CapacityPage(plan: plan, maker: maker).markup
  }
}

/// How much a page shows. What is left out is said where it would stand.
enum PageLimits {
  /// VMs with plots: those with most faults, of all recordings together.
  static let vms = 6
  /// Regions of a VM that are told page by page: those in which most happened.
  static let regions = 12
  /// Such regions of all VMs together, to each the same number; 4 of each at least.
  static let allRegions = 36
  /// The letters that pictures and the numbers behind them take: of a page of 5 MB at most, plots and tables are the rest.
  static let pictureLetters = 3_500_000
  /// Stretches in which events are missing that are told apart in plots.
  static let gaps = 64
  /// Differences with a bar: those with the greatest percentages.
  static let bars = 60
  /// Recorded VMs of a plan whose memory is drawn over time.
  static let curves = 24
  /// Rows of a table.
  static let rows = 100
  /// Causes of divergences.
  static let causes = 40
  /// Divergences of one cause that are told with what happened before.
  static let divergences = 2
  /// Quiet points, resets and other moments that are marked in a plot.
  static let marks = 12
}
