import ArgumentParser
import Foundation
import Glibc
import KVMTrace
import Reporting
import Stage2Replay

/// A file of memslots on the command line.
struct MemslotsArgument: ExpressibleByArgument {
  let path: String

  init?(argument: String) { path = argument }

  /// The memslots, or one line about why there are none.
  func resolve(for trace: TraceFile) throws -> MemslotHistory {
    let data: Data
    do {
      data = try Data(contentsOf: URL(fileURLWithPath: path))
    } catch {
      guard access(path, F_OK) == 0 else { throw Diagnostics.failure("\(path): No such file", .noInput) }
      throw Diagnostics.failure("\(path): cannot be read", .inputOutput)
    }
    do {
      return try MemslotFile.history(json: String(decoding: data, as: UTF8.self), pageBytes: trace.pageBytes)
    } catch {
      // EX_DATAERR, as for a file that is no trace.
      throw Diagnostics.failure("\(path): \(error.description)", .notATrace)
    }
  }
}
