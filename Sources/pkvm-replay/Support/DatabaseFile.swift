import Glibc
import KVMTrace
import Reporting
import SQLiteExport

/// The file that `replay --sqlite` writes: a database with the rows of all inputs.
final class DatabaseFile {
  private let output: OpenedOutput
  private let database: ReplayDatabase

  init(_ target: OutputTarget) throws {
    output = try OpenedOutput(target)
    let name = output.name
    database = try ReplayDatabase(
      descriptor: output.descriptor, maker: .current, options: Array(CommandLine.arguments.dropFirst())
    ) { failure in
      let reason = failure.errno.map { String(cString: strerror($0)) } ?? failure.message
      return Diagnostics.failure("\(name): cannot be written: \(reason)", .inputOutput)
    }
  }

  /// The rows of an input.
  ///
  /// - Parameter vms: the VMs that are asked for, nil for all.
  func rows(of trace: TraceFile, position: Int, vms: Set<Int>?) throws -> RecordingRows {
    try database.rows(of: position, vms: vms, measuresTime: trace.clock?.isNanoseconds ?? true)
  }

  /// An input is replayed.
  func add(_ report: ReplayReport, of position: Int) throws { try database.add(report, of: position) }

  /// All inputs are. Must be the last call.
  func finish() throws {
    try database.finish()
    try output.finish()
  }
}
