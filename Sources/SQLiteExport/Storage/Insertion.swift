internal import CSQLite

/// Rows for one table: the values of a row are added one after the other, in the order of the columns.
final class Insertion {
  private let connection: Connection
  private let statement: OpaquePointer
  private let columns: Int32
  /// How many values the row has already.
  private var count: Int32 = 0

  /// - Parameter columns: all columns of the table, in the order in which their values come.
  init(_ connection: Connection, into table: String, _ columns: [String]) throws {
    self.connection = connection
    self.columns = Int32(columns.count)
    let places = Array(repeating: "?", count: columns.count).joined(separator: ", ")
    statement = try connection.prepare(
      "INSERT INTO \(table) (\(columns.joined(separator: ", "))) VALUES (\(places))")
  }

  deinit { sqlite3_finalize(statement) }

  /// A number. One of 64 bits without a sign is stored by its bits, so that what is 2^63 or more is negative.
  func add(_ value: (some BinaryInteger)?) throws {
    count += 1
    if let value {
      try connection.check(sqlite3_bind_int64(statement, count, Int64(truncatingIfNeeded: value)))
    } else {
      try connection.check(sqlite3_bind_null(statement, count))
    }
  }

  /// A text.
  func add(_ value: String?) throws {
    count += 1
    guard var value else { return try connection.check(sqlite3_bind_null(statement, count)) }
    let code = value.withUTF8 { bytes in
      sqlite3_bind_text64(
        statement, count, UnsafeRawPointer(bytes.baseAddress)?.assumingMemoryBound(to: CChar.self),
        UInt64(bytes.count), Self.copied, UInt8(SQLITE_UTF8))
    }
    try connection.check(code)
  }

  /// 0 or 1.
  func add(_ value: Bool?) throws { try add(value.map { $0 ? 1 : 0 }) }

  /// The row is complete.
  func end() throws {
    precondition(count == columns, "a row has a value for each column")
    count = 0
    let code = sqlite3_step(statement)
    // What step found is told by reset again.
    sqlite3_reset(statement)
    try connection.check(code)
  }

  /// SQLITE_TRANSIENT, a macro that Swift does not import: SQLite copies the text.
  private static let copied = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
}
