import ArgumentParser
import Reporting
import Stage2Model

/// `profiles`: the kernels and machines that can be modelled.
struct ProfilesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "profiles",
    abstract: "Lists the kernels that have a name, or prints one profile with all its fields.",
    discussion: """
      A profile says which kernel is modelled: auto, the traced one; a release, such as 7.3 or 7.3.4+deb13-cloud-arm64, with \
      which the host is in protected mode if the traced one is; or one with -pkvm or -traditional. Before 6.14, pKVM left the \
      tables of guests that are not protected to the host, on the traditional path. What the machine is, the trace tells.

      A file derives from any of these and changes fields, also those of the machine, such as \
      {"base": "7.3-pkvm", "name": "read lock", "faultLock": "read"}. With --json, a profile is printed as such a file, in \
      which "trace" stands for what the trace tells.

      Examples:
        pkvm-replay profiles
        pkvm-replay profiles 7.3-pkvm
        pkvm-replay profiles 7.3-pkvm --json >profile.json
      """)

  @Argument(help: "A kernel's name, auto, or a JSON file; the names are listed if not given.")
  var profile: ProfileArgument?

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var terminal: TerminalOptions

  func run() throws {
    terminal.takeEffect()
    let text: String
    if let profile {
      let request = try profile.request()
      text = json ? ProfileFile.json(request, by: .current) : ProfileList.text(request, in: terminal.form)
    } else if json {
      text = JSON.text(Profile.builtIns.map(\.name))
    } else {
      text = ProfileList.text(Profile.builtIns, in: terminal.form)
    }
    try Output.write(text, to: .standardOutput)
  }
}
