import ArgumentParser
import KVMTrace
import Reporting
import Stage2Replay

/// A file of memslots on the command line.
struct MemslotsArgument: ExpressibleByArgument {
  let path: String

  init?(argument: String) { path = argument }

  /// The memslots, or one line about why there are none.
  func resolve(for trace: TraceFile) throws -> MemslotHistory {
    let json = try SideFile.text(at: path)
    do {
      return try MemslotFile.history(json: json, pageBytes: trace.pageBytes)
    } catch {
      throw SideFile.failure(path, json, field: error.field, error.description)
    }
  }
}
