import ArgumentParser
import Reporting
import Stage2Model

/// `profiles`: the kernels and machines that can be modelled.
struct ProfilesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "profiles",
    abstract: "Lists the built-in profiles, or prints one with all its fields.",
    discussion: """
      A profile says which kernel and machine are modelled. A file derives from a built-in one and changes fields, such \
      as {"base": "7.3-pkvm", "name": "read lock", "faultLock": "read"}. With --json, a profile is printed as such a file.
      """)

  @Argument(help: "A built-in profile or a JSON file; all built-in ones are listed if not given.")
  var profile: ProfileArgument?

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    let text: String
    if let profile {
      let resolved = try profile.resolve()
      text = json ? ProfileFile.json(resolved, by: .current) : ProfileList.text(resolved)
    } else if json {
      text = JSON.text(Profile.builtIns.map(\.name))
    } else {
      text = ProfileList.text(Profile.builtIns)
    }
    try Output.write(text, to: .standardOutput)
  }
}
