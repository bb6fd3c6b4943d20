import ArgumentParser
import KVMTrace
import Reporting
import Stage2Model
import Stage2Replay

/// `compare`: one workload under two kernels, or two recordings.
struct CompareCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compare",
    abstract: "Compares one recording under two kernels, or two recordings.",
    discussion: """
      With one input and two profiles, every recorded access is answered by the model of each kernel. With two inputs, each \
      is replayed as the kernel that recorded it.

      A threshold is METRIC>BOUND or METRIC<BOUND: the difference of the second from the first, as a number or in percent, \
      for example --fail-if 'mappingTreeBytes.peak>+5%'. --all prints the names of all metrics.

      Exit status: 0 done; 1 a threshold is exceeded; 2 a trace is damaged or lost events, unless --allow-loss; 64 usage; \
      65 not a trace, or not a file of memslots; 66 no such input; 74 read or write error.
      """)

  @Argument(help: "One or two traces.")
  var inputs: [String]

  @Option(
    name: .customLong("profile"),
    help:
      "A kernel to model, given twice with one input: auto for the one that recorded it, a built-in profile, or a JSON file."
  )
  var profiles: [ProfileArgument] = []

  @OptionGroup var memslots: MemslotFiles

  @Option(
    name: .customLong("fail-if"), help: "Exit with 1 if a metric differs by more; can be given several times."
  )
  var failIf: [String] = []

  @Flag(help: "Show the metrics that are the same on both sides, too.")
  var all = false

  @Option(name: .customLong("json"), help: "Write the comparison as JSON to this file; - is standard output.")
  var jsonPath: String?

  @OptionGroup var spool: SpoolOptions

  @Flag(help: "Exit with 0 even if events were lost or a file is damaged.")
  var allowLoss = false

  mutating func validate() throws {
    switch (inputs.count, profiles.count) {
    case (1, 2), (2, 0): break
    case (1, _):
      throw ValidationError("one input is compared with itself under two profiles: give --profile twice")
    case (2, _):
      throw ValidationError(
        "two inputs are each replayed as the kernel that recorded them, without --profile")
    default: throw ValidationError("one input or two, not \(inputs.count)")
    }
    try memslots.check(inputs: inputs.count)
  }

  func run() throws {
    let thresholds = try failIf.map(Self.threshold)
    var outputs = try OutputPlan(inputs: inputs + memslots.paths + profiles.map(\.text))
    let jsonTarget = try jsonPath.map { try outputs.target($0) }
    let textTarget = try outputs.target("-")
    var sides: [(name: String, metrics: [Metric])] = []
    var losses = Losses()
    for (index, input) in inputs.enumerated() where index < 2 {
      let trace = try Diagnostics.open(input, spool)
      var options = ReplayOptions()
      // With the mapping tree, for its depth and the nodes that searches visit.
      options.measuresWork = true
      options.memslots = try memslots.resolve(index, for: trace)
      if profiles.isEmpty {
        let (result, statistics) = try Replay.run(trace, profile: ProfileRequest(), options: options)
        sides.append((input, Metric.metrics([result])))
        losses.note(trace, statistics)
      } else {
        for profile in profiles { sides.append(try modelled(trace, profile, options, &losses)) }
      }
    }
    let comparison = Comparison(sides[0].name, sides[0].metrics, sides[1].name, sides[1].metrics)
    let (exceeded, unknown) = comparison.check(thresholds)
    if let unknown = unknown.first {
      throw ValidationError(
        "--fail-if \(unknown.metric): no such metric; --all prints those of this comparison")
    }
    let failed = zip(failIf, thresholds).filter { exceeded.contains($0.1) }.map(\.0)
    if let jsonTarget {
      try Output.write(JSON.signed(ComparisonReport(comparison, exceeded: failed)), to: jsonTarget)
    }
    if jsonPath != "-" {
      try Output.write(comparison.text(all: all), to: textTarget)
    }
    for threshold in failed { Diagnostics.note("exceeded: \(threshold)") }
    try losses.finish(allowLoss: allowLoss)
    if !failed.isEmpty { throw ExitStatus.divergence }
  }

  private static func threshold(_ text: String) throws -> Threshold {
    do {
      return try Threshold(text)
    } catch {
      throw ValidationError("--fail-if \(error.message)")
    }
  }

  /// The trace's accesses under one profile, from the least to the most that the trace allows.
  private func modelled(
    _ trace: TraceFile, _ profile: ProfileArgument, _ options: ReplayOptions, _ losses: inout Losses
  ) throws -> (String, [Metric]) {
    guard profile.text != "auto" else {
      let (result, statistics) = try Replay.run(trace, profile: ProfileRequest(), options: options)
      losses.note(trace, statistics)
      // Recorded times have no counterpart in a model.
      return ("auto", Metric.metrics([result]).filter(\.isExact))
    }
    var kernel = try profile.resolve()
    if let pageSize = trace.pageSize { kernel.pageSize = pageSize }
    if let problem = kernel.problems().first {
      Diagnostics.note("\(trace.path): cannot be replayed with \(kernel.name): \(problem)")
      throw ExitCode.validationFailure
    }
    var results: [ReplayResult] = []
    for extent in OtherKernel.Extent.allCases {
      var options = options
      options.otherKernel = OtherKernel(kernel, extent, isTracedMachine: profile.isBuiltIn)
      let (result, statistics) = try Replay.run(trace, profile: ProfileRequest(), options: options)
      results.append(result)
      losses.note(trace, statistics)
    }
    return (kernel.name, Metric.metrics(results))
  }
}
