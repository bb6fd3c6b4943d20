import ArgumentParser
import KVMTrace
import Reporting
import TraceExport

/// `convert`: a recording of any format as a trace.dat.
struct ConvertCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "convert",
    abstract: "Writes a recording of any format as a trace.dat of version 7.",
    discussion: """
      trace-cmd and KernelShark read the copy. All events are in it that can be read, in the order and with the stamps that they have \
      here (those of a text that have one stamp on several CPUs get a nanosecond more each, for a trace.dat has no other order of them); \
      where events are missing, the copy says so as the kernel does. Damaged places are left out; the copy says what is in doubt for \
      them, so that a replay of it is certain of no more than one of the recording.

      --anonymize makes a copy to hand on: what was equal stays equal, so that it replays alike. Addresses of guests, and of their memory \
      in the VMM, stay.

      Exit status: 0 done; 2 the recording is damaged or lost events, unless --allow-loss: the copy is written all the same; 64 usage; \
      65 not a trace; 66 no such input; 74 read or write error.

      Examples:
        pkvm-replay convert trace.perfetto-trace copy.dat
        pkvm-replay convert --anonymize perf.data to-hand-on.dat
      """)

  @Argument(
    help: ArgumentHelp("The recording, - for standard input.", valueName: "in"), completion: .file())
  var input: String

  @Argument(
    help: ArgumentHelp("The file to write, - for standard output.", valueName: "out"), completion: .file())
  var output: String

  @OptionGroup var options: CopyOptions
  @OptionGroup var spool: SpoolOptions

  @OptionGroup var terminal: TerminalOptions

  @Flag(help: "Exit with 0 even if events were lost or the file is damaged.")
  var allowLoss = false

  func run() throws {
    terminal.takeEffect()
    var outputs = try OutputPlan(inputs: [input])
    let target = try outputs.recordingTarget(output, overwrite: options.overwrite)
    let trace = try Diagnostics.open(input, spool)
    var statistics = EventStatistics()
    try options.write(trace, to: target) { copy in
      var events = trace.events(.all)
      while let run = events.nextRun() {
        if let loss = copy.loss(before: run) { try copy.append(loss, ofBuffer: run.bufferIndex) }
        for position in 0..<run.count {
          try copy.append(run[position], run.payload(position), ofBuffer: run.bufferIndex)
        }
      }
      statistics = events.statistics
      copy.takeCounters()
      try copy.end(statistics)
    }
    try Losses.check(TraceInfo(trace, statistics), statistics, of: input, allowLoss: allowLoss)
  }
}
