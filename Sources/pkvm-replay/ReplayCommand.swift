import ArgumentParser
import CostFit
import ForeignStage2
import HTMLReport
import KVMTrace
import KVMTypes
import Pictures
import Reporting
import Stage2Model
import Stage2Replay

/// `replay`: what the host's stage-2 MMU did, and what it cost.
struct ReplayCommand: CheckedCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay",
    abstract: "Replays a trace through a model of the host's stage-2 MMU and reports what it did.",
    discussion: """
      Several inputs are recordings of their own, replayed one after the other into one report: their VMs have nothing to do \
      with each other. Parts of one host's trace, of which the later ones go on where the earlier ones end (trace-cmd split), \
      are not put together. All inputs are opened before the first is replayed.

      Exit status, of several inputs the highest: 0 done; 1 unexplained divergences, see `rules`; 2 the trace is damaged or lost events, unless --allow-loss; \
      4 the shared object of --backend cannot be used, or its kernel stopped; 65 not a trace, none of an arm64 KVM host, or not a file of memslots; 66 no such input; 74 read or write error.

      Examples:
        pkvm-replay replay trace.dat
        pkvm-replay replay trace.dat --html report.html
        pkvm-replay replay trace.perfetto-trace --perfetto tracks.perfetto-trace
        pkvm-replay replay trace.dat --json report.json --csv series --ops ops.csv
        pkvm-replay replay before.dat after.dat --heatmap
      """)

  @Argument(help: "Recordings of any format, or - for standard input.", completion: .file())
  var inputs: [String]

  @Option(
    help: """
      What to model: auto reads it off the trace; pkvm and traditional name the MMU and leave the rest to the trace; a \
      kernel's release, such as 7.3, leaves the machine and the MMU to the trace, 7.3-pkvm the machine; or a JSON file. See \
      profiles.
      """)
  var profile: ProfileArgument?

  @OptionGroup var pageSize: PageSizeOption

  @OptionGroup var memslots: MemslotFiles

  @Flag(help: "Infer the memslots from faults and notifiers even if probes recorded them.")
  var inferMemslots = false

  @Option(
    help: ArgumentHelp(
      "Replay events from this moment on, in seconds of the trace's clock (ticks of one that counts those), or +SECONDS since its first event, or the beginning of a part.",
      valueName: "seconds"))
  var from: TraceTime?

  @Option(
    help: ArgumentHelp(
      "Replay events before this moment, in seconds of the trace's clock (ticks of one that counts those), or +SECONDS since its first event, or the beginning of a part.",
      valueName: "seconds"))
  var to: TraceTime?

  @Option(
    name: .customLong("vm"),
    help: """
      Report only this VM, by its number in the report; can be given several times. With several inputs the input's \
      position stands before it, both from 0: 1:0 is the first VM of the second input. What is told of the trace as a \
      whole stays as it is, such as the prediction against its probes.
      """)
  var vms: [VMArgument] = []

  @Flag(help: "Leave the probes on the kernel's own operations out of account entirely.")
  var ignoreProbes = false

  @Option(
    name: .customLong("json"),
    help: ArgumentHelp(
      "Write the report as JSON to this file; - is standard output.", valueName: "file"),
    completion: .file())
  var jsonPath: String?

  @Option(
    name: .customLong("html"),
    help: ArgumentHelp(
      """
      Write the report with plots over time and a map of guest memory to this file, as a page for a browser that needs no network; - \
      is standard output.
      """, valueName: "file"),
    completion: .file())
  var htmlPath: String?

  @Option(
    name: .customLong("csv"),
    help: ArgumentHelp(
      """
      Write the series over time as CSV files to this directory: memory, lock, working-set, first-touch, idle. With several \
      inputs, to a directory for each in it: 0, 1 and so on.
      """, valueName: "directory"),
    completion: .directory)
  var csvDirectory: String?

  @Option(
    name: .customLong("costs"),
    help: """
      Price the time under mmu_lock: a file that calibrate wrote, or a built-in set: assumed, orders of magnitude with cache \
      maintenance page by page, or assumed-pmd-fixmap, with that of a block at once, as from 6.16 on. Modelled times carry the \
      error that calibrate found.
      """)
  var costs: CostsArgument?

  @Flag(
    help: """
      Simulate each VM's lock from the sections that probes recorded: faults that take it to read and to write, with fewer and \
      more vCPUs.
      """)
  var contention = false

  @Option(
    help:
      "How many of the longest holds of each VM's lock, and of the longest waits for it, to list; 0 to 1000.")
  var longest = 5

  @Option(
    help: ArgumentHelp(
      """
      For --contention: the vCPUs, as a multiple of those recorded; can be given several times. Without this, 0.5, 1, 2 and 4.
      """, valueName: "factor"))
  var scale: [Double] = []

  @Option(help: "For --contention: the seed of the random draws, else 1.")
  var seed: UInt64?

  @Flag(help: "Leave the series over time out of the JSON report.")
  var noSeries = false

  @Option(
    name: .customLong("ops"),
    help: ArgumentHelp(
      """
      Write every operation as CSV to this file; - is standard output. With several inputs, the last column is the input's \
      position, from 0.
      """, valueName: "file"),
    completion: .file())
  var operationsPath: String?

  @Option(
    name: .customLong("perfetto"),
    help: ArgumentHelp(
      """
      Write the replay as tracks of the Perfetto UI to this file: faults with the operations that they led to, time under \
      mmu_lock, memory, divergences. `cat` puts them behind a trace of Perfetto that was replayed.
      """, valueName: "file"),
    completion: .file())
  var perfettoPath: String?

  @Option(
    name: .customLong("sqlite"),
    help: ArgumentHelp(
      """
      Write the replay as a SQLite database to this file: operations, faults, memory behind each change, time under mmu_lock, divergences. \
      A database that this program wrote is replaced, any other file is not.
      """, valueName: "file"),
    completion: .file())
  var sqlitePath: String?

  @Flag(
    help: """
      Draw the memory of each VM on the page: addresses down, time across, and a digit for how much happened there. For a pipe it is \
      as wide as for a terminal of 100 columns.
      """)
  var heatmap = false

  @Option(
    help: ArgumentHelp(
      """
      Put the stage-2 MMU of a shared object in the place of the model: a kernel's own C, see the page Patch. VMs are then executed \
      one after the other.
      """, valueName: "file"),
    completion: .file())
  var backend: String?

  @OptionGroup var spool: SpoolOptions
  @OptionGroup var jobs: JobsOptions
  @OptionGroup var terminal: TerminalOptions

  @Flag(help: "Exit with 0 even if events were lost or the file is damaged.")
  var allowLoss = false

  func check() throws {
    try checkStandardOutput([
      "--json": jsonPath, "--html": htmlPath, "--ops": operationsPath, "--perfetto": perfettoPath,
    ])
    if sqlitePath == "-" {
      throw ValidationError("--sqlite writes a database, which is a file, not to standard output: name one")
    }
    if csvDirectory == "-" {
      throw ValidationError("--csv writes several files, not to standard output: name a directory")
    }
    if csvDirectory?.isEmpty == true { throw ValidationError("--csv has an empty name: name a directory") }
    if heatmap, [jsonPath, htmlPath, operationsPath, perfettoPath].contains(where: StandardOutput.isMeant) {
      throw ValidationError(
        "--heatmap is drawn on the page, which is not printed where a file goes to standard output")
    }
    guard scale.allSatisfy({ $0 > 0 && $0 <= 1024 }) else {
      throw ValidationError("--scale is above 0, at most 1024")
    }
    guard (0...1000).contains(longest) else { throw ValidationError("--longest is 0 to 1000") }
    if !contention, !scale.isEmpty || seed != nil {
      throw ValidationError("--scale and --seed go with --contention")
    }
    if contention, ignoreProbes {
      throw ValidationError("--contention needs the probes that --ignore-probes leaves out")
    }
    try TraceTime.check(from: from, to: to)
    try memslots.check(inputs: inputs.count)
    if memslots.isGiven, inferMemslots {
      throw ValidationError("--memslots and --infer-memslots exclude each other")
    }
    try checkStandardInput(inputs)
    for vm in vms {
      if let input = vm.input, input >= inputs.count {
        throw ValidationError("--vm \(input):\(vm.vm): there is no such input, they are numbered from 0")
      }
      if vm.input == nil, inputs.count > 1 {
        throw ValidationError("--vm \(vm.vm): with several inputs, say of which, such as 0:\(vm.vm)")
      }
    }
  }

  /// What the command line says about the kernel and machine to model.
  private func profileRequest() throws -> ProfileRequest {
    var request = try profile?.request() ?? ProfileRequest()
    if let size = pageSize.size { request.pageSize = size }
    return request
  }

  func run() throws {
    try check()
    terminal.takeEffect()
    var outputs = try OutputPlan(
      inputs: inputs + memslots.paths + [profile?.text, costs?.text].compactMap(\.self))
    let operationsTarget = try operationsPath.map { try outputs.target($0) }
    let jsonTarget = try jsonPath.map { try outputs.target($0) }
    let perfettoTarget = try perfettoPath.map {
      try outputs.recordingTarget($0, kind: "a Perfetto trace")
    }
    let databaseTarget = try sqlitePath.map { try outputs.databaseTarget($0) }
    let htmlTarget = try htmlPath.map { try outputs.target($0) }
    let textTarget = try outputs.target("-")
    let series = try csvDirectory.map { directory in
      try inputs.indices.map {
        try SeriesFiles(directory: inputs.count > 1 ? "\(directory)/\($0)" : directory, &outputs)
      }
    }
    let traces = try Diagnostics.open(all: inputs, spool, allowLoss: allowLoss)
    let costModel = try costs?.resolve()
    let library = try backend.map { try SideArgument.load($0) }
    let request = try profileRequest()
    let jobs = jobs.available()
    let files = ReplayFiles(
      operations: try operationsTarget.map { try OperationsFile($0, tellsInput: inputs.count > 1) },
      tracks: try perfettoTarget.map { try TracksFile($0, inputs: inputs.count) },
      database: try databaseTarget.map { try DatabaseFile($0) })
    let replayed = try traces.enumerated().map { position, trace in
      try replay(position, trace, request, jobs: jobs, costModel, library, files, series?[position])
    }
    let reports = replayed.map(\.report)
    try files.finish()
    if let jsonTarget { try Output.write(JSON.signed(ReplayReport(reports)), to: jsonTarget) }
    if let htmlTarget {
      let page = HTMLReport.page(replayed.compactMap(\.page), maker: ToolIdentity.current.line)
      try Output.write(page.source, to: htmlTarget)
    }
    let paths = [jsonPath, htmlPath, operationsPath, perfettoPath, sqlitePath]
    // Who asks for maps asks for the page, and for no file on standard output.
    if heatmap || terminal.printsPage(besides: paths + [csvDirectory]) {
      let page = ReplayReport.text(shown(reports), in: terminal.form, heat: shown(replayed.map(\.heat)))
      try Output.write(page, to: textTarget)
    }
    let statuses = inputs.indices.map { position in
      replayed[position].failure.map { Diagnostics.failure($0) }
        ?? status(inputs[position], reports[position])
    }
    if let worst = statuses.max(by: { $0.rawValue < $1.rawValue }), worst != .success { throw worst }
  }

  /// What came of one input.
  private struct Replayed {
    var report: ReplayReport
    /// What a page shows of it, if one is written.
    var page: HTMLReport.Recording?
    /// The maps of its VMs' memory, if they are drawn on the page.
    var heat: [HeatMap]
    /// Why not all of it could be read.
    var failure: IngestError?
  }

  /// Replays one input, and writes what does not wait for the others.
  private func replay(
    _ position: Int, _ trace: TraceFile, _ request: ProfileRequest, jobs: Int, _ costModel: CostModel?,
    _ library: BackendLibrary?, _ files: ReplayFiles, _ series: SeriesFiles?
  ) throws -> Replayed {
    let input = inputs[position]
    let window = try TraceTime.window(of: trace, from: from, to: to)
    var options = ReplayOptions()
    options.ignoresProbes = ignoreProbes
    options.memslots = try memslots.resolve(position, for: trace, pageSize.size)
    options.infersMemslots = inferMemslots
    options.from = window?.fromNs.map(Nanoseconds.init)
    options.to = window?.toNs.map(Nanoseconds.init)
    options.measuresWork = costModel != nil
    options.keepsSections = contention
    options.longest = longest
    options.jobs = jobs
    let asked = vms.filter { $0.input ?? 0 == position }.map(\.vm)

    let isWhole = vms.isEmpty
    let written = try files.recording(trace, position: position, vms: isWhole ? nil : Set(asked))
    let pictures =
      htmlPath != nil || heatmap
      ? ReplayPictures(of: isWhole ? nil : Set(asked), isOfTicks: trace.clock?.isNanoseconds == false) : nil
    // Where nobody looks at operations none is kept.
    let write = { (operation: Stage2Operation) in
      pictures?.add(operation)
      try written.add(operation)
    }
    let backend = library.map { ReplayedBackend($0) }
    var (result, statistics) = try Replays.run(
      trace, profile: request, options: options, backend: backend,
      observer: (written.observers + [pictures?.observer].compactMap(\.self)).reduce(ReplayObserver()) {
        $0.and($1)
      },
      onOperation: written.takesOperations || pictures != nil ? write : nil)
    for doubt in MemslotFit.doubts(options.memslots, result, statistics) {
      Diagnostics.note("\(input): \(doubt)")
    }
    try result.requireVMs(asked, of: input)
    if !isWhole {
      result.vms.removeAll { !asked.contains($0.id) }
      result.divergences = result.divergences.limited(to: asked)
    }
    var report = ReplayReport(trace, statistics, result, window: window)
    report.backend = backend.map { backend in
      let told = backend.logs.enumerated().map { (vm: $0, log: $1) }
      return ReplayReport.BackendEntry(backend.library, told.filter { isWhole || asked.contains($0.vm) })
    }
    let span = result.part.span(statistics)
    try written.finish(
      result, statistics, part: Nanoseconds(span.lowerBound)..<Nanoseconds(span.upperBound),
      of: report.inputs[0])
    if let costModel { report.price(result, costModel) }
    if contention {
      report.simulate(result, scales: scale.isEmpty ? [0.5, 1, 2, 4] : scale, seed: seed ?? 1)
      if !report.hasContention {
        Diagnostics.note("\(input): no probe recorded a section under the lock: nothing to simulate")
      }
    }
    for caveat in result.caveats { Diagnostics.note("\(input): \(caveat)") }
    let drawn = pictures?.finish(result, last: Nanoseconds(report.inputs[0].replayed.upperBound)) ?? []
    let heat = heatmap ? drawn.compactMap(\.heat) : []
    Limits.detail(result, statistics, of: input, drawn: heatmap ? heat.count : nil)
    try written.add(report)
    let page = htmlPath.map { _ in HTMLReport.Recording(report, pictures: drawn, gaps: result.gaps) }
    if noSeries { report.removeSeries() }
    try series?.write(result)
    return Replayed(report: report, page: page, heat: heat, failure: statistics.readFailure)
  }

  /// What there is of the inputs of which something was asked for.
  private func shown<Value>(_ all: [Value]) -> [Value] {
    guard !vms.isEmpty else { return all }
    let asked = Set(vms.map { $0.input ?? 0 })
    return all.indices.filter(asked.contains).map { all[$0] }
  }

  /// The exit status that one input would have by itself, and a line about why it is not 0.
  private func status(_ input: String, _ report: ReplayReport) -> ExitCode {
    if let backend = report.backend, let stopped = backend.stopped {
      Diagnostics.error("\(input): \(backend.path): \(stopped)")
      return ExitStatus.noBackend
    }
    if let incomplete = report.inputs.first(where: \.isIncomplete), !allowLoss {
      Diagnostics.error("\(input): \(incomplete.incompleteness)")
      return ExitStatus.incomplete
    }
    let unexplained = report.divergences.unexplained
    guard unexplained > 0 else { return .success }
    let other = profile == nil ? nil : report.otherKernel
    Diagnostics.error(
      contradictions: unexplained, of: input,
      hint: other.map { "; \($0): compare asks what another kernel would do" } ?? "")
    return ExitStatus.divergence
  }
}
