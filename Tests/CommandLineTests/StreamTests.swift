import Testing

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

  @Test("an output that is closed", arguments: ["info", "events"])
  func noOutput(verb: String) throws {
    let outcome = try Tool.shell("$tool \(verb) \"$1\" >&-", [Tool.recording])
    #expect(outcome.status == 74)
    #expect(outcome.errorLines.count == 1)
  }
}
