import Foundation
import Glibc
import Reporting
import Stage2Replay

/// The files that `replay --csv` writes.
enum SeriesFiles {
  static func write(_ result: ReplayResult, to directory: String) throws {
    do {
      try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    } catch {
      throw Diagnostics.failure(
        "\(directory): cannot be made a directory: \(String(cString: strerror(errno)))", .inputOutput)
    }
    for table in SeriesTable.tables(result) {
      try Output.write(table.csv, to: URL(filePath: directory).appending(path: table.name).path())
    }
  }
}
