import Foundation
import Testing
import UnnamedFiles

/// `trace-cmd report` as an oracle: another reader of the same format.
enum TraceCmd {
  /// Where trace-cmd is, nil when it is not installed.
  static let path: String? = {
    let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
    return folders.map { "\($0)/trace-cmd" }.first { FileManager.default.isExecutableFile(atPath: $0) }
  }()

  /// What the skipped tests say.
  static let missing: Comment = "trace-cmd is not installed; install it to compare with another reader"

  /// What `trace-cmd report -N -R -t` prints: each event with its fields, unformatted, and nanoseconds.
  ///
  /// Half a million events are 60 MB of text, so it goes through a file that is mapped, not through a pipe.
  static func rawReport(_ trace: String) throws -> Data {
    let output = try UnnamedFile()
    try run(["report", "-N", "-R", "-t", "-i", trace], output: FileHandle(forWritingAtPath: output.path))
    // The mapping keeps the bytes when the file's name is gone.
    return try Data(contentsOf: URL(fileURLWithPath: output.path), options: .alwaysMapped)
  }

  /// Runs trace-cmd, which must succeed.
  static func run(_ arguments: [String], output: FileHandle? = nil) throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: try #require(path))
    process.arguments = arguments
    process.standardOutput = output ?? FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0, "trace-cmd \(arguments.joined(separator: " ")) fails")
  }
}
