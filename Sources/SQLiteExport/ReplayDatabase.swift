internal import FoundationEssentials
public import Reporting

/// A replay as a SQLite database: rows are written while the replay goes on, in bounded memory.
///
/// | concept | file |
/// |---|---|
/// | tables and indexes | `DatabaseSchema.swift` |
/// | what is told one by one | `RecordingRows.swift` |
/// | what the report has | `ReportRows.swift` |
/// | SQLite on an open file | `Storage` |
public final class ReplayDatabase {
  /// So many bytes from the beginning of a file tell whether it is one of these databases.
  public static let prefixBytes = 72

  private let connection: Connection
  private let maker: ToolIdentity
  private let options: String
  private let numbers = RowNumbers()

  /// Begins a database.
  ///
  /// - Parameters:
  ///   - descriptor: an empty file that is open to be read and written. It stays open as long as the database is written.
  ///   - maker: the program.
  ///   - options: the words of the command line.
  ///   - explain: makes of a failure what is thrown, here and by all that the database is given to.
  public init(
    descriptor: Int32, maker: ToolIdentity, options: [String],
    explain: @escaping (DatabaseFailure) -> any Error = { $0 }
  ) throws {
    self.maker = maker
    self.options = Self.json(options)
    connection = try Connection(descriptor: descriptor, explain: explain)
    // Nothing is taken back, nobody else has the file, and it is worth nothing before it is complete. That there is no journal is
    // said before anything is written.
    try connection.run(
      """
      PRAGMA journal_mode = OFF;
      PRAGMA synchronous = OFF;
      PRAGMA locking_mode = EXCLUSIVE;
      PRAGMA temp_store = FILE;
      PRAGMA cache_size = -8192;
      PRAGMA page_size = 8192;
      PRAGMA application_id = \(DatabaseSchema.applicationID);
      PRAGMA user_version = \(DatabaseSchema.version);
      BEGIN;
      """)
    try connection.run(DatabaseSchema.tables)
  }

  /// The rows of an input.
  ///
  /// - Parameters:
  ///   - position: its position among the inputs.
  ///   - vms: the VMs that are asked for, nil for all.
  ///   - measuresTime: whether its clock tells how long anything took.
  public func rows(
    of position: Int, vms: Set<Int>? = nil, measuresTime: Bool = true
  ) throws -> RecordingRows {
    try RecordingRows(connection, position, numbers, vms: vms, measuresTime: measuresTime)
  }

  /// All is known of an input: writes what its report has.
  public func add(_ report: ReplayReport, of position: Int) throws {
    try ReportRows(connection, position).write(report, by: maker, options: options)
  }

  /// All inputs are written. Must be the last call.
  public func finish() throws {
    try connection.run(DatabaseSchema.indexes)
    try connection.run("COMMIT")
    connection.close()
  }

  /// An array of texts, in one line.
  private static func json(_ words: [String]) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .withoutEscapingSlashes
    do {
      return String(decoding: try encoder.encode(words), as: UTF8.self)
    } catch {
      preconditionFailure("texts have a form in JSON: \(error)")
    }
  }

  /// Whether a file that begins so is one of these databases.
  public static func isOne(prefix: [UInt8]) -> Bool {
    // https://www.sqlite.org/fileformat.html: application_id is at 68.
    prefix.count >= prefixBytes && prefix.starts(with: "SQLite format 3\0".utf8)
      && prefix[68..<72].reduce(0) { $0 << 8 | UInt32($1) } == DatabaseSchema.applicationID
  }
}
