import DatabaseReader
import Foundation
import KVMTrace
import KVMTypes
import Reporting
import Stage2Replay

@testable import SQLiteExport

/// Databases of replays, written as `replay --sqlite` writes them.
enum WrittenDatabase {
  /// The root of the package.
  static let root = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  /// The page that documents the database.
  static func page() throws -> String {
    let path = "Sources/pkvm-replay/pkvm-replay.docc/Database.md"
    return try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
  }

  /// A recording of the package.
  static func trace(_ name: String) throws -> TraceFile {
    try TraceFile(path: root.appendingPathComponent("traces/\(name).dat").path)
  }

  /// Replays `traces` into one database, and gives it to `body` with the reports.
  static func read<Result>(
    _ traces: [TraceFile], _ body: (DatabaseReader, [ReplayReport]) throws -> Result
  ) throws -> Result {
    // SQLite follows no link, so what has no name cannot be opened by it.
    let file = try NamedFile()
    let (reader, reports) = try write(traces, to: file)
    return try body(reader, reports)
  }

  /// The database of rows that a test writes itself.
  static func read<Result>(
    rows: (ReplayDatabase) throws -> Void, _ body: (DatabaseReader) throws -> Result
  ) throws -> Result {
    let file = try NamedFile()
    try writing(to: file) { try rows($0) }
    return try body(try DatabaseReader(path: file.path))
  }

  /// An empty file that is gone with its owner.
  private final class NamedFile {
    let path = FileManager.default.temporaryDirectory.appending(path: "written-\(UUID().uuidString)").path()

    init() throws { try Data().write(to: URL(filePath: path)) }

    deinit { try? FileManager.default.removeItem(atPath: path) }
  }

  private static func write(
    _ traces: [TraceFile], to file: NamedFile
  ) throws -> (DatabaseReader, [ReplayReport]) {
    var reports: [ReplayReport] = []
    try writing(to: file) { database in
      for (position, trace) in traces.enumerated() {
        let rows = try database.rows(of: position, measuresTime: trace.clock?.isNanoseconds ?? true)
        var options = ReplayOptions()
        options.longest = 1000
        let (result, statistics) = try Replay.run(
          trace, profile: ProfileRequest(), options: options, observer: rows.observer,
          onOperation: { try rows.add($0) })
        try rows.finish()
        let report = ReplayReport(trace, statistics, result)
        try database.add(report, of: position)
        reports.append(report)
      }
    }
    return (try DatabaseReader(path: file.path), reports)
  }

  private static func writing(to file: NamedFile, _ body: (ReplayDatabase) throws -> Void) throws {
    let handle = try FileHandle(forUpdating: URL(filePath: file.path))
    let database = try ReplayDatabase(
      descriptor: handle.fileDescriptor, maker: ToolIdentity(version: "1", commit: nil),
      options: ["a b", "\""])
    try body(database)
    try database.finish()
  }
}
