import Foundation

/// A file that goes away with its owner.
final class TemporaryFile {
  let path: String

  init(_ bytes: some Sequence<UInt8> = []) throws {
    path = FileManager.default.temporaryDirectory.appendingPathComponent("pkvm-\(UUID().uuidString).dat").path
    try Data(bytes).write(to: URL(fileURLWithPath: path))
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}
