internal import KVMTypes
internal import Stage2Replay

extension ReplayReport {
  /// Pages that faults showed to be in use. A touch through a mapping that is there leaves no event: touches are lower
  /// bounds, idle times upper ones.
  public struct WorkingSetEntry: Encodable, Sendable {
    var pages: Int
    var blockPages: Int
    var idle: [IdleEntry]
    var series: [TouchEntry]?
  }

  /// Pages that were last shown so long before the end of the trace.
  public struct IdleEntry: Encodable, Sendable {
    var idleNs: UInt64
    var pages: Int
  }

  /// One interval.
  public struct TouchEntry: Encodable, Sendable {
    var timeNs: UInt64
    var touchedPages: Int
    var firstTouchedPages: Int
  }
}

extension ReplayReport.WorkingSetEntry {
  init(_ set: WorkingSetResult, _ grid: TimeGrid) {
    pages = set.pages
    blockPages = set.blockPages
    idle = set.idle.sorted { $0.key < $1.key }.map {
      ReplayReport.IdleEntry(idleNs: UInt64($0) * grid.interval.rawValue, pages: $1)
    }
    series = set.samples.sorted { $0.key < $1.key }.map { index, sample in
      ReplayReport.TouchEntry(
        timeNs: grid.start(of: index).rawValue, touchedPages: sample.touched, firstTouchedPages: sample.first)
    }
  }
}
