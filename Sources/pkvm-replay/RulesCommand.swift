import ArgumentParser
import Reporting

/// `rules`: what a trace must satisfy, and what accounts for one that does not.
struct RulesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rules",
    abstract: "Lists the rules that every fault is held against, and the exceptions from them.",
    discussion: """
      `replay` reports events that break a rule as divergences: explained where an exception accounts for them, unknown \
      where the state that the rule speaks of is not known, unexplained otherwise. Of rules that are named all is printed, with \
      the exceptions that may account for an event that breaks them.

      Examples:
        pkvm-replay rules
        pkvm-replay rules D6
      """)

  @Argument(
    help: "The rules and exceptions to list, such as D6; all of them if none is given.",
    completion: .custom { _, _, _ in RuleList().names })
  var names: [String] = []

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var terminal: TerminalOptions

  func run() throws {
    terminal.takeEffect()
    if let unknown = names.first(where: { RuleList([$0]).isEmpty }) {
      throw ValidationError("\(unknown): no such rule or exception; rules lists them")
    }
    let list = RuleList(names)
    try Output.write(json ? JSON.signed(list) : list.text(in: terminal.form), to: .standardOutput)
  }
}
