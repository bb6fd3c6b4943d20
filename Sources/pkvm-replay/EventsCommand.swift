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
      CSV has one column for every field that an event of the trace can have, in decimal; --event narrows the columns, too.

      --vm replays the trace first. A VM's events are those that name its struct kvm, its lock or its page table, the \
      notifiers on its memory, and all others of the threads that run its vCPUs or create its slots. Events that are not known \
      to be about any VM are left out, and counted on standard error. Lost events may have been any VM's: they stay.
      """)

  @Argument(help: "A trace.dat of version 6 or 7, or - for standard input.")
  var input: String

  @Option(help: "How to print: \(EventPrinter.Format.allCases.map(\.rawValue).joined(separator: ", ")).")
  var format = EventPrinter.Format.text

  @Option(name: .customLong("event"), help: "Only events of this name; can be given several times.")
  var names: [String] = []

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

  @Option(help: "Only events from this moment on, in seconds of the trace's clock.")
  var from: TraceTime?

  @Option(help: "Only events before this moment, in seconds of the trace's clock.")
  var to: TraceTime?

  @OptionGroup var spool: SpoolOptions

  @Flag(help: "Exit with 0 even if events were lost or the file is damaged.")
  var allowLoss = false

  mutating func validate() throws {
    try TraceTime.check(from: from, to: to)
    if vms.isEmpty, memslots != nil || inferMemslots {
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
    let wanted = names.isEmpty ? nil : Set(names)
    if let unknown = wanted?.subtracting(trace.formats.formats.map(\.name)).sorted().first {
      Diagnostics.note("\(input): has no event named \(unknown); info lists those it has")
      throw ExitCode.validationFailure
    }
    let ids = wanted.map { names in Set(trace.formats.formats.filter { names.contains($0.name) }.map(\.id)) }
    let wantedVMs = Set(vms)
    var attributor = try vms.isEmpty ? nil : attributor(for: trace)
    var unattributed = 0
    let printer = EventPrinter(format, trace: trace, names: wanted)
    var output = try Output(target)
    if let header = printer.header { try output.line(header) }
    var events = trace.events(.all)
    while let run = events.nextRun() {
      for position in 0..<run.count {
        let record = run[position]
        let isWantedVM = attributor == nil ? true : attributor!.isAbout(wantedVMs, record)
        if !cpus.isEmpty, !cpus.contains(record.cpu.rawValue) { continue }
        if let from, record.time < from.moment { continue }
        if let to, record.time >= to.moment { continue }
        if record.kind != .lost {
          if let ids, !ids.contains(record.formatID) { continue }
          if !threads.isEmpty, !threads.contains(record.tid.rawValue) { continue }
          if isWantedVM == nil { unattributed += 1 }
          if isWantedVM != true { continue }
        }
        try output.line(printer.line(record, run.payload(position)))
      }
    }
    try TraceTime.check(from: from, to: to, in: events.statistics, of: input)
    try output.finish()
    if unattributed > 0 {
      Diagnostics.note(
        "\(input): \(unattributed) event\(unattributed == 1 ? " is" : "s are") not known to be about any VM, and left out"
      )
    }
    let info = TraceInfo(trace, events.statistics)
    try Losses.check(info, events.statistics, of: input, allowLoss: allowLoss)
  }

  /// What a replay of the whole trace finds out about the VMs behind its events.
  private func attributor(for trace: TraceFile) throws -> VMAttributor {
    var options = ReplayOptions()
    options.memslots = try memslots?.resolve(for: trace)
    options.infersMemslots = inferMemslots
    options.recordsTimeline = true
    let (result, _) = try Replay.run(trace, profile: ProfileRequest(), options: options)
    try result.requireVMs(vms, of: input)
    return VMAttributor(result.timeline ?? VMTimeline(), pageSize: trace.pageSize ?? .size4K)
  }
}
