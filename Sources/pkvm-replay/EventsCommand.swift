import ArgumentParser
import KVMTrace
import KVMTypes
import Reporting
import Stage2Replay

/// `events`: the decoded events, one a line.
struct EventsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "events",
    abstract: "Prints the decoded events of a trace in time order, one a line.",
    discussion: """
      The events of one CPU come as they were recorded, those of different CPUs in the order of their stamps. Where a CPU's own \
      stamps go back, by more than 10 us reported as damage, so do those of the output.

      Text is what the kernel's own print format makes of an event, with the syndrome of a fault in words behind it. \
      CSV has one column for every field that KVM's events have in this trace, in decimal; with --event, those of the \
      events that it names. In JSON lines a number beyond 2^53 is a string. What a terminal, a spreadsheet or an editor \
      would obey is printed as its code, such as \\x1b.

      --where compares fields of events with ==, !=, <, <=, >, >=, & and, for texts, ~ with * and ?; !, &&, || and \
      parentheses join conditions. Besides the fields of the events there are cpu, tid, comm, event, system, time (in \
      seconds, or ticks of a clock that counts those), vm, and of a syndrome esr.class, esr.level, esr.write, esr.exec, esr.s1ptw and esr.kind ("translation", \
      "permission", "access flag"); esr.write is what KVM takes for a write: of a stage-1 walk, a permission fault. An event without the field does not fit.

      --vm replays the trace first. A VM's events are those that name its struct kvm, its lock or its page table, the \
      notifiers on its memory, and all others of the threads that run its vCPUs or create its slots. Events that are not known \
      to be about any VM are left out, and counted on standard error. Lost events may have been any VM's: they stay.

      Exit status: 0 done, also where no event matches; 2 the trace is damaged or lost events, unless --allow-loss; 64 usage, \
      also a name or a value that no event can have; 65 not a trace; 66 no such input; 74 read or write error.

      Examples:
        pkvm-replay events trace.dat --event kvm_guest_fault --vm 0
        pkvm-replay events trace.dat --where "ipa >= 0x40000000 && esr.level == 3"
        pkvm-replay events trace.txt --from +1 --to +1.5 --format csv
      """)

  @Argument(help: "A recording of any format, or - for standard input.", completion: .file())
  var input: String

  @Option(help: "How to print: \(EventPrinter.Format.allCases.map(\.rawValue).joined(separator: ", ")).")
  var format = EventPrinter.Format.text

  @OptionGroup var choice: EventChoiceOptions

  @Flag(
    help: "Print times since the first event, or the beginning of a part: relativeNs in CSV and JSON lines.")
  var relative = false

  @Flag(help: "Tell the VMs that each event is about; replays the trace first, as --vm does.")
  var vmColumn = false

  @OptionGroup var spool: SpoolOptions

  @OptionGroup var terminal: TerminalOptions

  @Flag(help: "Exit with 0 even if events were lost or the file is damaged.")
  var allowLoss = false

  func validate() throws { try choice.check(needsVMs: vmColumn) }

  func run() throws {
    terminal.takeEffect()
    var outputs = try OutputPlan(inputs: [input, choice.memslots?.path].compactMap(\.self))
    let target = try outputs.target("-")
    let trace = try Diagnostics.open(input, spool)
    var chosen = try ChosenEvents(choice, of: trace, input: input, tellsVMs: vmColumn)
    Phases.begin("print \(input)")
    var printer = EventPrinter(
      format, trace: trace, ids: chosen.ids, tellsVM: vmColumn, isRelative: relative)
    var output = try Output(target)
    if let header = printer.header { try output.line(header) }
    var isCounting = !relative
    if relative, let begin = trace.slice?.from {
      printer.count(from: begin)
      isCounting = true
    }
    var events = trace.events(.all)
    while let run = events.nextRun() {
      for position in 0..<run.count {
        let record = run[position]
        if !isCounting { printer.count(from: record.time) }
        isCounting = true
        let payload = run.payload(position)
        guard let about = chosen.take(record, payload) else { continue }
        try output.line(printer.line(record, payload, vms: about))
      }
    }
    try chosen.checkTimes(in: events.statistics, of: trace)
    try output.finish()
    chosen.noteOmissions(of: trace, input: input)
    let info = TraceInfo(trace, events.statistics)
    try Losses.check(info, events.statistics, of: input, allowLoss: allowLoss)
  }
}
