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
      "permission", "access flag"). An event without the field does not fit.

      --vm replays the trace first. A VM's events are those that name its struct kvm, its lock or its page table, the \
      notifiers on its memory, and all others of the threads that run its vCPUs or create its slots. Events that are not known \
      to be about any VM are left out, and counted on standard error. Lost events may have been any VM's: they stay.

      Exit status: 0 done, also where no event matches; 2 the trace is damaged or lost events, unless --allow-loss; 64 usage, \
      also a name or a value that no event can have; 65 not a trace; 66 no such input; 74 read or write error.
      """)

  @Argument(help: "A trace.dat of version 6 or 7, or - for standard input.")
  var input: String

  @Option(help: "How to print: \(EventPrinter.Format.allCases.map(\.rawValue).joined(separator: ", ")).")
  var format = EventPrinter.Format.text

  @Option(
    name: .customLong("event"),
    help:
      "Only these events: NAME or SYSTEM:NAME, with * and ?, several with commas; can be given several times."
  )
  var names: [String] = []

  @Option(
    name: .customLong("where"),
    help: ArgumentHelp(
      "Only events whose fields fit, such as 'ipa >= 0x40000000 && esr.level == 2'.", valueName: "filter"))
  var condition: String?

  @Flag(help: "Print times since the first event of the trace: relativeNs in CSV and JSON lines.")
  var relative = false

  @Flag(help: "Tell the VMs that each event is about; replays the trace first, as --vm does.")
  var vmColumn = false

  @Option(
    name: .customLong("vm"),
    help: """
      Only events about this VM, by its number in the report of a replay of the whole trace; can be given several times.
      """)
  var vms: [Int] = []

  @Option(help: "For --vm: the memslots, as for replay.")
  var memslots: MemslotsArgument?

  @Flag(help: "For --vm: infer the memslots, as for replay.")
  var inferMemslots = false

  @Option(name: .customLong("tid"), help: "Only events of this thread; can be given several times.")
  var threads: [Int32] = []

  @Option(name: .customLong("cpu"), help: "Only events of this CPU; can be given several times.")
  var cpus: [UInt16] = []

  @Option(
    help: ArgumentHelp(
      "Only events from this moment on, in seconds of the trace's clock (ticks of one that counts those), or +SECONDS since its first event.",
      valueName: "seconds"))
  var from: TraceTime?

  @Option(
    help: ArgumentHelp(
      "Only events before this moment, in seconds of the trace's clock (ticks of one that counts those), or +SECONDS since its first event.",
      valueName: "seconds"))
  var to: TraceTime?

  @OptionGroup var spool: SpoolOptions

  @Flag(help: "Exit with 0 even if events were lost or the file is damaged.")
  var allowLoss = false

  mutating func validate() throws {
    try TraceTime.check(from: from, to: to)
    if vms.isEmpty, !vmColumn, condition == nil, memslots != nil || inferMemslots {
      throw ValidationError("--memslots and --infer-memslots go with --vm")
    }
    if memslots != nil, inferMemslots {
      throw ValidationError("--memslots and --infer-memslots exclude each other")
    }
  }

  func run() throws {
    var outputs = try OutputPlan(inputs: [input, memslots?.path].compactMap(\.self))
    let target = try outputs.target("-")
    let trace = try Diagnostics.open(input, spool)
    let (from, to) = try TraceTime.resolve(from: from, to: to, in: trace)
    let ids = try chosenEvents(of: trace)
    let filter = try filter(of: trace, ids: ids)
    var attributor = try needsVMs(filter) ? attributor(for: trace, vms + (filter?.vms ?? [])) : nil
    let wantedVMs = Set(vms)
    var (unattributed, all, matching) = (0, 0, 0)
    var printer = EventPrinter(format, trace: trace, ids: ids, tellsVM: vmColumn, isRelative: relative)
    var output = try Output(target)
    if let header = printer.header { try output.line(header) }
    var isFirst = true
    var events = trace.events(.all)
    while let run = events.nextRun() {
      for position in 0..<run.count {
        let record = run[position]
        if isFirst, relative { printer.count(from: record.time) }
        isFirst = false
        if record.kind != .lost { all += 1 }
        let about = attributor?.vms(of: record) ?? []
        if !cpus.isEmpty, !cpus.contains(record.cpu.rawValue) { continue }
        if let from, record.time < from.moment { continue }
        if let to, record.time >= to.moment { continue }
        let payload = run.payload(position)
        if record.kind != .lost {
          if let ids, !ids.contains(record.formatID) { continue }
          if !threads.isEmpty, !threads.contains(record.tid.rawValue) { continue }
          if let filter, !printer.accepts(filter, record, payload, vms: about) { continue }
          if !wantedVMs.isEmpty, wantedVMs.isDisjoint(with: about) {
            if about.isEmpty { unattributed += 1 }
            continue
          }
        }
        if record.kind != .lost { matching += 1 }
        try output.line(printer.line(record, payload, vms: about))
      }
    }
    try TraceTime.check(from: from, to: to, in: events.statistics, of: trace)
    try output.finish()
    if matching == 0, all > 0 { Diagnostics.note("\(input): 0 of \(all) event\(all == 1 ? "" : "s") match") }
    noteOmissions(unattributed, of: trace)
    let info = TraceInfo(trace, events.statistics)
    try Losses.check(info, events.statistics, of: input, allowLoss: allowLoss)
  }

  /// Says on standard error what the output lacks though the trace has it.
  private func noteOmissions(_ unattributed: Int, of trace: TraceFile) {
    if unattributed > 0 {
      Diagnostics.note(
        "\(input): \(unattributed) event\(unattributed == 1 ? " is" : "s are") not known to be about any VM, and left out"
      )
    }
    if !trace.unreadableEvents.isEmpty {
      Diagnostics.note(
        "\(input): the formats of \(trace.unreadableEvents.joined(separator: ", ")) cannot be read: their events have no fields"
      )
    }
  }

  /// The numbers of the events that --event names, nil where it names none.
  private func chosenEvents(of trace: TraceFile) throws -> Set<UInt16>? {
    guard !names.isEmpty else { return nil }
    do {
      return try EventChoice(names, among: trace.formats.formats).ids
    } catch {
      Diagnostics.note("\(input): \(error.message)")
      throw ExitCode.validationFailure
    }
  }

  private func filter(of trace: TraceFile, ids: Set<UInt16>?) throws -> EventFilter? {
    guard let condition else { return nil }
    do {
      return try EventFilter(condition, of: trace, ids: ids)
    } catch {
      Diagnostics.note("\(input): \(error.message)")
      throw ExitCode.validationFailure
    }
  }

  private func needsVMs(_ filter: EventFilter?) -> Bool {
    !vms.isEmpty || vmColumn || filter?.asksForVM == true
  }

  /// What a replay of the whole trace finds out about the VMs behind its events.
  private func attributor(for trace: TraceFile, _ vms: [Int]) throws -> VMAttributor {
    var options = ReplayOptions()
    options.memslots = try memslots?.resolve(for: trace, nil)
    options.infersMemslots = inferMemslots
    options.recordsTimeline = true
    let (result, _) = try Replays.run(trace, profile: ProfileRequest(), options: options)
    try result.requireVMs(vms, of: input)
    return VMAttributor(result.timeline ?? VMTimeline(), pageSize: result.profile.pageSize)
  }
}
