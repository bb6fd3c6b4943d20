import FoundationEssentials
import Glibc
import Reporting
import Stage2Replay

/// The files that `replay --csv` writes for one input.
struct SeriesFiles {
  private let directory: String
  private let targets: [OutputTarget]

  init(directory: String, _ outputs: inout OutputPlan) throws {
    self.directory = directory
    targets = try outputs.targets(inDirectory: directory, SeriesTable.names)
  }

  func write(_ result: ReplayResult) throws {
    do {
      try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    } catch {
      throw Diagnostics.failure(
        "\(directory): cannot be made a directory: \(String(cString: strerror(errno)))", .inputOutput)
    }
    for (table, target) in zip(SeriesTable.tables(result), targets) {
      try Output.write(table.csv, to: target)
    }
  }
}
