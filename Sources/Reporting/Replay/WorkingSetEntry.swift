public import KVMTypes
internal import Stage2Replay

extension ReplayReport {
  /// Pages that faults showed to be in use. A touch through a mapping that is there leaves no event: touches are lower
  /// bounds, idle times upper ones.
  public struct WorkingSetEntry: Encodable, Sendable {
    /// The host's pages that faults showed to be in use.
    public var pages: Int
    /// Those of them that were mapped with blocks.
    public var blockPages: Int
    /// How both are known.
    public var basis: Basis
    /// How long they were not shown again.
    public var idle: [IdleEntry]
    /// The touches over time.
    public var series: [TouchEntry]?
  }

  /// Pages that were last shown so long before the end of the trace.
  public struct IdleEntry: Encodable, Sendable {
    /// How long before.
    public var idleNs: UInt64
    /// How many pages.
    public var pages: Int
  }

  /// One interval.
  public struct TouchEntry: Encodable, Sendable {
    /// The beginning of the interval.
    public var timeNs: UInt64
    /// Pages that faults touched in it.
    public var touchedPages: Int
    /// Those of them that none had touched before.
    public var firstTouchedPages: Int
  }
}

extension ReplayReport.WorkingSetEntry {
  init(_ set: WorkingSetResult, _ basis: Basis, _ grid: TimeGrid) {
    pages = set.pages
    blockPages = set.blockPages
    self.basis = basis
    idle = set.idle.sorted { $0.key < $1.key }.map {
      ReplayReport.IdleEntry(idleNs: UInt64($0) * grid.interval.rawValue, pages: $1)
    }
    series = set.samples.sorted { $0.key < $1.key }.map { index, sample in
      ReplayReport.TouchEntry(
        timeNs: grid.start(of: index).rawValue, touchedPages: sample.touched, firstTouchedPages: sample.first)
    }
  }
}
