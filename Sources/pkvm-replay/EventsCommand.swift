import ArgumentParser
import KVMTrace
import KVMTypes
import Reporting

/// `events`: the decoded events, one a line.
struct EventsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "events",
    abstract: "Prints the decoded events of a trace in time order, one a line.",
    discussion: """
      Text is what the kernel's own print format makes of an event, with the syndrome of a fault in words behind it. \
      CSV has one column for every field that an event of the trace can have, in decimal; --event narrows the columns, too.
      """)

  @Argument(help: "A trace.dat of version 6 or 7, or - for standard input.")
  var input: String

  @Option(help: "How to print: \(EventPrinter.Format.allCases.map(\.rawValue).joined(separator: ", ")).")
  var format = EventPrinter.Format.text

  @Option(name: .customLong("event"), help: "Only events of this name; can be given several times.")
  var names: [String] = []

  @Option(name: .customLong("tid"), help: "Only events of this thread; can be given several times.")
  var threads: [Int32] = []

  @Option(name: .customLong("cpu"), help: "Only events of this CPU; can be given several times.")
  var cpus: [UInt16] = []

  @Option(help: "Only events from this moment on, in seconds of the trace's clock.")
  var from: TraceTime?

  @Option(help: "Only events before this moment, in seconds of the trace's clock.")
  var to: TraceTime?

  @Flag(help: "Exit with 0 even if events were lost or the file is damaged.")
  var allowLoss = false

  func run() throws {
    let trace = try Diagnostics.open(input)
    let wanted = names.isEmpty ? nil : Set(names)
    if let unknown = wanted?.subtracting(trace.formats.formats.map(\.name)).sorted().first {
      Diagnostics.note("\(input): has no event named \(unknown); info lists those it has")
      throw ExitCode.validationFailure
    }
    let ids = wanted.map { names in Set(trace.formats.formats.filter { names.contains($0.name) }.map(\.id)) }
    let printer = EventPrinter(format, trace: trace, names: wanted)
    var output = try Output(path: "-")
    if let header = printer.header { try output.line(header) }
    var events = trace.events(.all)
    while let run = events.nextRun() {
      for position in 0..<run.count {
        let record = run[position]
        if record.kind != .lost {
          if let ids, !ids.contains(record.formatID) { continue }
          if !threads.isEmpty, !threads.contains(record.tid.rawValue) { continue }
        }
        if !cpus.isEmpty, !cpus.contains(record.cpu.rawValue) { continue }
        if let from, record.time < from.moment { continue }
        if let to, record.time >= to.moment { continue }
        try output.line(printer.line(record, run.payload(position)))
      }
    }
    try output.finish()
    let info = TraceInfo(trace, events.statistics)
    if info.isIncomplete, !allowLoss {
      Diagnostics.note("\(input): \(info.incompleteness)")
      throw ExitStatus.incomplete
    }
  }
}
