import Foundation
import Testing
import UnnamedFiles

/// What the program shows on a terminal, and does not show anywhere else.
@Suite("On a terminal")
struct TerminalTests {
  /// Runs a line of bash on a terminal of `columns`, in which `$tool` is the executable and `$1` and so on are `arguments`. What it
  /// writes to the terminal comes back as its output.
  private static func terminal(
    _ columns: Int, _ line: String, _ arguments: [String] = [Tool.smallRecording],
    environment: String = "LC_ALL=C.UTF-8 TERM=xterm"
  ) throws -> Tool.Outcome {
    // `script` makes the terminal; its shell gets the line through the environment, where nothing has to be quoted.
    try Tool.shell(
      #"""
      # A shell that looks at the terminal after each command would set COLUMNS.
      export tool line="\#(line.replacing("\"", with: "\\\"").replacing("$", with: "\\$"))"
      export one="${1-}" two="${2-}" SHELL=/bin/bash
      unset COLUMNS NO_COLOR LC_ALL LC_CTYPE LANG
      export \#(environment)
      script -qec 'shopt -u checkwinsize; stty cols \#(columns) rows 50; set -- "$one" "$two"; eval "$line"' /dev/null </dev/null | tr -d '\r'
      """#, arguments)
  }

  /// Lines that are wider than a terminal though they could be broken: neither a path, nor a command to copy.
  private static func tooWide(_ output: String, _ columns: Int) -> [Substring] {
    output.replacing(/\u{1b}\[[0-9;]*m/, with: "").split(separator: "\n").filter {
      $0.count > columns && $0.contains(" ") && !$0.contains("/traces/")
    }
  }

  static let commands = [
    #""$tool" info "$1""#, #""$tool" replay "$1" --heatmap --costs assumed --contention --longest 20"#,
    #""$tool" compare "$1" --profile 6.14 --profile 7.3 --all"#, #""$tool" compare "$1" "$1" --all"#,
    #""$tool" capacity --vms 100 --memory 4GiB --profile 6.14 "$1""#, #""$tool" calibrate "$1""#,
    #""$tool" rules"#, #""$tool" profiles"#, #""$tool" profiles 7.3-pkvm"#,
  ]

  @Test("Every page fits", arguments: [60, 80, 120], commands)
  func widths(columns: Int, command: String) throws {
    let outcome = try Self.terminal(columns, command, [Tool.recording])
    #expect(outcome.output.split(separator: "\n").count > 10, "\(outcome.output)")
    for line in Self.tooWide(outcome.output, columns) { Issue.record("\(line.count) columns: \(line)") }
  }

  @Test("What is left out is told, and COLUMNS says how wide the terminal is")
  func leftOut() throws {
    let replay = #""$tool" replay "$1""#
    let recording = [Tool.recording]
    #expect(try Self.terminal(60, replay, recording).output.contains("left out, for want of columns: "))
    #expect(try !Self.terminal(150, replay, recording).output.contains("left out"))
    let stated = try Self.terminal(150, replay, recording, environment: "COLUMNS=60").output
    #expect(Self.tooWide(stated, 60).isEmpty && stated.contains("left out, for want of columns: "))
  }

  @Test("On a narrow terminal the rows of the lock can be told apart: how it was held is kept longest")
  func lockRows() throws {
    let output = try Self.terminal(60, #""$tool" replay "$1""#, [Tool.guestBoot]).output
    let table = try #require(output.split(separator: "time under mmu_lock").last)
    let rows = table.split(separator: "\n").prefix { !$0.contains("left out") }
    let waits = rows.filter { $0.contains("  waits  ") }
    #expect(rows.contains { $0.contains("mode") } && waits.count == 2, "\(table.prefix(1000))")
    #expect(waits.contains { $0.contains(" read ") } && waits.contains { $0.contains(" write ") })
  }

  @Test("Neither width, nor COLUMNS, nor locale, nor options for terminals change what goes to a file")
  func file() throws {
    let plain = try Tool.run(["replay", Tool.recording])
    for environment in ["COLUMNS=60 TERM=xterm", "NO_COLOR=1", "LC_ALL=C.UTF-8 TERM=dumb"] {
      let outcome = try Self.terminal(
        60, #""$tool" replay "$1" > "$2"; cat "$2"; rm "$2""#,
        [Tool.recording, FileManager.default.temporaryDirectory.appending(path: UUID().uuidString).path()],
        environment: environment)
      #expect(outcome.output == plain.output, "\(environment)")
    }
    #expect(!plain.output.contains("next: ") && !plain.output.contains("\u{1b}"))
  }

  @Test("Colour is for a terminal that wants it, and a file gets it when asked")
  func colour() throws {
    func isColoured(_ options: String, _ environment: String = "TERM=xterm") throws -> Bool {
      try Self.terminal(80, #""$tool" rules \#(options)"#, environment: environment).output.contains(
        "\u{1b}[")
    }
    #expect(try isColoured("") && isColoured("--color always", "TERM=dumb NO_COLOR=1"))
    #expect(try !isColoured("", "TERM=dumb") && !isColoured("", "NO_COLOR=1") && !isColoured("--color never"))
    #expect(try Tool.run(["rules", "--color", "always"]).output.contains("\u{1b}[1mrule\u{1b}[0m"))
    #expect(try !Tool.run(["rules"]).output.contains("\u{1b}"))
    let wrong = try Tool.run(["rules", "--color", "blue"])
    #expect(wrong.status == 64 && wrong.errors.contains("auto") && wrong.errors.contains("always"))
  }

  @Test("A page on a terminal says how to go on; with what it says one can go on")
  func next() throws {
    let outcome = try Self.terminal(80, #""$tool" info "$1""#)
    let command = try #require(outcome.output.firstMatch(of: /\n  pkvm-replay (replay .*)\n/)).1
    #expect(try Self.terminal(80, "\"$tool\" \(command)").output.contains("next: "))
  }

  @Test("Bars are of block characters where the locale has them, else of ASCII")
  func bars() throws {
    let replay = #""$tool" replay "$1""#
    let blocks = try Self.terminal(120, replay, [Tool.recording]).output
    let ascii = try Self.terminal(120, replay, [Tool.recording], environment: "LC_ALL=C TERM=xterm").output
    #expect(blocks.contains("█") && blocks.contains("━"))
    #expect(ascii.contains("####") && ascii.utf8.allSatisfy { $0 < 0x80 })
  }

  @Test("--heatmap draws the memory of each VM, also for a pipe, and needs the page")
  func heatmap() throws {
    let outcome = try Tool.run(["replay", Tool.recording, "--heatmap"])
    let rows = outcome.output.split(separator: "\n").filter { $0.contains(/0x[0-9a-f]+ [|│]/) }
    #expect(outcome.status == 0 && rows.count > 1 && rows.count <= 40)
    #expect(rows.contains { $0.hasPrefix("  slot") } && rows.contains { $0.contains(/[1-9]/) })
    #expect(outcome.output.contains("a column") && outcome.output.contains("a row"))
    let jobs = try Tool.run(["replay", Tool.recording, "--heatmap", "--jobs", "1"])
    #expect(jobs.output == outcome.output)
    for file in ["--json", "--html", "--ops"] {
      let wrong = try Tool.run(["replay", Tool.recording, "--heatmap", file, "-"])
      #expect(wrong.status == 64 && wrong.errors.contains("--heatmap"), "\(file)")
    }
  }

  @Test("Who asks for maps has the page, also where the output is asked for in files and quietly")
  func quietHeatmap() throws {
    let file = FileManager.default.temporaryDirectory.appending(path: "quiet-\(UUID().uuidString)").path()
    defer { try? FileManager.default.removeItem(atPath: file) }
    let plain = try Tool.run(["replay", Tool.smallRecording, "--json", file, "-q"])
    #expect(plain.output.isEmpty)
    let drawn = try Tool.run(["replay", Tool.smallRecording, "--json", file, "-q", "--heatmap"])
    #expect(drawn.output.contains("guest memory of VM 0 by address and time") && drawn.errors.isEmpty)
  }

  /// A made-up recording whose replay takes some time.
  private static func longRecording(_ body: (String) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "long-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = folder.appending(path: "long.dat").path()
    let made = try Tool.run(["synth", path, "--events", "800k", "--faults-only", "--memory", "4GiB"])
    try #require(made.status == 0, "\(made.errors)")
    try body(path)
  }

  @Test("Progress is shown on standard error that is a terminal, unless that is dumb, or quiet is asked for")
  func progress() throws {
    try Self.longRecording { path in
      // With --verbose it does not wait for a second to pass, which no machine has to need.
      let shown = try Self.terminal(80, #""$tool" replay -v "$1" > /dev/null"#, [path]).output
      #expect(shown.contains(" % of ") && shown.contains("events/s") && shown.contains(" s left"), "\(shown)")
      for (line, environment) in [
        (#""$tool" replay "$1" 2> /dev/null"#, "TERM=xterm"), (#""$tool" replay -q "$1""#, "TERM=xterm"),
        (#""$tool" replay "$1""#, "TERM=dumb"),
      ] {
        #expect(
          try !Self.terminal(80, line, [path], environment: environment).output.contains("events/s"),
          "\(line)")
      }
    }
    let short = try Self.terminal(80, #""$tool" info "$1" > /dev/null"#)
    #expect(short.output.isEmpty)
  }

  @Test("Progress goes on where something is written to a file in between")
  func progressBesideFiles() throws {
    try Self.longRecording { path in
      let folder = path + ".csv"
      // The same recording twice, by two names: each has a pass of its own.
      let line = #"ln -sf "$1" "$1.again.dat"; "$tool" replay -v "$1" "$1.again.dat" --csv "$2" > /dev/null"#
      let shown = try Self.terminal(120, line, [path, folder]).output
      let told = shown.matches(of: /\/([a-z.]+): (pass 2, )?\d+ % of/).map { String($0.1) }
      #expect(Set(told).count == 2, "\(told)")
    }
  }

  @Test("--quiet leaves errors, and the page where nothing else is asked for")
  func quiet() throws {
    let lossy = Tool.root.appendingPathComponent("traces/inputs/perf/lost.data").path
    let usual = try Tool.run(["events", lossy, "--where", "cpu == 999", "--allow-loss"])
    let quiet = try Tool.run(["events", lossy, "--where", "cpu == 999", "--allow-loss", "-q"])
    #expect(usual.errors.contains(" match") && quiet.errors.isEmpty && quiet.status == usual.status)
    let failed = try Tool.run(["info", lossy, "--quiet"])
    #expect(failed.status == 2 && failed.errorLines.count == 1 && !failed.output.isEmpty)
    let report = FileManager.default.temporaryDirectory.appending(path: "\(UUID().uuidString).json").path()
    defer { try? FileManager.default.removeItem(atPath: report) }
    let files = try Tool.run(["replay", Tool.smallRecording, "-q", "--json", report])
    #expect(files.status == 0 && files.output.isEmpty && files.errors.isEmpty)
    #expect(try String(contentsOfFile: report, encoding: .utf8).contains("\"vms\""))
    #expect(try !Tool.run(["replay", Tool.smallRecording, "-q"]).output.isEmpty)
  }

  @Test("--verbose tells the phases and how long they took")
  func verbose() throws {
    let replay = try Tool.run(["replay", Tool.smallRecording, "-v"])
    let phases = replay.errorLines.compactMap { $0.firstMatch(of: /^pkvm-replay: (\w+).*: \d+\.\d{3} s$/)?.1 }
    #expect(phases == ["open", "survey", "replay", "report"], "\(replay.errors)")
    #expect(try Tool.run(["replay", Tool.smallRecording]).output == replay.output)
    let both = try Tool.run(["info", Tool.smallRecording, "-v", "-q"])
    #expect(both.status == 64 && both.errorLines.count == 1)
  }

  @Test("rules takes names, and knows which there are")
  func rules() throws {
    let one = try Tool.run(["rules", "D6"])
    #expect(one.status == 0 && one.output.contains("D6") && !one.output.contains("D7"))
    let wrong = try Tool.run(["rules", "D999"])
    #expect(wrong.status == 64 && wrong.errorLines.count == 1 && wrong.errors.contains("D999"))
  }
}
