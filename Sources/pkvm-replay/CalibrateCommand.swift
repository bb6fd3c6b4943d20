import ArgumentParser
import CostFit
import KVMTrace
import Reporting
import Stage2Model
import Stage2Replay

/// `calibrate`: what the work of stage-2 operations took on a recorded host.
struct CalibrateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "calibrate",
    abstract:
      "Fits the lock cost model to recorded durations, and prints its error on data not used for the fit.",
    discussion: """
      The recordings need the probes on the entry and return of the stage-2 functions: the page Recording has them. The costs are those of the recorded \
      host: of an emulator, if it was emulated. They are fitted to the first half of each operation's calls and checked on \
      the second; and, once more, fitted to half of the calls and checked on those in between, where what the host changed in \
      the course of the recording is on both sides. Calls that stalled, more than ten times as long as expected, are counted \
      by themselves.

      Exit status: 0 done; 1 no operation was recorded with its duration; 2 a trace is damaged or lost events, unless \
      --allow-loss; 64 usage; 65 not a trace; 66 no such input; 74 read or write error.

      Examples:
        pkvm-replay calibrate trace.dat --output costs.json
        pkvm-replay calibrate before.dat after.dat --name workshop
      """)

  @Argument(help: "Recordings of one host.", completion: .file())
  var inputs: [String]

  @Option(help: "What to call the costs.")
  var name: String = "calibrated"

  @Option(
    name: .customLong("output"),
    help: ArgumentHelp(
      "Write the costs as JSON to this file, for replay --costs; - is standard output.", valueName: "file"),
    completion: .file())
  var outputPath: String?

  @OptionGroup var spool: SpoolOptions
  @OptionGroup var pageSize: PageSizeOption

  @OptionGroup var terminal: TerminalOptions

  @Flag(help: "Exit with 0 even if events were lost or a file is damaged.")
  var allowLoss = false

  func run() throws {
    terminal.takeEffect()
    var outputs = try OutputPlan(inputs: inputs)
    let modelTarget = try outputPath.map { try outputs.target($0) }
    let textTarget = try outputs.target("-")
    var results: [ReplayResult] = []
    var losses = Losses()
    for input in inputs {
      let trace = try Diagnostics.openTimed(input, spool, allowLoss: allowLoss)
      var options = ReplayOptions()
      options.measuresWork = true
      var request = ProfileRequest()
      request.pageSize = pageSize.size
      let (result, statistics) = try Replays.run(trace, profile: request, options: options)
      results.append(result)
      losses.note(trace, statistics)
    }
    let source =
      "least squares over \(inputs.joined(separator: ", ")): of these hosts, which say nothing of hardware where they were emulated"
      + losses.notes.map { "; \($0)" }.joined()
    let calibration = Calibration(name: name, source: source, results)
    guard !calibration.isEmpty else {
      Diagnostics.error(
        "\(inputs.joined(separator: ", ")): no operation was recorded with its duration; that takes probes on the entry and "
          + "the return of pkvm_pgtable_stage2_map and the like, see the page Recording")
      throw ExitCode(1)
    }
    if let modelTarget { try Output.write(JSON.signed(calibration.model), to: modelTarget) }
    if terminal.printsPage(besides: [outputPath]) {
      try Output.write(calibration.text(in: terminal.form), to: textTarget)
    }
    try losses.finish(allowLoss: allowLoss)
  }
}
