/// Why a database could not be written.
public struct DatabaseFailure: Error, Hashable, Sendable {
  /// What SQLite says.
  public var message: String
  /// What the system said when the file was read or written (`errno`); nil where it was not the system that failed.
  public var errno: Int32?
}
