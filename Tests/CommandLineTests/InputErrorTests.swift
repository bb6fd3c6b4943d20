import Foundation
import Glibc
import Testing
import TraceSynth
import UnnamedFiles

/// Inputs that are no good: one line that says so, the exit status that says what kind, and nothing else.
@Suite("Inputs that are no good")
struct InputErrorTests {
  /// Verbs that read a trace.
  static let verbs = ["info", "events"]

  @Test("a text file is no trace", arguments: verbs)
  func text(verb: String) throws {
    let file = try UnnamedFile(Array("This is not a trace.\nIt is text.\n".utf8))
    try expectFailure([verb, file.path], status: 65, saying: [file.path, "is a text file, not a trace"])
  }

  @Test("an empty file is no trace", arguments: verbs)
  func empty(verb: String) throws {
    let file = try UnnamedFile()
    try expectFailure([verb, file.path], status: 65, saying: [file.path, "is empty"])
  }

  @Test("a text that is all head is a trace, and has no events")
  func noEvents() throws {
    let head = "# tracer: nop\n#\n# entries-in-buffer/entries-written: 0/0   #P:2\n#\n"
    let file = try UnnamedFile(Array(head.utf8))
    let outcome = try Tool.run(["info", file.path])
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(outcome.errorLines.count == 1 && outcome.errors.hasSuffix(": there are no events in it\n"))
  }

  @Test("what is damaged is told once, in one line", arguments: verbs)
  func damagedFormat(verb: String) throws {
    let flavour = TraceFlavour(version: .v6)
    let writer = TraceDatWriter(TraceDescription(flavour, formats: [KVMEventFormats.entry], cpus: 1))
    var bytes = try writer.bytes()
    let place = try #require(bytes.firstRange(of: Array("vcpu_pc;\toffset:8".utf8)))
    bytes[place.upperBound - 1] = UInt8(ascii: "9")
    let file = try UnnamedFile(bytes)
    let outcome = try Tool.run([verb, file.path])
    #expect(outcome.status == 2 && outcome.errorLines.count == 1, "\(outcome.errors)")
    #expect(outcome.errors.contains("its field unsigned long vcpu_pc cannot lie where it says"))
  }

  @Test("a missing file", arguments: verbs)
  func missing(verb: String) throws {
    try expectFailure(
      [verb, "/nowhere/at/all.dat"], status: 66, saying: ["/nowhere/at/all.dat", "No such file"])
  }

  @Test("a directory is no trace", arguments: verbs)
  func directory(verb: String) throws {
    try expectFailure([verb, "/"], status: 65, saying: ["is a directory"])
  }

  @Test(
    "a file that must not be read", .disabled(if: geteuid() == 0, "root may read everything"),
    arguments: verbs)
  func unreadable(verb: String) throws {
    let file = try UnnamedFile([1, 2, 3])
    #expect(chmod(file.path, 0) == 0)
    try expectFailure([verb, file.path], status: 74, saying: [file.path, "Permission denied"])
  }

  @Test("the magic alone is no trace", arguments: verbs)
  func magicOnly(verb: String) throws {
    let file = try UnnamedFile([0x17, 0x08, 0x44] + Array("tracing".utf8))
    try expectFailure([verb, file.path], status: 65, saying: [file.path, "ends inside"])
  }

  @Test("a version from the future", arguments: verbs)
  func version(verb: String) throws {
    let file = try UnnamedFile([0x17, 0x08, 0x44] + Array("tracing8\0".utf8) + [0, 8, 0, 16, 0, 0])
    try expectFailure([verb, file.path], status: 65, saying: [file.path, "\"8\"", "6 and 7"])
  }

  @Test("an empty pipe is no trace", arguments: verbs)
  func emptyPipe(verb: String) throws {
    let outcome = try Tool.shell("true | $tool \(verb) -", [])
    #expect(outcome.status == 65)
    #expect(outcome.output.isEmpty)
    #expect(outcome.errorLines.count == 1)
    #expect(outcome.errors.contains("standard input"))
  }

  @Test("a compression that nobody knows", arguments: verbs)
  func compression(verb: String) throws {
    var bytes = TraceBytes(.little)
    bytes.raw([0x17, 0x08, 0x44] + Array("tracing7\0".utf8) + [0, 8])
    bytes.u32(4096)
    bytes.cString("lzma")
    bytes.cString("5")
    bytes.u64(100)
    let file = try UnnamedFile(bytes.bytes)
    try expectFailure([verb, file.path], status: 65, saying: [file.path, "lzma", "trace-cmd convert"])
  }

  private func expectFailure(_ arguments: [String], status: Int32, saying words: [String]) throws {
    let outcome = try Tool.run(arguments)
    #expect(outcome.status == status)
    #expect(outcome.output.isEmpty)
    #expect(outcome.errorLines.count == 1, "\(outcome.errors)")
    #expect(outcome.errors.hasPrefix("pkvm-replay: ") && outcome.errors.hasSuffix("\n"))
    for word in words { #expect(outcome.errors.contains(word), "\(outcome.errors)") }
  }
}
