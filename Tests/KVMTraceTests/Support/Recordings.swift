import Foundation

/// The recordings that tests read.
enum Recordings {
  /// The root of the package.
  static let root = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  /// The recordings that belong to the package.
  static let own = traces(in: root.appendingPathComponent("traces"))

  /// Files that others recorded: in `PKVM_REPLAY_FOREIGN`, or beside the checkout. They are read where they are
  /// found and belong to nobody here, so none of them is part of the package.
  static let foreign: [String] = {
    if let folder = environment["PKVM_REPLAY_FOREIGN"] { return traces(in: URL(fileURLWithPath: folder)) }
    return traces(in: root.deletingLastPathComponent().appendingPathComponent("shared/foreign"))
  }()

  /// Event formats of other kernels: in `PKVM_REPLAY_FORMATS`, or beside the checkout; nil where there are none.
  static let formats: URL? = {
    let folder =
      environment["PKVM_REPLAY_FORMATS"].map { URL(fileURLWithPath: $0) }
      ?? root.deletingLastPathComponent().appendingPathComponent("shared/formats")
    return FileManager.default.fileExists(atPath: folder.path) ? folder : nil
  }()

  /// Files that `PKVM_REPLAY_COMPARE` names, apart by colons: what tools/compare-with-trace-cmd was asked for.
  static let asked = (environment["PKVM_REPLAY_COMPARE"] ?? "").split(separator: ":").map(String.init)

  /// The recording of the package with this name.
  static func path(_ name: String) -> String { root.appendingPathComponent("traces/\(name)").path }

  private static var environment: [String: String] { ProcessInfo.processInfo.environment }

  private static func traces(in folder: URL) -> [String] {
    let files = try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
    return (files ?? []).map(\.path).filter { $0.hasSuffix(".dat") }.sorted()
  }
}
