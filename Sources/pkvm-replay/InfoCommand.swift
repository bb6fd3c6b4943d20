import ArgumentParser
import KVMTrace
import KVMTypes
import Reporting
import Stage2Replay

/// `info`: what a trace holds.
struct InfoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "info",
    abstract: "Shows what a trace holds: the host, the events, their time span, and what was lost.",
    discussion: """
      Exit status: 0 complete; 2 damaged or with lost events, unless --allow-loss; 65 not a trace; 66 no such \
      input; 74 read or write error.
      """)

  @Argument(help: "A trace.dat of version 6 or 7, or - for standard input.")
  var input: String

  @Flag(help: "Print JSON.")
  var json = false

  @Flag(help: "Exit with 0 even if events were lost or the file is damaged.")
  var allowLoss = false

  func run() throws {
    let trace = try Diagnostics.open(input)
    var census = GuestCensus(pageSize: trace.pageSize ?? .size4K)
    var events = trace.events(.replay(probes: false))
    while let run = events.nextRun() { census.consume(run) }
    let info = TraceInfo(trace, events.statistics, census)
    var output = try Output(path: "-")
    try output.write(json ? JSON.text(info) : info.text)
    try output.finish()
    if info.isIncomplete, !allowLoss {
      Diagnostics.note("\(input): \(info.incompleteness)")
      throw ExitStatus.incomplete
    }
  }
}
