import KVMTrace
import KVMTypes
import PerfettoExport
import Reporting
import SQLiteExport
import Stage2Replay

/// The files that `replay` writes piece by piece, while it goes on: they are open from before the first input is replayed until
/// behind the last one.
struct ReplayFiles {
  var operations: OperationsFile?
  var tracks: TracksFile?
  var database: DatabaseFile?

  /// What is written of one input.
  ///
  /// - Parameter vms: the VMs that are asked for, nil for all.
  func recording(_ trace: TraceFile, position: Int, vms: Set<Int>?) throws -> RecordingFiles {
    RecordingFiles(
      position: position, vms: vms, operations: operations,
      tracks: tracks.map { $0.tracks(of: trace, position: position, vms: vms) },
      rows: try database?.rows(of: trace, position: position, vms: vms), database: database)
  }

  /// All inputs are replayed: the files are complete.
  func finish() throws {
    // A database is sorted at its end, so it is the one to fail: before others take their places.
    try database?.finish()
    try operations?.finish()
    try tracks?.finish()
  }
}

/// What is written of one input while it is replayed.
struct RecordingFiles {
  /// So many damaged places are told in words; `info` lists them all.
  private static let damageMax = 8

  fileprivate let position: Int
  fileprivate let vms: Set<Int>?
  fileprivate let operations: OperationsFile?
  fileprivate let tracks: ReplayTracks?
  fileprivate let rows: RecordingRows?
  fileprivate let database: DatabaseFile?

  /// Those who look at the replay, besides at operations.
  var observers: [ReplayObserver] { [tracks?.observer, rows?.observer].compactMap(\.self) }

  /// Whether anybody looks at operations.
  var takesOperations: Bool { operations != nil || tracks != nil || rows != nil }

  /// An operation was performed.
  func add(_ operation: Stage2Operation) throws {
    if vms?.contains(operation.vm) ?? true { try operations?.write(operation, input: position) }
    try tracks?.add(operation)
    try rows?.add(operation)
  }

  /// The input is replayed.
  ///
  /// - Parameters:
  ///   - part: the time of it that was replayed.
  ///   - input: what is known of the recording.
  func finish(
    _ result: ReplayResult, _ statistics: EventStatistics, part: Range<Nanoseconds>, of input: TraceInfo
  ) throws {
    try tracks?.finish(
      result, statistics, part: part, losses: input.lossText,
      damage: input.damage.isEmpty
        ? nil : input.damage.prefix(Self.damageMax).map(\.what).joined(separator: "; "),
      window: input.window?.statement)
    try rows?.finish()
  }

  /// The report of the input has all that was asked for.
  func add(_ report: ReplayReport) throws { try database?.add(report, of: position) }
}
