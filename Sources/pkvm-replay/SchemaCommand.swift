import ArgumentParser
import KVMTypes
import Reporting

/// `schema`: what the JSON of the other verbs looks like, for programs that read it.
struct SchemaCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "schema",
    abstract: "Prints the JSON Schema of what the other verbs write or read as JSON.",
    discussion: """
      The schemas are of draft 2020-12, each complete in itself: what several have in common has the same name and text \
      under $defs in each. They say of every field what it means, its unit, and whether it may be missing; an object has no \
      other fields. Fields are added in later versions, so a reader of those leaves out what it does not know. The pages Report \
      and Files have the same in prose.

      Examples:
        pkvm-replay schema
        pkvm-replay schema replay >replay.schema.json
      """)

  @Argument(
    help: ArgumentHelp("The schema; all are listed if not given.", valueName: "name"),
    completion: .list(JSONSchema.all.map(\.name)))
  var name: String?

  @OptionGroup var terminal: TerminalOptions

  func run() throws {
    terminal.takeEffect()
    guard let name else { return try Output.write(JSONSchema.list(in: terminal.form), to: .standardOutput) }
    guard let schema = JSONSchema.all.first(where: { $0.name == name }) else {
      let names = JSONSchema.all.map(\.name)
      let near = NearNames.of(name, among: names)
      throw ValidationError(
        "there is no schema '\(name)'"
          + (near.isEmpty
            ? "; there are \(names.joined(separator: ", "))"
            : "; did you mean \(near.joined(separator: " or "))?"))
    }
    try Output.write(schema.text, to: .standardOutput)
  }
}
