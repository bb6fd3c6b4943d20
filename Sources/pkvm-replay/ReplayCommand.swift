import ArgumentParser
import KVMTrace
import KVMTypes
import Reporting
import Stage2Model
import Stage2Replay

/// `replay`: what the host's stage-2 MMU did, and what it cost.
struct ReplayCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay",
    abstract: "Replays a trace through a model of the host's stage-2 MMU and reports what it did.",
    discussion: """
      Exit status: 0 done; 1 unexplained divergences, see `rules`; 2 the trace is damaged or lost events, unless --allow-loss; \
      65 not a trace, or not a file of memslots; 66 no such input; 74 read or write error.
      """)

  @Argument(help: "A trace.dat of version 6 or 7, or - for standard input.")
  var input: String

  @Option(
    help: """
      What to model: auto reads it off the trace; pkvm and traditional name the MMU and leave the rest to the trace; else \
      a built-in profile (see profiles) or a JSON file.
      """)
  var profile: ProfileArgument?

  @Option(
    help: """
      Take the memslots from this JSON file, not from the trace; info --memslots writes such files, and the README \
      explains them.
      """)
  var memslots: MemslotsArgument?

  @Flag(help: "Infer the memslots from faults and notifiers even if probes recorded them.")
  var inferMemslots = false

  @Option(help: "Replay events from this moment on, in seconds of the trace's clock.")
  var from: TraceTime?

  @Option(help: "Replay events before this moment, in seconds of the trace's clock.")
  var to: TraceTime?

  @Option(
    name: .customLong("vm"),
    help: "Report only this VM, by its number in the report; can be given several times.")
  var vms: [Int] = []

  @Flag(help: "Leave the probes on the kernel's own operations out of account entirely.")
  var ignoreProbes = false

  @Option(name: .customLong("json"), help: "Write the report as JSON to this file; - is standard output.")
  var jsonPath: String?

  @Option(
    name: .customLong("csv"),
    help:
      "Write the series over time as CSV files to this directory: memory, lock, working-set, first-touch, idle."
  )
  var csvDirectory: String?

  @Option(
    name: .customLong("costs"),
    help: """
      Price the time under mmu_lock: a file that calibrate wrote, or a built-in set (assumed, assumed-pmd-fixmap). Modelled \
      times carry the error that calibrate found.
      """)
  var costs: CostsArgument?

  @Flag(
    help: """
      Simulate each VM's lock from the sections that probes recorded: faults that take it to read and to write, with fewer and \
      more vCPUs.
      """)
  var contention = false

  @Option(help: "For --contention: the vCPUs, as multiples of those recorded.")
  var scale: [Double] = [0.5, 1, 2, 4]

  @Option(help: "For --contention: the seed of the random draws.")
  var seed: UInt64 = 1

  @Flag(help: "Leave the series over time out of the JSON report.")
  var noSeries = false

  @Option(name: .customLong("ops"), help: "Write every operation as CSV to this file; - is standard output.")
  var operationsPath: String?

  @Flag(help: "Exit with 0 even if events were lost or the file is damaged.")
  var allowLoss = false

  mutating func validate() throws {
    if jsonPath == "-", operationsPath == "-" {
      throw ValidationError("--json and --ops cannot both go to standard output")
    }
    guard scale.allSatisfy({ $0 > 0 && $0 <= 1024 }) else {
      throw ValidationError("--scale is above 0, at most 1024")
    }
    if contention, ignoreProbes {
      throw ValidationError("--contention needs the probes that --ignore-probes leaves out")
    }
    if memslots != nil, inferMemslots {
      throw ValidationError("--memslots and --infer-memslots exclude each other")
    }
  }

  /// What the command line says about the kernel to model.
  private func profileRequest(for trace: TraceFile) throws -> ProfileRequest {
    var request = ProfileRequest()
    switch profile?.text {
    case nil, "auto": break
    case "pkvm": request.isPKVM = true
    case "traditional": request.isPKVM = false
    default:
      guard var given = try profile?.resolve() else { break }
      // A built-in profile says nothing of the machine: the pages are the trace's.
      if let pageSize = trace.pageSize { given.pageSize = pageSize }
      if let problem = given.problems().first {
        Diagnostics.note("\(input): cannot be replayed with \(given.name): \(problem)")
        throw ExitCode.validationFailure
      }
      request.profile = given
    }
    return request
  }

  func run() throws {
    let trace = try Diagnostics.open(input)
    let request = try profileRequest(for: trace)
    var options = ReplayOptions()
    options.ignoresProbes = ignoreProbes
    options.memslots = try memslots?.resolve(for: trace)
    options.infersMemslots = inferMemslots
    options.from = from?.moment
    options.to = to?.moment
    let costModel = try costs?.resolve()
    options.measuresWork = costModel != nil
    options.keepsSections = contention

    let operations = try operationsPath.map { try OperationsFile(path: $0) }
    var (result, statistics) = try Replay.run(trace, profile: request, options: options) { operation in
      if vms.isEmpty || vms.contains(operation.vm) { try operations?.write(operation) }
    }
    try operations?.finish()

    if let unknown = vms.first(where: { id in !result.vms.contains { $0.id == id } }) {
      Diagnostics.note("\(input): has no VM \(unknown), only \(result.vms.count) of them, numbered from 0")
      throw ExitCode.validationFailure
    }
    if !vms.isEmpty {
      result.vms.removeAll { !vms.contains($0.id) }
      result.divergences = result.divergences.limited(to: vms)
    }
    var report = ReplayReport(trace, statistics, result)
    if let costModel { report.price(result, costModel) }
    if contention {
      report.simulate(result, scales: scale, seed: seed)
      if !report.hasContention {
        Diagnostics.note("\(input): no probe recorded a section under the lock: nothing to simulate")
      }
    }
    if noSeries { report.removeSeries() }
    if let jsonPath {
      var output = try Output(path: jsonPath)
      try output.write(JSON.text(report))
      try output.finish()
    }
    if let csvDirectory { try SeriesFiles.write(result, to: csvDirectory) }
    if jsonPath != "-", operationsPath != "-" {
      var output = try Output(path: "-")
      try output.write(report.text)
      try output.finish()
    }
    if let incomplete = report.inputs.first(where: \.isIncomplete), !allowLoss {
      Diagnostics.note("\(input): \(incomplete.incompleteness)")
      throw ExitStatus.incomplete
    }
    let unexplained = report.divergences.unexplained
    if unexplained > 0 {
      Diagnostics.note(
        "\(input): \(unexplained) event\(unexplained == 1 ? "" : "s") contradict the model with nothing to account for "
          + "it; the report lists the causes, and `rules` what must hold")
      throw ExitStatus.divergence
    }
  }
}
