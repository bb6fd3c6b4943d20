import Foundation

/// The recordings that come with the product.
enum Recordings {
  /// The top of the checkout.
  static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  static let folder = root.appending(path: "traces")

  /// The names of all recordings, without the suffix.
  static let names: [String] = {
    let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.path())) ?? []
    return files.filter { $0.hasSuffix(".dat") }.map { String($0.dropLast(4)) }.sorted()
  }()

  static func path(_ name: String) -> String { folder.appending(path: "\(name).dat").path() }

  static func golden(_ name: String) -> URL { folder.appending(path: "golden/\(name).json") }
}
