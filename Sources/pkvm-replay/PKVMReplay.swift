import ArgumentParser

@main
struct PKVMReplay: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pkvm-replay",
    abstract: "Replays recorded KVM/arm64 stage-2 events through models of the pKVM and the traditional MMU.",
    subcommands: [InfoCommand.self, EventsCommand.self, ReplayCommand.self, SynthCommand.self]
  )
}
