/// Which program made a report: fields of every JSON object that it writes.
public struct ToolIdentity: Encodable, Sendable {
  /// The program's name.
  public let name = "pkvm-replay"
  /// Its version.
  public let version: String
  /// The commit that it was built from, with "+changes" behind it where sources differed; nil where that is not known.
  public let commit: String?

  /// The program of a version and commit.
  public init(version: String, commit: String?) {
    self.version = version
    self.commit = commit
  }

  /// One line, as `--version` prints it.
  public var line: String { "\(name) \(version) (\(commit.map { "commit \($0)" } ?? "commit unknown"))" }

  /// The names of the fields, which files that are read back may have, too.
  static let fields: Set<String> = ["tool", "toolVersion", "toolCommit"]

  private enum CodingKeys: String, CodingKey {
    case name = "tool"
    case version = "toolVersion"
    case commit = "toolCommit"
  }

  /// Writes the fields; a commit that is not known is null.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(name, forKey: .name)
    try container.encode(version, forKey: .version)
    try container.encode(commit, forKey: .commit)
  }
}
