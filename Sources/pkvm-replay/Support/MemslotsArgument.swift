import ArgumentParser
import KVMTrace
import KVMTypes
import Reporting
import Stage2Replay

/// A file of memslots on the command line.
struct MemslotsArgument: ExpressibleByArgument {
  let path: String

  init?(argument: String) { path = argument }

  static var defaultCompletionKind: CompletionKind { .file() }

  /// The memslots, or one line about why there are none.
  ///
  /// - Parameter pageSize: the host's, where the user states it.
  func resolve(for trace: TraceFile, _ pageSize: PageSize?) throws -> MemslotHistory {
    let json = try SideFile.text(at: path)
    let host = HostPageSize(of: trace, stated: pageSize)
    do {
      return try MemslotFile.history(json: json, pageBytes: Int(host.pageSize.bytes))
    } catch {
      throw SideFile.failure(path, json, field: error.field, error.description)
    }
  }
}
