import ArgumentParser
import CMemoryHints
import Glibc
import Reporting
import Stage2Replay

@main
struct PKVMReplay: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pkvm-replay",
    abstract: "Replays recorded KVM/arm64 stage-2 events through models of the pKVM and the traditional MMU.",
    discussion: """
      A recording is a trace.dat of trace-cmd, a trace of Perfetto, a perf.data, or the text of tracefs, trace-cmd report or perf \
      script, compressed or not: what it is its content tells. What recorded events say of the MMU is `derived`, a choice among \
      several that they allow `assumed`, what they do not say `unknown`. Several recordings are replayed into one report.

      Examples:
        pkvm-replay info trace.dat
        pkvm-replay replay trace.dat
        pkvm-replay compare trace.dat --profile auto --profile 6.14
        pkvm-replay capacity --vms 100 --memory 4GiB trace.dat
      """,
    version: ToolIdentity.current.line,
    subcommands: [
      InfoCommand.self, EventsCommand.self, ReplayCommand.self, CompareCommand.self, PatchCommand.self,
      CapacityCommand.self, CalibrateCommand.self, RulesCommand.self, ProfilesCommand.self,
      SchemaCommand.self,
      ConvertCommand.self, SliceCommand.self, SynthCommand.self, FollowCallsCommand.self,
      CheckBackendCommand.self,
    ]
  )

  /// Runs the command that the arguments name. A mistake in them is one line, like every other error: the parser
  /// by itself would add the usage.
  static func main() {
    cmemory_keep_freed()
    // A file that may not grow further (ulimit -f) is then an error of the write that failed, with a line of its own.
    signal(SIGXFSZ, SIG_IGN)
    // Where whoever started this one ignores it, nobody would ever learn how a process ended that this one starts.
    signal(SIGCHLD, SIG_DFL)
    do {
      try checkArguments()
      var command = try parseAsRoot()
      try command.run()
      finish()
    } catch let reason as UnreplayableTrace {
      finish()
      Diagnostics.error(reason.description)
      exit(withError: ExitStatus.notATrace)
    } catch {
      finish()
      if exitCode(for: error) == .success { answer(fullMessage(for: error)) }
      guard exitCode(for: error) == .validationFailure, !(error is ExitCode) else { exit(withError: error) }
      Diagnostics.error(usageLine(for: error))
      exit(withError: ExitCode.validationFailure)
    }
  }

  /// Refuses arguments that are no text: as such they could not be told from others, nor named in a report.
  private static func checkArguments() throws {
    for position in 1..<max(1, Int(CommandLine.argc)) {
      guard let argument = unsafe CommandLine.unsafeArgv[position],
        unsafe String(validatingCString: argument) == nil
      else { continue }
      let name = unsafe String(cString: argument)
      throw Diagnostics.failure(
        "argument \(position), \(name), is not UTF-8; a symbolic link of another name, or - for standard input, takes the file",
        .usage)
    }
  }

  /// Prints what was asked of the program itself, such as its help, and ends it. The parser by itself would not notice that nobody can
  /// read that.
  private static func answer(_ text: String) -> Never {
    do {
      if !text.isEmpty { try Output.write("\(text)\n", to: .standardOutput) }
      exit(withError: ExitCode.success)
    } catch {
      exit(withError: error)
    }
  }

  /// Nothing more is read.
  private static func finish() {
    Progress.shared.end()
    Phases.end()
  }

  /// What is wrong with the arguments, and how to go on.
  private static func usageLine(for error: any Error) -> String {
    let verbs = configuration.subcommands.compactMap { $0.configuration.commandName }
    if let first = CommandLine.arguments.dropFirst().first,
      let line = VerbSuggestion.line(for: first, verbs: verbs)
    {
      return line
    }
    let text = message(for: error)
    return "\(text.hasSuffix(".") ? String(text.dropLast()) : text); --help shows the usage"
  }
}
