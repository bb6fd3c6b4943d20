import ArgumentParser
import Reporting

/// `rules`: what a trace must satisfy, and what accounts for one that does not.
struct RulesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rules",
    abstract: "Lists the rules that every fault is held against, and the exceptions from them.",
    discussion: """
      `replay` reports events that break a rule as divergences: explained where an exception accounts for them, unknown \
      where the state that the rule speaks of is not known, unexplained otherwise.
      """)

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    try Output.write(json ? JSON.signed(RuleList()) : RuleList().text, to: .standardOutput)
  }
}
