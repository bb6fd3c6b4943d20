import Foundation
import KVMTrace
import Testing

/// The inputs with which a reader crashed, hung or took too much memory once, and must not again.
///
/// `tools/fuzz` finds them. Each is in `traces/inputs/failed` under a name that says its reader and what failed.
@Suite("Inputs that failed once")
struct FailedInputTests {
  /// What each may take: seconds of a processor, and bytes of address space.
  static let secondsMax: UInt = 10
  static let bytesMax: UInt = 512 << 20

  static let paths: [String] = {
    let folder = Recordings.root.appendingPathComponent("traces/inputs/failed").path
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return names.filter { !$0.hasPrefix(".") && $0 != "README.md" }.sorted().map { "\(folder)/\($0)" }
  }()

  @Test("there are some")
  func exist() { #expect(!Self.paths.isEmpty) }

  @Test("are read or refused, in little time and memory", arguments: paths)
  func read(path: String) async throws {
    #if compiler(>=6.3)
      await #expect(processExitsWith: .success) { [path = path as String] in
        try Mutants.limitResources(seconds: Self.secondsMax, bytes: Self.bytesMax)
        Self.exercise(path)
      }
    #else
      // Swift 6.2 hands a child no values. Here a crash ends the tests, and names no input.
      Self.exercise(path)
    #endif
  }

  private static func exercise(_ path: String) {
    do {
      _ = try Exercise(path: path)
    } catch {
      precondition(!error.line.isEmpty && !error.line.contains("\n"))
    }
  }
}
