import Foundation

/// The files of the package, as they lie beside this test.
enum SourceTree {
  /// The top of the package.
  static let root = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  /// What a build leaves at the top; none of it is part of the package.
  private static let products: Set<String> = ["Package.resolved"]

  /// Names at the top, those of builds and version control left out.
  static func topLevel() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: root.path)
      .filter { !products.contains($0) && !$0.hasPrefix(".") }.sorted()
  }

  /// Paths of all files below the top's visible entries, relative to the top.
  static func files() throws -> [String] {
    try topLevel().flatMap { try files(under: $0) }.sorted()
  }

  /// Paths of all files at or below `path`.
  static func files(under path: String) throws -> [String] {
    let url = root.appendingPathComponent(path)
    var isDirectory: ObjCBool = false
    guard FileManager.default.fileExists(atPath: url.path, isDirectory: &isDirectory) else { return [] }
    guard isDirectory.boolValue else { return [path] }
    return try FileManager.default.contentsOfDirectory(atPath: url.path)
      .filter { !$0.hasPrefix(".") }
      .flatMap { try files(under: "\(path)/\($0)") }
  }

  /// A file's bytes.
  static func bytes(_ path: String) throws -> [UInt8] {
    Array(try Data(contentsOf: root.appendingPathComponent(path)))
  }

  /// A file's text.
  static func text(_ path: String) throws -> String {
    String(decoding: try bytes(path), as: UTF8.self)
  }
}
