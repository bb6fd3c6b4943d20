/// Names of files as titles have them.
enum FileName {
  /// What follows the last directory.
  static func last(_ path: String) -> String { path.split(separator: "/").last.map { String($0) } ?? path }
}
