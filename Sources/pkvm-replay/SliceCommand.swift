import ArgumentParser
import KVMTrace
import KVMTypes
import Reporting
import Stage2Replay
import TraceExport

/// `slice`: a part of a recording, with what its replay needs.
struct SliceCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "slice",
    abstract: "Cuts a part out of a recording, by time, VM, thread, CPU or event, into a trace.dat.",
    discussion: """
      What was chosen is told as for `events`. Of a part that does not begin with the recording, the events of before are kept that tell \
      of VMs and their memslots; so it replays as the whole does with the same --from and --to: slots are known, and what \
      was mapped before is not. A marker, the first event, says which part it is and what the whole recording tells of the host.

      What --cpu, --tid and --where leave out is missing in what a vCPU or the host did: replay, compare and capacity refuse such \
      a part, unless --allow-loss; events and info read it.

      Exit status: 0 done, also where no event matches; 2 the recording is damaged or lost events, unless --allow-loss: the part is \
      written all the same; 64 usage; 65 not a trace; 66 no such input; 74 read or write error.

      Examples:
        pkvm-replay slice trace.dat part.dat --from +10 --to +11
        pkvm-replay slice --anonymize --vm 0 trace.dat to-hand-on.dat
      """)

  @Argument(
    help: ArgumentHelp("The recording, - for standard input.", valueName: "in"), completion: .file())
  var input: String

  @Argument(
    help: ArgumentHelp("The file to write, - for standard output.", valueName: "out"), completion: .file())
  var output: String

  @OptionGroup var choice: EventChoiceOptions
  @OptionGroup var options: CopyOptions
  @OptionGroup var spool: SpoolOptions

  @OptionGroup var terminal: TerminalOptions

  @Flag(help: "Exit with 0 even if events were lost or the file is damaged.")
  var allowLoss = false

  func validate() throws { try choice.check(needsVMs: false) }

  func run() throws {
    terminal.takeEffect()
    var outputs = try OutputPlan(inputs: [input, choice.memslots?.path].compactMap(\.self))
    let target = try outputs.recordingTarget(output, overwrite: options.overwrite)
    let trace = try Diagnostics.open(input, spool)
    // One tells what the part needs, one fills it, and what is chosen may take more.
    try trace.withSeveralPasses { try slice(trace, to: target) }
  }

  private func slice(_ trace: TraceFile, to target: OutputTarget) throws {
    var chosen = try ChosenEvents(choice, of: trace, input: input, leavesContext: true)
    let kinds = chosen.ids.map { $0.union(Self.contextKinds(of: trace)) }
    var statistics = EventStatistics()
    try options.write(trace, kinds: kinds, to: target) { copy in
      var markers = Replay.slice(
        of: trace, chosen.part, leavingOutBy: choice.leavingOut, others: chosen.otherVMs)
      copy.headings = markers.headings
      copy.linesBehind = { markers.take(behind: $0).map(\.text) }
      statistics = try fill(copy, from: trace, &chosen)
    }
    chosen.noteOmissions(of: trace, input: input)
    try Losses.check(TraceInfo(trace, statistics), statistics, of: input, allowLoss: allowLoss)
  }

  private func fill(
    _ copy: TraceCopy, from trace: TraceFile, _ chosen: inout ChosenEvents
  ) throws -> EventStatistics {
    var part = SliceWriter(copy, chosen.part)
    var events = trace.events(.all)
    while let run = events.nextRun() {
      if let loss = copy.loss(before: run), chosen.concerns(loss) {
        try part.take(loss, in: run)
      }
      for position in 0..<run.count {
        let record = run[position]
        if record.kind == .lost {
          if chosen.concerns(record) { try part.take(record, in: run) }
          continue
        }
        let marker = run.marker(position)
        // The copy has its own, which says what that of the recording did.
        if marker?.isOfSlice == true, chosen.part.slice != nil { continue }
        let isChosen = chosen.take(record, run.payload(position)) != nil
        let isAhead = try part.takesAhead(run, position, marker, isOfOthers: chosen.isOfOthers)
        // Whatever else is chosen of the part: a replay that did not know what becomes of the slots would be wrong.
        let isNeeded =
          SliceContext.isContext(record.kind) ? !chosen.isOfOthers : marker != nil && choice.vms.isEmpty
        let isContext = isNeeded && chosen.isInTime(record)
        if !isAhead, isChosen || isContext { try part.append(run, position) }
      }
      part.end(run)
    }
    try part.finish(events.statistics)
    try chosen.checkTimes(in: events.statistics, of: trace)
    return events.statistics
  }

  /// The numbers of the events that are kept whatever was chosen.
  private static func contextKinds(of trace: TraceFile) -> [UInt16] {
    trace.formats.formats.filter { SliceContext.isContext($0.kind) }.map(\.id)
  }
}
