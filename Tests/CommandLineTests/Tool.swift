import Foundation
import Testing
import UnnamedFiles

/// The built executable, run as a user runs it.
enum Tool {
  /// What a run left behind.
  struct Outcome {
    var status: Int32
    var output: String
    var errors: String

    /// The lines on standard error.
    var errorLines: [Substring] { errors.split(separator: "\n") }
  }

  /// The root of the package.
  static let root = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  /// The executable, which the build puts beside the tests.
  static let path: String = {
    let beside = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
    let folders = [beside, root.appendingPathComponent(".build/debug")]
    return folders.map { $0.appendingPathComponent("pkvm-replay").path }
      .first { FileManager.default.isExecutableFile(atPath: $0) } ?? ""
  }()

  /// A recording of the package.
  static let recording = root.appendingPathComponent("traces/pkvm-nvhe-7.3.4-page-table-thp.dat").path
  /// The longest one: a guest that boots, with nothing racing.
  static let guestBoot = root.appendingPathComponent("traces/pkvm-nvhe-7.3.4-guest-damon.dat").path

  /// The smallest one.
  static let smallRecording = root.appendingPathComponent("traces/kvm-nvhe-7.2.12-page-table-thp.dat").path

  /// A copy of `recording` of which 3000 bytes behind its middle are not what was recorded.
  static func damaged(_ recording: String) throws -> UnnamedFile {
    var bytes = try Array(Data(contentsOf: URL(filePath: recording)))
    let begin = bytes.count * 6 / 10
    for index in begin..<begin + 3000 { bytes[index] ^= 0x5a }
    return try UnnamedFile(bytes)
  }

  /// The words of a page, whatever lines they are in.
  static func words(_ text: String) -> String {
    text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
  }

  /// Runs the executable with `arguments`.
  static func run(_ arguments: [String]) throws -> Outcome {
    try run(path, arguments)
  }

  /// Runs a line of bash in which `$tool` is the executable, and `$1` and so on are `arguments`.
  ///
  /// The line runs with the signals that a shell starts with: a test runner may ignore some of them.
  static func shell(_ line: String, _ arguments: [String]) throws -> Outcome {
    try run(
      "/usr/bin/env",
      ["--default-signal=PIPE", "bash", "-c", "tool=\(path); set -o pipefail; \(line)", "bash"] + arguments)
  }

  private static func run(_ executable: String, _ arguments: [String]) throws -> Outcome {
    try #require(!path.isEmpty, "pkvm-replay is not built")
    let process = Process()
    process.executableURL = URL(fileURLWithPath: executable)
    process.arguments = arguments
    // Files, not pipes: neither stream can fill up while the other is read.
    let output = try UnnamedFile()
    let errors = try UnnamedFile()
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = FileHandle(forWritingAtPath: output.path)
    process.standardError = FileHandle(forWritingAtPath: errors.path)
    try process.run()
    process.waitUntilExit()
    #expect(process.terminationReason == .exit, "the process crashed")
    return Outcome(
      status: process.terminationStatus, output: try String(contentsOfFile: output.path, encoding: .utf8),
      errors: try String(contentsOfFile: errors.path, encoding: .utf8))
  }
}
