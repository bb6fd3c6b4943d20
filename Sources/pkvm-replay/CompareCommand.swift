import ArgumentParser
import HTMLReport
import KVMTrace
import KVMTypes
import Reporting
import Stage2Model
import Stage2Replay

/// `compare`: one workload under two kernels, or recordings against recordings.
struct CompareCommand: CheckedCommand {
  static let configuration = CommandConfiguration(
    commandName: "compare",
    abstract: "Compares one recording under two kernels, or recordings with recordings.",
    discussion: """
      With one input and two profiles, every recorded access is answered by the model of each kernel, on the machine that was \
      traced; if both are the traced kernel, the recording is replayed once. What the trace decides on both sides is exact.

      With two inputs, or several a side, each is replayed as the kernel that recorded it. Thread timing moves every figure \
      from run to run, so a difference counts only beyond the noise floor: Student's t for 99 % times the standard error of \
      the difference of the means, from the spread within the sides, and no value of one side among those of the other. One \
      recording a side has no noise floor. Figures of the lock are those that probes recorded.

      A threshold is METRIC>BOUND or METRIC<BOUND: the difference of the second from the first, as a number or in percent, \
      for example --fail-if 'memory.mappingTreeBytes.peak>+5%'. Metrics have their names in the JSON report's vms[]; --all \
      prints them. A difference that is a range is beyond a bound if a part of it is, one with a noise floor if all of it \
      is; 'possibly METRIC>BOUND' asks for a part of either, 'certainly METRIC>BOUND' for all.

      Exit status: 0 done; 1 a threshold is exceeded; 2 a trace is damaged or lost events, unless --allow-loss; 64 usage; \
      65 not a trace, or not a file of memslots; 66 no such input; 74 read or write error.

      Examples:
        pkvm-replay compare trace.dat --profile auto --profile 6.14
        pkvm-replay compare before.dat after.dat --fail-if "hypercallsTotal>+5%"
        pkvm-replay compare --before a.dat b.dat --after c.dat d.dat
        pkvm-replay compare before.dat after.dat --html comparison.html
      """)

  @Argument(help: "One or two traces.", completion: .file())
  var inputs: [String] = []

  @Option(
    parsing: .upToNextOption, help: "The recordings of the first side, several of one workload on one host.",
    completion: .file())
  var before: [String] = []

  @Option(parsing: .upToNextOption, help: "The recordings of the second side.", completion: .file())
  var after: [String] = []

  @Option(
    name: .customLong("profile"),
    help: """
      A kernel to model, given twice with one input: auto for the one that recorded it, a kernel's name, such as 7.3, or a JSON \
      file. See profiles.
      """)
  var profiles: [ProfileArgument] = []

  @OptionGroup var pageSize: PageSizeOption

  @OptionGroup var memslots: MemslotFiles

  @Option(
    name: .customLong("fail-if"), help: "Exit with 1 if a metric differs by more; can be given several times."
  )
  var failIf: [String] = []

  @Flag(help: "Show the metrics that are the same on both sides, too.")
  var all = false

  @Option(
    name: .customLong("json"),
    help: ArgumentHelp(
      "Write the comparison as JSON to this file; - is standard output.", valueName: "file"),
    completion: .file())
  var jsonPath: String?

  @Option(
    name: .customLong("html"),
    help: ArgumentHelp(
      """
      Write the comparison with the differences as bars to this file, as a page for a browser that needs no network; - is standard \
      output.
      """, valueName: "file"),
    completion: .file())
  var htmlPath: String?

  @OptionGroup var spool: SpoolOptions

  @OptionGroup var terminal: TerminalOptions

  @Flag(help: "Exit with 0 even if events were lost or a file is damaged.")
  var allowLoss = false

  /// The recordings of both sides, which are each of one unless --before and --after tell.
  private var sides: [[String]] {
    before.isEmpty && after.isEmpty ? inputs.map { [$0] } : [before, after]
  }

  func check() throws {
    if before.isEmpty != after.isEmpty || !before.isEmpty && !inputs.isEmpty {
      throw ValidationError("--before and --after go together, and name all inputs")
    }
    switch (sides.count, profiles.count) {
    case (1, 2), (2, 0): break
    case (1, _):
      throw ValidationError("one input is compared with itself under two profiles: give --profile twice")
    case (2, _):
      throw ValidationError(
        "two inputs are each replayed as the kernel that recorded them, without --profile")
    default:
      throw ValidationError(
        "one input or two, not \(inputs.count); several a side go behind --before and --after")
    }
    try checkStandardOutput(["--json": jsonPath, "--html": htmlPath])
    try checkStandardInput(sides.joined())
    try memslots.check(inputs: sides.joined().count)
  }

  func run() throws {
    try check()
    terminal.takeEffect()
    let thresholds = try failIf.map(Threshold.init(failIf:))
    var outputs = try OutputPlan(
      inputs: sides.flatMap(\.self) + memslots.paths + profiles.map(\.text))
    let jsonTarget = try jsonPath.map { try outputs.target($0) }
    let htmlTarget = try htmlPath.map { try outputs.target($0) }
    let textTarget = try outputs.target("-")
    var losses = Losses()
    let comparison = try profiles.isEmpty ? compareRecordings(&losses) : compareKernels(&losses)
    let checked = comparison.check(thresholds)
    try Self.requireFigures(comparison, checked, losses)
    let exceeded = zip(failIf, thresholds).filter { checked.exceeded.contains($0.1) }
    let failed = exceeded.map(\.0)
    if let jsonTarget {
      try Output.write(JSON.signed(ComparisonReport(comparison, exceeded: failed)), to: jsonTarget)
    }
    if let htmlTarget {
      let named = zip(failIf, thresholds).map { HTMLReport.NamedThreshold($0, $1) }
      let page = HTMLReport.page(comparison, thresholds: named, maker: ToolIdentity.current.line)
      try Output.write(page.source, to: htmlTarget)
    }
    if terminal.printsPage(besides: [jsonPath, htmlPath]) {
      try Output.write(comparison.text(all: all, in: terminal.form), to: textTarget)
    }
    let held = zip(failIf, thresholds).filter { !checked.exceeded.contains($0.1) }
    if !held.isEmpty {
      let found = held.map { "\($0) (\(comparison.found($1)))" }
      Diagnostics.note("not exceeded: \(found.joined(separator: ", "))")
    }
    for (text, threshold) in exceeded {
      Diagnostics.error("exceeded: \(text): \(comparison.found(threshold))")
    }
    try losses.finish(allowLoss: allowLoss)
    if !failed.isEmpty { throw ExitStatus.divergence }
  }

  /// Refuses a threshold on what is no figure, or is unknown of a recording.
  private static func requireFigures(
    _ comparison: Comparison, _ checked: Comparison.Checked, _ losses: Losses
  ) throws {
    if let unknown = checked.unknown.first, !comparison.rows.isEmpty {
      throw comparison.lacksMetric(of: unknown)
    }
    guard let missing = (checked.unknown + checked.unrecorded).first else { return }
    throw comparison.lacksFigure(of: missing) { "\($0) (\(losses.why($0)))" }
  }

  /// What the command line says of the traced hosts.
  private var traced: ProfileRequest {
    var request = ProfileRequest()
    if let size = pageSize.size { request.pageSize = size }
    return request
  }

  private func options(_ position: Int, _ trace: TraceFile) throws -> ReplayOptions {
    var options = ReplayOptions()
    // With the mapping tree, for its depth and the nodes that searches visit.
    options.measuresWork = true
    options.memslots = try memslots.resolve(position, for: trace, pageSize.size)
    return options
  }

  /// The figures of one replay, which is dropped before the next begins.
  private func metrics(
    _ trace: TraceFile, _ options: ReplayOptions, _ losses: inout Losses
  ) throws -> [Metric] {
    let (result, statistics) = try replay(trace, options, &losses)
    return Metric.metrics([result], statistics)
  }

  private func replay(
    _ trace: TraceFile, _ options: ReplayOptions, _ losses: inout Losses
  ) throws -> (ReplayResult, EventStatistics) {
    let (result, statistics) = try Replays.run(trace, profile: traced, options: options)
    losses.note(trace, statistics)
    losses.note(trace, result, statistics, memslots: options.memslots)
    losses.noteUnknown(trace, result)
    return (result, statistics)
  }

  private func compareRecordings(_ losses: inout Losses) throws -> Comparison {
    var found: [Comparison.Side] = []
    var hosts: [[RecordedHost]] = []
    let inputs = ComparedInputs(sides)
    for side in inputs.sides {
      var replays: [[Metric]] = []
      var hostsOfSide: [RecordedHost] = []
      for input in side {
        let trace = try Diagnostics.open(input.path, spool, allowLoss: allowLoss)
        let (result, statistics) = try replay(trace, options(input.position, trace), &losses)
        replays.append(Metric.metrics([result], statistics))
        hostsOfSide.append(RecordedHost(trace, result.profile, name: input.path))
      }
      hosts.append(hostsOfSide)
      let name = side.count > 1 ? "\(side[0].path) and others" : side[0].path
      found.append(Comparison.Side(name, replays, of: hostsOfSide.map(\.described)))
    }
    var comparison = Comparison(.recordings, found[0], found[1])
    comparison.notes =
      inputs.notes + RecordedHost.differences(hosts[0], hosts[1]) + losses.notes
      + losses.lacks
    return comparison
  }

  private func compareKernels(_ losses: inout Losses) throws -> Comparison {
    let requests = try profiles.map { try $0.request() }
    let trace = try Diagnostics.open(inputs[0], spool, allowLoss: allowLoss)
    return try trace.withSeveralPasses { try compareKernels(of: trace, requests, &losses) }
  }

  private func compareKernels(
    of trace: TraceFile, _ requests: [ProfileRequest], _ losses: inout Losses
  ) throws -> Comparison {
    let options = try options(0, trace)
    let kernels: (traced: ReplayProfile, others: [ReplayProfile])
    do {
      kernels = try Replay.profiles(of: trace, traced: traced, others: requests)
    } catch {
      throw Replays.failure(trace, error)
    }
    let names = zip(profiles, requests).map { argument, request in request.name ?? argument.text }
    var sides: [Comparison.Side] = []
    // A figure of the recording and one of a model are not of one kind: the traced kernel is modelled, too, unless both are it.
    let difference = Self.unmodelled(kernels.others)
    let areTraced = kernels.others.allSatisfy { $0.profile.isAlike(kernels.traced.profile) }
    for (position, request) in requests.enumerated() {
      let metrics =
        if position == 1, kernels.others[0].profile.isAlike(kernels.others[1].profile) {
          sides[0].replays[0]
        } else if areTraced {
          try metrics(trace, options, &losses)
        } else {
          try modelled(trace, request, options, &losses)
        }
      let kernel = Comparison.Described(names[position], kernels.others[position].facts)
      sides.append(Comparison.Side(names[position], [metrics], of: [kernel]))
    }
    var comparison = Comparison(.kernels, sides[0], sides[1])
    comparison.recording = RecordedHost(trace, kernels.traced, name: inputs[0]).described
    comparison.notes = difference + losses.notes + losses.lacks
    return comparison
  }

  /// What the two kernels differ in that no figure here depends on.
  private static func unmodelled(_ kernels: [ReplayProfile]) -> [String] {
    let fields = Profile.fields.filter {
      $0.value(in: kernels[0].profile) != $0.value(in: kernels[1].profile)
    }
    guard fields.contains(where: { $0.id == .faultLock }), fields.allSatisfy({ $0.id != .path })
    else { return [] }
    let values = kernels.map { "\($0.profile.faultLock.rawValue)" }.joined(separator: " and ")
    let others = fields.filter { $0.id != .faultLock }.map(\.name)
    return [
      "The kernels differ in faultLock (\(values)), which compare does not model: replay --contention does."
    ] + (others.isEmpty ? [] : ["They differ in \(others.joined(separator: ", ")), too."])
  }

  /// The trace's accesses under one profile, from the least to the most that the trace allows.
  private func modelled(
    _ trace: TraceFile, _ request: ProfileRequest, _ options: ReplayOptions, _ losses: inout Losses
  ) throws -> [Metric] {
    var results: [ReplayResult] = []
    var statistics: EventStatistics?
    for extent in OtherKernel.Extent.allCases {
      var options = options
      options.otherKernel = OtherKernel(request, extent)
      let (result, read) = try Replays.run(trace, profile: traced, options: options)
      results.append(result)
      statistics = read
      losses.note(trace, read)
    }
    guard let result = results.first, let statistics else { return [] }
    losses.note(trace, result, statistics, memslots: options.memslots)
    losses.noteUnknown(trace, result)
    return Metric.metrics(results, statistics)
  }
}
