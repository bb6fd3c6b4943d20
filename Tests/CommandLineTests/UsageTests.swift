import Testing

/// What the command line makes of its arguments.
@Suite("Usage")
struct UsageTests {
  /// The verbs that `--help` lists.
  static let verbs: [String] = {
    guard let help = try? Tool.run(["--help"]).output else { return [] }
    let lines = help.split(separator: "\n").drop { $0 != "SUBCOMMANDS:" }.dropFirst()
    return lines.compactMap { line in
      // Two blanks and a name: lines further in continue the text of a verb.
      guard line.hasPrefix("  "), !line.hasPrefix("   "), !line.contains("See '") else { return nil }
      return line.split(separator: " ").first.map(String.init)
    }
  }()

  @Test("without arguments it shows the help")
  func noArguments() throws {
    let outcome = try Tool.run([])
    #expect(outcome.status == 0)
    #expect(outcome.errors.isEmpty)
    #expect(outcome.output.contains("USAGE: pkvm-replay"))
  }

  @Test("the help names the verbs")
  func help() throws {
    #expect(Self.verbs.contains("info") && Self.verbs.contains("events"))
  }

  @Test("every verb has a help", arguments: verbs)
  func helpOfVerb(verb: String) throws {
    let outcome = try Tool.run([verb, "--help"])
    #expect(outcome.status == 0)
    #expect(outcome.errors.isEmpty)
    #expect(outcome.output.contains("OVERVIEW:") && outcome.output.contains("USAGE: pkvm-replay \(verb)"))
  }

  @Test("every verb refuses an option that it does not have", arguments: verbs)
  func optionOfVerb(verb: String) throws {
    // What a verb cannot do without is missed first.
    let needed = [
      "compare": ["--profile", "6.14", "--profile", "7.3"], "capacity": ["--vms", "1", "--memory", "1GiB"],
    ]
    try expectUsageError(
      [verb, Tool.recording] + (needed[verb] ?? []) + ["--no-such-option"], naming: "--no-such-option")
  }

  @Test("a wrong verb")
  func verb() throws { try expectUsageError(["repaly"], naming: "repaly") }

  @Test("a wrong option")
  func option() throws { try expectUsageError(["--no-such-option"], naming: "--no-such-option") }

  @Test("an argument that is missing", arguments: ["info", "events"])
  func missingArgument(verb: String) throws { try expectUsageError([verb], naming: "input") }

  @Test(
    "a value that cannot be", arguments: [["--format", "xml"], ["--from", "yesterday"], ["--cpu", "-1"]])
  func value(option: [String]) throws {
    try expectUsageError(["events", Tool.recording] + option, naming: option[0])
  }

  @Test("an event that the trace does not have")
  func unknownEvent() throws {
    try expectUsageError(["events", Tool.recording, "--event", "kvm_etnry"], naming: "kvm_etnry")
  }

  private func expectUsageError(_ arguments: [String], naming word: String) throws {
    let outcome = try Tool.run(arguments)
    #expect(outcome.status == 64)
    #expect(outcome.output.isEmpty)
    #expect(outcome.errorLines.count == 1, "\(outcome.errors)")
    #expect(outcome.errors.hasPrefix("pkvm-replay: ") && outcome.errors.contains(word), "\(outcome.errors)")
  }
}
