import ArgumentParser

@main
struct PKVMReplay: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pkvm-replay",
    abstract: "Replays recorded KVM/arm64 stage-2 events through models of the pKVM and the traditional MMU.",
    subcommands: [
      InfoCommand.self, EventsCommand.self, ReplayCommand.self, CompareCommand.self, CapacityCommand.self,
      CalibrateCommand.self, RulesCommand.self, ProfilesCommand.self,
      SynthCommand.self,
    ]
  )

  /// Runs the command that the arguments name. A mistake in them is one line, like every other error: the parser
  /// by itself would add the usage.
  static func main() {
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch {
      guard exitCode(for: error) == .validationFailure, !(error is ExitCode) else { exit(withError: error) }
      Diagnostics.note("\(message(for: error)); --help shows the usage")
      exit(withError: ExitCode.validationFailure)
    }
  }
}
