import Foundation
import Testing

/// Pages of text fit a terminal of 100 columns.
@Suite("Width of text")
struct PageWidthTests {
  /// A verb with its arguments. `RECORDING` stands for the recording.
  static let commands: [[String]] = [
    ["info", "RECORDING"], ["replay", "RECORDING"],
    ["replay", "RECORDING", "--costs", "assumed", "--contention", "--longest", "20"],
    ["replay", "RECORDING", "--profile", "6.14"], ["calibrate", "RECORDING"],
    ["compare", "RECORDING", "--profile", "6.14", "--profile", "7.3", "--all"],
    ["compare", "RECORDING", "RECORDING", "--all"],
    ["capacity", "--vms", "100", "--memory", "4GiB", "--profile", "6.14", "RECORDING"],
  ]

  static let recordings = ["pkvm-nvhe-7.3.4-page-table-thp", "pkvm-nvhe-7.3.4-guest-boot"]

  private func check(_ arguments: [String]) throws {
    let outcome = try Tool.run(arguments)
    #expect(!outcome.output.isEmpty, "\(arguments)")
    // A path is never broken.
    for line in outcome.output.split(separator: "\n")
    where line.count > 100 && line.contains(" ") && !line.contains("/traces/") {
      Issue.record("\(arguments): \(line.count) columns: \(line)")
    }
  }

  @Test("Every line of every verb on recordings", arguments: recordings, commands)
  func recording(name: String, command: [String]) throws {
    let path = Tool.root.appendingPathComponent("traces/\(name).dat").path
    try check(command.map { $0 == "RECORDING" ? path : $0 })
  }

  @Test("A paragraph is broken where the page ends, and nowhere else")
  func paragraphs() throws {
    for arguments in [
      ["compare", Tool.recording, Tool.smallRecording],
      ["compare", Tool.recording, "--profile", "6.14", "--profile", "7.3"],
      ["compare", "--before", Tool.recording, Tool.smallRecording, "--after", Tool.recording],
    ] {
      let lines = try Tool.run(arguments).output.split(separator: "\n", omittingEmptySubsequences: false)
      var broken = 0
      // Prose begins with its first word, and goes on indented.
      for (line, next) in zip(lines, lines.dropFirst()) where line.first != " " && next.hasPrefix("  ") {
        guard line.contains(": ") || line.contains(". "), let word = next.split(separator: " ").first else {
          continue
        }
        broken += 1
        #expect(line.count + 1 + word.count > 100, "\(line)")
      }
      #expect(broken > 0, "\(arguments)")
      #expect(!lines.contains { $0.hasPrefix("memory was huge") || $0.hasPrefix("figure from run") })
    }
  }

  @Test(
    "Several recordings, rules and profiles", arguments: [["rules"], ["profiles"], ["profiles", "7.3-pkvm"]])
  func others(command: [String]) throws { try check(command) }
}
