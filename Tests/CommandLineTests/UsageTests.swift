import Foundation
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

  @Test("the values of options are named by what they are")
  func placeholders() throws {
    for (verb, names) in [
      (
        "replay",
        ["--from <seconds>", "--csv <directory>", "--json <file>", "--ops <file>", "--scale <factor>"]
      ),
      ("events", ["--from <seconds>", "--to <seconds>", "--spool-limit <size>"]),
      ("info", ["--page-size <size>"]), ("compare", ["--json <file>"]), ("capacity", ["--json <file>"]),
    ] {
      let help = try Tool.run([verb, "--help"]).output
      for name in names { #expect(help.contains(name), "\(verb) \(name)") }
    }
  }

  /// Options that a verb lacks, each with what looks like one more input behind it.
  static let unknownBeforeInputs = [
    ["compare", Tool.recording, "--profile", "7.3", "--profile", "6.14", "--bogus", "2"],
    ["replay", Tool.recording, "--vm", "0", "--bogus", "2"],
    ["capacity", Tool.recording, "--vms", "1", "--memory", "1GiB", "--memslots", "auto", "--bogus", "2"],
  ]

  @Test(
    "An unknown option is told before what its value would be as an input", arguments: unknownBeforeInputs)
  func unknownOption(arguments: [String]) throws {
    let outcome = try Tool.run(arguments)
    #expect(outcome.status == 64 && outcome.errorLines.count == 1)
    #expect(outcome.errors.contains("Unknown option '--bogus'"), "\(outcome.errors)")
  }

  @Test("A help names the page that explains what it mentions")
  func pages() throws {
    for (verb, page) in [
      ("replay", "the page Memslots"), ("compare", "the page Memslots"), ("info", "the page Profiles"),
      ("calibrate", "the page Recording"),
    ] {
      let help = try Tool.run([verb, "--help"]).output.split(whereSeparator: \.isWhitespace)
        .joined(separator: " ")
      #expect(help.contains(page) && !help.contains("README explains"), "\(verb)")
    }
  }

  @Test("every verb refuses an option that it does not have", arguments: verbs)
  func optionOfVerb(verb: String) throws {
    // What a verb cannot do without is missed first.
    let needed = [
      "compare": ["--profile", "6.14", "--profile", "7.3"], "capacity": ["--vms", "1", "--memory", "1GiB"],
      "convert": ["out.dat"], "slice": ["out.dat"],
    ]
    try expectUsageError(
      [verb, Tool.recording] + (needed[verb] ?? []) + ["--no-such-option"], naming: "--no-such-option")
  }

  @Test("a wrong verb")
  func verb() throws { try expectUsageError(["repaly"], naming: "repaly") }

  @Test(
    "a misspelt verb is told the one that was meant",
    arguments: [
      ("repaly", "replay"), ("inf", "info"), ("event", "events"), ("Replay", "replay"),
      ("capcity", "capacity"),
    ])
  func misspelt(word: String, verb: String) throws {
    try expectUsageError([word, Tool.recording], naming: "did you mean '\(verb)'?")
  }

  @Test("a word that is no verb lists them; a file in its place is told what to do with it")
  func noVerb() throws {
    try expectUsageError(["frobnicate"], naming: "there are info, events, replay")
    try expectUsageError([Tool.recording], naming: "pkvm-replay replay \(Tool.recording)")
  }

  @Test("a misspelt option is told the one that was meant")
  func misspeltOption() throws {
    try expectUsageError(["replay", Tool.recording, "--jsno", "x"], naming: "'--json'")
  }

  @Test("--version names version and commit, and so does every JSON object that is written")
  func version() throws {
    let version = try Tool.run(["--version"])
    #expect(version.status == 0)
    let words = try #require(
      try /pkvm-replay (\d+\.\d+\.\d+) \((commit .+)\)\n/.wholeMatch(in: version.output))
    let trace = Tool.smallRecording
    for arguments in [
      ["replay", trace, "--json", "-"], ["info", trace, "--json"], ["info", trace, "--memslots"],
      ["compare", trace, trace, "--json", "-"], ["calibrate", trace, "--output", "-"], ["rules", "--json"],
      ["profiles", "7.3-pkvm", "--json"], ["capacity", "--vms", "1", "--memory", "1GiB", "--json", "-"],
    ] {
      let output = try Tool.run(arguments).output
      let object = try #require(
        try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any], "\(arguments)")
      #expect(object["tool"] as? String == "pkvm-replay", "\(arguments)")
      #expect(object["toolVersion"] as? String == String(words.1), "\(arguments)")
      let commit = (object["toolCommit"] as? String).map { "commit \($0)" } ?? "commit unknown"
      #expect(commit == String(words.2), "\(arguments)")
    }
  }

  @Test(
    "a part of the trace that there is none of",
    arguments: [
      (["--from", "9.3", "--to", "9.2"], "not before"), (["--from", "9.2", "--to", "9.2"], "not before"),
      (["--from", "99"], "behind the last event"), (["--to", "1"], "not behind the first event"),
    ])
  func noWindow(options: [String], message: String) throws {
    try expectUsageError(["replay", Tool.smallRecording] + options, naming: message)
    try expectUsageError(["events", Tool.smallRecording] + options, naming: message)
  }

  @Test("a part of the trace is told in the first line of its report, with its own counts")
  func window() throws {
    let options = ["--from", "9.2", "--to", "9.3"]
    let outcome = try Tool.run(["replay", Tool.smallRecording] + options)
    let events = try Tool.run(["events", Tool.smallRecording] + options).output.split(separator: "\n").count
    let lines = outcome.output.split(separator: "\n")
    #expect(lines[0].hasSuffix(", from 9.200000000 s to 9.300000000 s"))
    #expect(lines[1].contains(" \(events) events in this window of 7,227"), "\(lines[1])")
  }

  @Test("a wrong option")
  func option() throws { try expectUsageError(["--no-such-option"], naming: "--no-such-option") }

  @Test("an argument that is missing", arguments: ["info", "events"])
  func missingArgument(verb: String) throws { try expectUsageError([verb], naming: "input") }

  @Test(
    "a value that cannot be", arguments: [["--format", "xml"], ["--from", "yesterday"], ["--cpu", "-1"]])
  func value(option: [String]) throws {
    try expectUsageError(["events", Tool.recording] + option, naming: option[0])
  }

  @Test("an argument that is no text names the argument, and how the file can be had")
  func noText() throws {
    let outcome = try Tool.shell(#"$tool info "$(printf 'caf\351.dat')""#, [])
    #expect(outcome.status == 64 && outcome.errorLines.count == 1)
    #expect(outcome.errors.contains("argument 2, caf\u{fffd}.dat, is not UTF-8"), "\(outcome.errors)")
    let linked = try Tool.shell(
      #"""
      d=$(mktemp -d); trap 'rm -rf "$d"' EXIT; name=$(printf 'caf\351.dat')
      cp "$1" "$d/$name" && ln -s "$name" "$d/link" && "$tool" info --json "$d/link"
      """#, [Tool.recording])
    #expect(linked.status == 0, "\(linked.errors)")
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
