internal import Foundation

/// The toy of `toy-backend.c`, compiled with what it shall do wrong.
package enum ToyBackend {
  private static let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
  private static let root = tests.deletingLastPathComponent().deletingLastPathComponent()

  /// A shared object with these macros.
  package static func build(_ macros: String...) throws -> String { try build(macros) }

  /// A shared object with these macros.
  package static func build(_ macros: [String]) throws -> String {
    let name = macros.joined(separator: "-").replacingOccurrences(of: "=", with: "")
    let file = FileManager.default.temporaryDirectory
      .appending(path: "toy-\(name)-\(UUID().uuidString).so").path
    let compiler = Process()
    compiler.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    compiler.arguments =
      ["cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC"]
      + macros.map { "-D\($0)" }
      + [
        "-I", root.appending(path: "Sources/CStage2Backend/include").path,
        tests.appending(path: "toy-backend.c").path, "-o", file,
      ]
    try compiler.run()
    compiler.waitUntilExit()
    guard compiler.terminationStatus == 0 else { throw Failure(description: "cc cannot compile the toy") }
    return file
  }

  /// Why there is no shared object.
  package struct Failure: Error, CustomStringConvertible {
    package var description: String
  }
}
