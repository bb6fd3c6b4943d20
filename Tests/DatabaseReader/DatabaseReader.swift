internal import CSQLite

/// A database, as anybody who has SQLite reads it: for tests.
package final class DatabaseReader {
  /// What SQLite says.
  package struct Failure: Error, CustomStringConvertible {
    package var description: String
  }

  private var handle: OpaquePointer?

  /// Opens the file at `path`.
  package init(path: String) throws(Failure) {
    guard sqlite3_open_v2(path, &handle, SQLITE_OPEN_READONLY, nil) == SQLITE_OK else { throw failure() }
  }

  deinit { sqlite3_close_v2(handle) }

  /// What a query finds.
  package func rows(_ query: String) throws(Failure) -> [[String: DatabaseValue]] {
    var statement: OpaquePointer?
    guard sqlite3_prepare_v2(handle, query, -1, &statement, nil) == SQLITE_OK else { throw failure() }
    defer { sqlite3_finalize(statement) }
    var rows: [[String: DatabaseValue]] = []
    while true {
      switch sqlite3_step(statement) {
      case SQLITE_ROW:
        var row: [String: DatabaseValue] = [:]
        for column in 0..<sqlite3_column_count(statement) {
          row[String(cString: sqlite3_column_name(statement, column))] = Self.value(statement, column)
        }
        rows.append(row)
      case SQLITE_DONE: return rows
      default: throw failure()
      }
    }
  }

  /// The one number that a query finds, nil for NULL.
  package func number(_ query: String) throws(Failure) -> Int64? {
    guard let row = try rows(query).first, case .integer(let number)? = row.values.first else { return nil }
    return number
  }

  private static func value(_ statement: OpaquePointer?, _ column: Int32) -> DatabaseValue {
    switch sqlite3_column_type(statement, column) {
    case SQLITE_INTEGER: .integer(sqlite3_column_int64(statement, column))
    case SQLITE_FLOAT: .real(sqlite3_column_double(statement, column))
    case SQLITE_TEXT: .text(String(cString: sqlite3_column_text(statement, column)))
    default: .null
    }
  }

  private func failure() -> Failure { Failure(description: String(cString: sqlite3_errmsg(handle))) }
}

/// A value in a row.
package enum DatabaseValue: Hashable, Sendable, ExpressibleByIntegerLiteral, ExpressibleByStringLiteral {
  case integer(Int64)
  case real(Double)
  case text(String)
  case null

  package init(integerLiteral value: Int64) { self = .integer(value) }
  package init(stringLiteral value: String) { self = .text(value) }

  /// A number that may not be there.
  package init(_ value: (some BinaryInteger)?) {
    self = value.map { .integer(Int64(truncatingIfNeeded: $0)) } ?? .null
  }
}
