import Foundation
import Glibc
import Testing
import UnnamedFiles

/// Standard input and output as parts of a pipeline.
@Suite("Pipes")
struct StreamTests {
  @Test("a trace from a pipe says what it says from a file", arguments: ["info", "events"])
  func standardInput(verb: String) throws {
    let file = try Tool.run([verb, Tool.recording])
    let pipe = try Tool.shell("cat \"$1\" | $tool \(verb) -", [Tool.recording])
    #expect(file.status == 0 && pipe.status == 0)
    #expect(pipe.errors.isEmpty)
    if verb == "events" {
      #expect(pipe.output == file.output)
    } else {
      #expect(
        pipe.output.split(separator: "\n").dropFirst() == file.output.split(separator: "\n").dropFirst())
    }
  }

  @Test("a trace on standard input that is a file")
  func redirectedInput() throws {
    let outcome = try Tool.shell("$tool info - <\"$1\"", [Tool.recording])
    #expect(outcome.status == 0)
    #expect(outcome.errors.isEmpty)
  }

  /// Verbs that read traces, with what else they need.
  static let verbs = ["info", "events", "replay", "capacity --vms 2 --memory 1GiB", "calibrate"]

  @Test("what never ends and is no trace is refused before it is copied", arguments: verbs)
  func endless(verb: String) throws {
    for input in ["/dev/zero", "/dev/urandom", "- </dev/zero", "- < <(yes)"] {
      // There is no place to which anyone could copy.
      let outcome = try Tool.shell("TMPDIR=/nowhere $tool \(verb) \(input)", [])
      #expect(outcome.status == 65, "\(input): \(outcome.errors)")
      #expect(outcome.errorLines.count == 1 && outcome.errors.contains("not a trace"))
    }
  }

  @Test("a pipe is copied up to a limit, and nothing stays behind")
  func limit() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("pkvm-replay-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(at: folder) }
    let small = try Tool.shell(
      "export TMPDIR=\"$2\"; cat \"$1\" | $tool info - --spool-limit 4KiB", [Tool.recording, folder.path])
    #expect(small.status == 74 && small.errorLines.count == 1)
    #expect(
      small.errors.contains("longer than 4096 bytes") && small.errors.contains(folder.path)
        && small.errors.contains("--spool-limit"), "\(small.errors)")
    let large = try Tool.shell(
      "export TMPDIR=\"$2\"; cat \"$1\" | $tool info - --spool-limit 100MiB", [Tool.recording, folder.path])
    #expect(large.status == 0 && large.errors.isEmpty)
    let nowhere = try Tool.shell(
      "export TMPDIR=\"$2/none\"; cat \"$1\" | $tool info -", [Tool.recording, folder.path])
    #expect(nowhere.status == 74 && nowhere.errors.contains("\(folder.path)/none"))
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
  }

  @Test("a limit that is no size")
  func noLimit() throws {
    #expect(try Tool.run(["info", "-", "--spool-limit", "much"]).status == 64)
  }

  @Test("standard input is called so, whatever is said of it")
  func name() throws {
    for (verb, input) in [
      ("info", "head -c 30000 \"$1\""), ("replay", "head -c 30000 \"$1\""), ("info", "true"),
    ] {
      let outcome = try Tool.shell("\(input) | $tool \(verb) -", [Tool.recording])
      #expect(outcome.errorLines.count == 1)
      #expect(outcome.errors.hasPrefix("pkvm-replay: standard input: "), "\(outcome.errors)")
    }
  }

  @Test("a socket is no file")
  func socket() throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("pkvm-replay-\(UUID())").path
    let descriptor = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    defer {
      close(descriptor)
      unlink(path)
    }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let size = socklen_t(MemoryLayout<sockaddr_un>.size)
    let isBound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, size) == 0 }
    }
    try #require(isBound)
    let outcome = try Tool.run(["info", path])
    #expect(outcome.status == 65 && outcome.errorLines.count == 1 && outcome.errors.contains("socket"))
  }

  @Test("a file that is cut while it is read is used up to there")
  func shrinking() throws {
    // The output that nobody takes holds the reader back until the file is cut.
    let configuration = ["synth", "--events", "60000", "--format", "v6", "--seed", "5", "--cpus", "2"]
    let file = try UnnamedFile()
    #expect(try Tool.run(configuration + [file.path]).status == 0)
    let outcome = try Tool.shell(
      """
      $tool events "$1" | { read -r line; truncate -s 400000 "$1"; echo "$line"; cat; }; echo ${PIPESTATUS[0]}
      """, [file.path])
    let lines = outcome.output.split(separator: "\n")
    #expect(lines.last == "2" && lines.count > 1000 && lines.count < 60_000, "\(lines.count)")
    #expect(outcome.errorLines.count == 1, "\(outcome.errors)")
    #expect(outcome.errors.contains("became shorter") && outcome.errors.contains("is now 400000"))
    #expect(outcome.errors.contains("(byte 400000)"))
  }

  @Test("a reader that goes away ends it without a word", arguments: ["text", "csv", "jsonl"])
  func closedOutput(format: String) throws {
    let outcome = try Tool.shell(
      "$tool events \"$1\" --format \(format) | head -n 1; echo ${PIPESTATUS[0]}", [Tool.recording])
    let lines = outcome.output.split(separator: "\n")
    #expect(lines.count == 2)
    // 128 + SIGPIPE, as of any other filter.
    #expect(lines.last == "141")
    #expect(outcome.errors.isEmpty, "\(outcome.errors)")
  }

  @Test("an output that is full", arguments: ["info", "events"])
  func fullOutput(verb: String) throws {
    let outcome = try Tool.shell("$tool \(verb) \"$1\" >/dev/full", [Tool.recording])
    #expect(outcome.status == 74)
    #expect(outcome.errorLines.count == 1)
    #expect(outcome.errors.contains("standard output") && outcome.errors.contains("No space left"))
  }

  @Test("a copy into a full output gives no advice on temporary files", arguments: ["convert", "slice"])
  func fullCopy(verb: String) throws {
    let outcome = try Tool.shell("$tool \(verb) \"$1\" - >/dev/full", [Tool.recording])
    #expect(outcome.status == 74 && outcome.errorLines.count == 1)
    #expect(outcome.errors.contains("No space left"))
    #expect(!outcome.errors.contains("TMPDIR"), "\(outcome.errors)")
    let unspooled = try Tool.shell(
      #"TMPDIR=/nonexistent "$tool" synth --events 2000000 "$(mktemp -u)""#, [])
    #expect(unspooled.status == 74 && unspooled.errors.contains("/nonexistent"), "\(unspooled.errors)")
  }

  @Test(
    "an output that is full, of what is asked of the program itself",
    arguments: ["--help", "--version", "help replay", "replay --help", "--generate-completion-script bash"])
  func fullAnswer(words: String) throws {
    let outcome = try Tool.shell("$tool \(words) >/dev/full", [])
    #expect(outcome.status == 74 && outcome.errorLines.count == 1, "\(outcome.errors)")
    #expect(outcome.errors.contains("standard output: cannot be written"))
    let whole = try Tool.shell("$tool \(words)", [])
    #expect(whole.status == 0 && whole.output.hasSuffix("\n") && whole.errors.isEmpty)
  }

  @Test("an output that is closed", arguments: ["info", "events"])
  func noOutput(verb: String) throws {
    let outcome = try Tool.shell("$tool \(verb) \"$1\" >&-", [Tool.recording])
    #expect(outcome.status == 74)
    #expect(outcome.errorLines.count == 1)
  }
}
