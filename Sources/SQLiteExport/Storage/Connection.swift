internal import CSQLite

/// A connection to a database that is being written.
final class Connection {
  private let storage: DescriptorStorage
  private let explain: (DatabaseFailure) -> any Error
  private var handle: OpaquePointer?

  /// - Parameters:
  ///   - descriptor: an empty file that is open to be read and written.
  ///   - explain: makes of a failure what is thrown.
  init(descriptor: Int32, explain: @escaping (DatabaseFailure) -> any Error) throws {
    self.explain = explain
    do {
      storage = try DescriptorStorage(descriptor: descriptor)
    } catch let failure as DatabaseFailure {
      throw explain(failure)
    }
    let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX
    try check(sqlite3_open_v2("database", &handle, flags, storage.name))
  }

  deinit { close() }

  /// Nothing is written any more. The last statement that goes ends it.
  func close() {
    sqlite3_close_v2(handle)
    handle = nil
  }

  /// Runs statements that have no result.
  func run(_ statements: String) throws {
    try check(sqlite3_exec(handle, statements, nil, nil, nil))
  }

  /// A statement that is run with values again and again.
  func prepare(_ statement: String) throws -> OpaquePointer {
    var prepared: OpaquePointer?
    try check(sqlite3_prepare_v3(handle, statement, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &prepared, nil))
    return prepared!
  }

  /// - Throws: if `code` says that something failed.
  func check(_ code: Int32) throws {
    guard code != SQLITE_OK, code != SQLITE_DONE, code != SQLITE_ROW else { return }
    throw explain(DatabaseFailure(message: String(cString: sqlite3_errmsg(handle)), errno: storage.errno))
  }
}
