import ArgumentParser
import ForeignStage2
import HTMLReport
import KVMTrace
import KVMTypes
import Reporting
import Stage2Model
import Stage2Replay

/// `patch`: two trees' own C under the same recordings.
struct PatchCommand: CheckedCommand {
  static let configuration = CommandConfiguration(
    commandName: "patch",
    abstract: "Runs the C of two kernel trees under recordings and tells what a patch changes.",
    discussion: """
      A side is a kernel tree (--before linux --after linux-patched), whose stage-2 code is compiled by tools/kernel-backend; a shared object that has the interface of \
      stage2_backend.h; or, before, a profile's name, for the model of that kernel. Each recording is replayed by the model of the \
      kernel that was traced, and both sides get every call that it makes. What they return, call and free is compared call by call: \
      the first call after which they differ is told with the event that led to it.

      A shared object runs in a process of its own. Where it crashes, or does not return from a call for 10 s, the VM is left out from \
      there on, and its calls are written to a file that --reproduce FILE --after SIDE runs again. Before that, the stock side is held against the model \
      by 100,000 random calls; one that has passed is not tested again.

      A threshold is METRIC>BOUND or METRIC<BOUND, as in compare: --fail-if 'hypercallsTotal>0'. --all prints the metrics. Without \
      one, any difference is exit status 1.

      Exit status: 0 no difference, or none that --fail-if asks for; 1 the sides differ, a threshold is exceeded, or a VM was lost; 2 a \
      trace is damaged or lost events, unless --allow-loss; 3 the stock side is not what its model is; 4 a side cannot be built, loaded \
      or used; 64 usage; 65 not a trace; 66 no such input; 74 read or write error.

      Examples:
        pkvm-replay patch trace.dat --before old.so --after new.so
        pkvm-replay patch trace.dat --before old.so --after new.so --html p.html
        pkvm-replay patch before.dat after.dat --before old.so --after new.so --all
      """)

  @Argument(help: "Recordings of any format.", completion: .file())
  var inputs: [String] = []

  @Option(help: "The stock side: a kernel tree, a shared object, or a profile's name.")
  var before: SideArgument?

  @Option(help: "The patched side: a kernel tree or a shared object.")
  var after: SideArgument?

  @Flag(help: "Run shared objects in this process: faster, and a crash is one of this program.")
  var inProcess = false

  @Flag(help: "Do not hold the stock side against the model first.")
  var noSelfTest = false

  @Option(
    help: ArgumentHelp("Run the calls of a file that an earlier patch wrote, on --after.", valueName: "file"),
    completion: .file())
  var reproduce: String?

  @Option(
    help: ArgumentHelp(
      "Write the calls of VMs that were lost to this directory, else to the current one.",
      valueName: "directory"),
    completion: .directory)
  var reproducers = "."

  @OptionGroup var pageSize: PageSizeOption

  @OptionGroup var memslots: MemslotFiles

  @Option(
    name: .customLong("fail-if"), help: "Exit with 1 if a metric differs by more; can be given several times."
  )
  var failIf: [String] = []

  @Flag(help: "Show the figures that are the same on both sides, too.")
  var all = false

  @Option(
    name: .customLong("json"),
    help: ArgumentHelp("Write the report as JSON to this file; - is standard output.", valueName: "file"),
    completion: .file())
  var jsonPath: String?

  @Option(
    name: .customLong("html"),
    help: ArgumentHelp(
      "Write the report to this file, as a page for a browser that needs no network; - is standard output.",
      valueName: "file"),
    completion: .file())
  var htmlPath: String?

  @OptionGroup var spool: SpoolOptions

  @OptionGroup var terminal: TerminalOptions

  @Flag(help: "Exit with 0 even if events were lost or a file is damaged.")
  var allowLoss = false

  func check() throws {
    guard after != nil else { throw ValidationError("--after is missing: a kernel tree or a shared object") }
    if reproduce != nil {
      if !inputs.isEmpty || before != nil {
        throw ValidationError("--reproduce goes with --after alone: the file has all calls")
      }
      return
    }
    if before == nil {
      throw ValidationError("--before is missing: a kernel tree, a shared object or a profile's name")
    }
    if inputs.isEmpty { throw ValidationError("a recording is missing") }
    try checkStandardOutput(["--json": jsonPath, "--html": htmlPath])
    try checkStandardInput(inputs)
    try memslots.check(inputs: inputs.count)
  }

  func run() throws {
    try check()
    terminal.takeEffect()
    if let reproduce { return try Reproduction(file: reproduce, inProcess: inProcess).run(on: after!) }
    let thresholds = try failIf.map(Threshold.init(failIf:))
    var outputs = try OutputPlan(inputs: inputs + memslots.paths)
    let jsonTarget = try jsonPath.map { try outputs.target($0) }
    let htmlTarget = try htmlPath.map { try outputs.target($0) }
    let textTarget = try outputs.target("-")
    let traces = try Diagnostics.open(all: inputs, spool, allowLoss: allowLoss)
    var losses = Losses()
    var report = try compare(traces, &losses)
    let checked = report.comparison.check(thresholds)
    if let unknown = checked.unknown.first { throw report.comparison.lacksMetric(of: unknown) }
    if let untold = checked.unrecorded.first { throw report.comparison.lacksFigure(of: untold) }
    let exceeded = zip(failIf, thresholds).filter { checked.exceeded.contains($0.1) }
    report.exceeded = exceeded.map(\.0)
    if let jsonTarget { try Output.write(JSON.signed(report), to: jsonTarget) }
    if let htmlTarget {
      let named = zip(failIf, thresholds).map { HTMLReport.NamedThreshold($0, $1) }
      let page = HTMLReport.page(report, thresholds: named, maker: ToolIdentity.current.line)
      try Output.write(page.source, to: htmlTarget)
    }
    if terminal.printsPage(besides: [jsonPath, htmlPath]) {
      try Output.write(report.text(all: all, in: terminal.form), to: textTarget)
    }
    for (text, threshold) in exceeded {
      Diagnostics.error("exceeded: \(text): \(report.comparison.found(threshold))")
    }
    try losses.finish(allowLoss: allowLoss)
    let isLost = report.recordings.contains { !$0.lost.isEmpty }
    let fails = failIf.isEmpty ? report.verdict == .differs : !exceeded.isEmpty || isLost
    if fails { throw ExitStatus.divergence }
    if report.verdict == .unknown {
      throw Diagnostics.failure(
        "nothing was compared: no recording leads to a call of a stage-2 function and tells what is mapped",
        .usage)
    }
  }

  private func compare(_ traces: [TraceFile], _ losses: inout Losses) throws -> PatchReport {
    var sides = PatchSides(before: before!, after: after!, inProcess: inProcess, testsFirst: !noSelfTest)
    var found: [(sides: PatchFindings, certainty: CallCertainty)] = []
    var recordings: [PatchRecording] = []
    var files = ReproducerFiles(directory: reproducers)
    for (position, trace) in traces.enumerated() {
      let (findings, certainty) = try replay(position, trace, &sides, &losses)
      found.append((findings, certainty))
      let lost = findings.lost.map { lost in
        PatchLostVM(lost, reproducer: files.write(lost, of: trace.path, findings.sides[lost.side]))
      }
      recordings.append(PatchRecording(trace.path, findings, lost: lost))
    }
    return PatchReport(found, recordings, selfTests: sides.selfTests, notes: losses.notes + losses.lacks)
  }

  /// Replays one recording, with both sides behind.
  private func replay(
    _ position: Int, _ trace: TraceFile, _ sides: inout PatchSides, _ losses: inout Losses
  ) throws -> (sides: PatchFindings, certainty: CallCertainty) {
    var request = ProfileRequest()
    if let size = pageSize.size { request.pageSize = size }
    var options = ReplayOptions()
    options.memslots = try memslots.resolve(position, for: trace, pageSize.size)
    let (traced, choices) = try sides.choices(for: trace, request)
    do {
      let conductor = try CallConductor(choices)
      let (result, statistics) = try Replays.run(
        trace, profile: request, of: traced, options: options, led: conductor)
      losses.note(trace, statistics)
      losses.note(trace, result, statistics, memslots: options.memslots)
      Phases.begin("comparison of \(trace.path)")
      return (try conductor.finish(), CallCertainty(result))
    } catch let failure as FollowerFailure {
      throw Diagnostics.failure(failure, of: trace.path)
    }
  }
}
