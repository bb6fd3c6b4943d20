import Foundation
import Testing
import UnnamedFiles

/// More inputs than may be open at once at first.
@Suite("Many inputs")
struct ManyInputsTests {
  private static func trace() throws -> UnnamedFile {
    let file = try UnnamedFile()
    #expect(try Tool.run(["synth", file.path, "--events", "50"]).status == 0)
    return file
  }

  /// A line of bash that gives `verb` the file 30 times.
  private static func line(_ limit: String, _ verb: String) -> String {
    "ulimit \(limit) 40; $tool \(verb) $(printf \"$1 %.0s\" {1..30})"
  }

  @Test("A limit that the user may raise is raised")
  func raised() throws {
    let file = try Self.trace()
    let outcome = try Tool.shell(Self.line("-Sn", "replay --jobs 2"), [file.path])
    #expect(outcome.status == 0 && outcome.errors.isEmpty, "\(outcome.errors)")
  }

  @Test(
    "One that the system sets ends it in one line, before anything is read",
    arguments: ["replay", "capacity --vms 1 --memory 1GiB"])
  func refused(verb: String) throws {
    let file = try Self.trace()
    let outcome = try Tool.shell(Self.line("-n", verb), [file.path])
    #expect(outcome.status == 74 && outcome.output.isEmpty)
    #expect(outcome.errorLines.count == 1 && outcome.errors.contains("30 inputs"), "\(outcome.errors)")
    #expect(outcome.errors.contains("40 files (ulimit -n)"))
  }
}
