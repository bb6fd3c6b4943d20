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

      Examples:
        pkvm-replay info trace.dat
        pkvm-replay info --json perf.data
        pkvm-replay info --memslots trace.dat >slots.json
      """)

  @Argument(help: "A recording of any format, or - for standard input.", completion: .file())
  var input: String

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var pageSize: PageSizeOption

  @Flag(
    help: """
      Print the memslots instead, as a file for replay --memslots: those that probes recorded; inferred ones where none \
      did.
      """)
  var memslots = false

  @Flag(help: "With --memslots: infer them from faults and notifiers even if probes recorded them.")
  var inferMemslots = false

  @OptionGroup var spool: SpoolOptions

  @OptionGroup var terminal: TerminalOptions

  @Flag(help: "Exit with 0 even if events were lost or the file is damaged.")
  var allowLoss = false

  mutating func validate() throws {
    if inferMemslots, !memslots { throw ValidationError("--infer-memslots goes with --memslots") }
    if json, memslots { throw ValidationError("--memslots prints JSON of its own, leave out --json") }
  }

  func run() throws {
    terminal.takeEffect()
    var outputs = try OutputPlan(inputs: [input])
    let target = try outputs.target("-")
    let trace = try Diagnostics.open(input, spool)
    Phases.begin("read \(input)")
    let host = HostPageSize(of: trace, stated: pageSize.size)
    var survey =
      memslots ? MemslotSurvey(pageSize: host.pageSize, infers: inferMemslots) : nil
    var census = GuestCensus(pageSize: host.pageSize)
    var markers = MarkerCensus()
    var events = trace.events(.replay(probes: false))
    while let run = events.nextRun() {
      census.consume(run)
      markers.consume(run)
      survey?.consume(run)
    }
    Phases.begin("report")
    var info = TraceInfo(trace, events.statistics, host, census, markers: markers)
    if markers.slice != nil { info.window = try TraceTime.window(of: trace, from: nil, to: nil) }
    var history = survey?.history
    history?.origin = MemslotHistory.Origin(trace.path, events.statistics)
    let text =
      history.map { MemslotFile.json($0, by: .current) }
      ?? (json ? JSON.signed(info) : info.text(in: terminal.form))
    try Output.write(text, to: target)
    Limits.detail(events.statistics, of: input)
    // Where something is missing, that is why.
    if events.statistics.total == 0, !info.isIncomplete || allowLoss {
      Diagnostics.note("\(input): there are no events in it")
    }
    for note in trace.notes { Diagnostics.note("\(input): \(note)") }
    try Losses.check(info, events.statistics, of: input, allowLoss: allowLoss)
  }
}
