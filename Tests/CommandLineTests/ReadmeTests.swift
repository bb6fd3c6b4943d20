import Foundation
import Testing

/// The examples of the README and of the pages beside the code print what these show.
@Suite("README")
struct ReadmeTests {
  /// The README and every page of a catalogue.
  private static let files: [URL] = {
    let sources = Tool.root.appending(path: "Sources")
    let paths = FileManager.default.enumerator(atPath: sources.path())?.compactMap { $0 as? String } ?? []
    return [Tool.root.appending(path: "README.md")]
      + paths.filter { $0.hasSuffix(".md") }.sorted().map { sources.appending(path: $0) }
  }()

  /// With this variable in the environment the examples are written anew: `tools/bless` sets it.
  private static let isBlessing = ProcessInfo.processInfo.environment["BLESS_README"] != nil

  @Test("The examples are what the program prints")
  func examples() throws {
    let counts = try Self.files.map(Self.check)
    #expect(counts.reduce(0, +) >= 7)
  }

  /// Runs the examples of a page, and says how many there are.
  private static func check(_ file: URL) throws -> Int {
    var lines = try String(contentsOf: file, encoding: .utf8)
      .split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    let examples = ReadmeExample.examples(in: lines)
    for example in examples.reversed() {
      let outcome = try Tool.shell(
        "cd $1; pkvm-replay() { $tool \"$@\"; }; \(example.shellLine)", [Tool.root.path()])
      #expect(outcome.status == 0 && outcome.errors.isEmpty, "\(example.command): \(outcome.errors)")
      let printed = outcome.output.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map {
        String($0)
      }
      if isBlessing {
        lines.replaceSubrange(example.range, with: example.renewed(from: printed))
      } else if let missing = example.firstMissing(in: printed) {
        Issue.record(
          "\(example.command): does not print \"\(missing)\"; tools/bless writes the examples anew")
      }
    }
    if isBlessing && !examples.isEmpty {
      try lines.joined(separator: "\n").write(to: file, atomically: true, encoding: .utf8)
    }
    return examples.count
  }
}

/// A command in a block of the README, and what is shown of its output. A line of dots stands for lines that are left out.
struct ReadmeExample {
  let command: String
  /// Where the shown output stands among the lines of the README.
  let range: Range<Int>
  let shown: [String]

  /// The line of bash that has the same effect here. The demonstration is a build and its last line.
  var shellLine: String {
    guard command == "tools/demo" else { return command }
    return "$tool $(sed -n 's/^exec \"$program\" //p' tools/demo)"
  }

  static func examples(in lines: [String]) -> [ReadmeExample] {
    var examples: [ReadmeExample] = []
    var begin: (command: String, line: Int)?
    for (index, line) in lines.enumerated() {
      if let (command, first) = begin, line == "```" || line.hasPrefix("$ ") {
        // Nothing is shown of a command whose output is not the point.
        if first < index {
          examples.append(
            ReadmeExample(command: command, range: first..<index, shown: Array(lines[first..<index])))
        }
        begin = nil
      }
      if line.hasPrefix("$ pkvm-replay ") || line == "$ tools/demo" {
        begin = (String(line.dropFirst(2)), index + 1)
      }
    }
    return examples
  }

  private static func isDots(_ line: String) -> Bool { line.trimmingCharacters(in: .whitespaces) == "..." }

  /// The first line that is shown and not printed in its place; nil where all is as shown, to the end or the last dots.
  func firstMissing(in printed: [String]) -> String? {
    var rest = printed[...]
    var skips = false
    for line in shown {
      if Self.isDots(line) {
        skips = true
        continue
      }
      guard let position = skips ? rest.firstIndex(of: line) : rest.first == line ? rest.startIndex : nil
      else {
        return line
      }
      rest = rest[(position + 1)...]
      skips = false
    }
    return skips ? nil : rest.first.map { "\($0) (as the end)" }
  }

  /// As much of the output as is shown: each piece between dots has as many lines as before, and begins with the line that
  /// has most of its beginning in common with the one that was shown.
  func renewed(from printed: [String]) -> [String] {
    var result: [String] = []
    var rest = printed[...]
    for (index, piece) in shown.split(omittingEmptySubsequences: false, whereSeparator: Self.isDots)
      .enumerated()
    {
      if index > 0 {
        result.append("    ...")
        guard let first = piece.first else { continue }
        let best = rest.indices.max {
          rest[$0].commonPrefix(with: first).count < rest[$1].commonPrefix(with: first).count
        }
        rest = rest[(best ?? rest.endIndex)...]
      }
      let isWhole = !shown.contains(where: Self.isDots)
      result += isWhole ? rest : rest.prefix(piece.count)
      rest = rest.dropFirst(piece.count)
    }
    return result
  }
}

/// Examples are compared and written anew by a few rules.
@Suite("README examples")
struct ReadmeExampleTests {
  private func example(_ shown: [String]) -> ReadmeExample {
    ReadmeExample(command: "pkvm-replay info x", range: 0..<shown.count, shown: shown)
  }

  @Test("Dots stand for any lines, and nothing else does")
  func comparison() {
    let printed = ["a 1", "b 2", "c 3", "d 4"]
    #expect(example(["a 1", "b 2", "c 3", "d 4"]).firstMissing(in: printed) == nil)
    #expect(example(["a 1", "    ..."]).firstMissing(in: printed) == nil)
    #expect(example(["a 1", "    ...", "d 4"]).firstMissing(in: printed) == nil)
    #expect(example(["a 1", "b 2"]).firstMissing(in: printed) == "c 3 (as the end)")
    #expect(example(["b 2", "    ..."]).firstMissing(in: printed) == "b 2")
    #expect(example(["a 1", "    ...", "c 9", "d 4"]).firstMissing(in: printed) == "c 9")
    #expect(example(["a 1", "    ...", "d 4", "e"]).firstMissing(in: printed) == "e")
  }

  @Test("A renewed example shows as much as before, and then agrees")
  func renewal() {
    let printed = ["a 10", "b 20", "c 30", "d 40", "e 50"]
    for shown in [
      ["a 1", "    ..."], ["a 1", "    ...", "d 4", "    ..."], ["a 1", "b 2", "c 3"],
      ["    ...", "c 3", "d 4", "    ..."],
    ] {
      let renewed = example(shown).renewed(from: printed)
      #expect(example(renewed).firstMissing(in: printed) == nil, "\(renewed)")
    }
    #expect(
      example(["a 1", "    ...", "d 4", "    ..."]).renewed(from: printed) == [
        "a 10", "    ...", "d 40", "    ...",
      ])
  }

  @Test("Examples are the commands in the blocks of a page")
  func parsing() {
    let lines = [
      "```", "$ pkvm-replay info x", "one", "", "```", "$ ls", "```", "$ tools/demo", "two", "```",
    ]
    let found = ReadmeExample.examples(in: lines)
    #expect(found.map(\.command) == ["pkvm-replay info x", "tools/demo"])
    #expect(found.map(\.shown) == [["one", ""], ["two"]])
  }
}
