import ArgumentParser
import HTMLReport
import KVMTrace
import KVMTypes
import Reporting
import Stage2Model
import Stage2Replay

/// `capacity`: the memory that a host must set aside for VMs like those recorded.
struct CapacityCommand: CheckedCommand {
  static let configuration = CommandConfiguration(
    commandName: "capacity",
    abstract:
      "Says what a number of VMs like those recorded cost their host in stage-2 memory and lock time.",
    discussion: """
      Every VM of every recording is a sample: what its stage 2 had at most of mapping objects (tree), tables with the PGD, \
      caches of spare pages, and EL2's structures, on so much RAM. RAM is what the guest can write to, in slots of a 64th \
      of the largest or more; firmware, flash and devices are as large in any VM. The distribution over the VMs names the \
      recording and the VM of its least, median and most. A VM is told by its recording's position and its number there. A \
      recording that is given twice counts once. Recordings of hosts of different page sizes need --page-size, which says the \
      plan's; those of another one tell only which share of its RAM a VM touched.

      Cases: a VM like those recorded, with the planned memory and vCPUs; and the bounds, everything touched by blocks (of \
      1 GiB, too, where the host may map such) or by pages alone. A protected guest has pages alone. All lie between nothing touched and all touched by \
      pages. "One more such VM" is where another VM of the kind is to be expected, 19 \
      times of 20. A VM had settled if neither the most bytes that it ever had nor its touched memory grew by over 5 % in the last \
      quarter of its time.

      mmu_lock is one for each VM: the recorded sections are simulated with the planned vCPUs. Under pKVM the host lock of \
      EL2 is one for the machine, held by each share, unshare, donate and reclaim: the loads of the VMs add up until it is \
      saturated. What holds take are the costs of --costs, else those fitted to the recordings, else assumed ones.

      Exit status: 0 done; 1 unexplained divergences, see `rules`; 2 a trace is damaged or lost events, unless --allow-loss; 64 usage; 65 not a trace, or not a file of memslots; 66 no such \
      input; 74 read or write error.

      Examples:
        pkvm-replay capacity --vms 100 --memory 4GiB
        pkvm-replay capacity --vms 100 --memory 4GiB --vcpus 4 trace.dat
        pkvm-replay capacity --vms 100 --memory 4GiB --html plan.html trace.dat
      """)

  @Argument(help: "Recordings; without any, the bounds alone.", completion: .file())
  var inputs: [String] = []

  @Option(help: "How many VMs.")
  var vms: Int

  @Option(
    help: ArgumentHelp(
      "The RAM of each VM with its unit, such as 4GiB, 1.5GiB or 512MiB; a whole number of the host's pages.",
      valueName: "size"),
    transform: MemorySize.parse)
  var memory: MemorySize

  @Option(help: "The vCPUs of each VM.")
  var vcpus: Int = 2

  @Option(
    help:
      "The host: a built-in profile (see profiles) or a JSON file. Else that of the first recording, or 7.3-pkvm."
  )
  var profile: ProfileArgument?

  @OptionGroup var pageSize: PageSizeOption
  @Option(
    help: """
      Costs of the host lock: a file of calibrate, or a built-in set: assumed, orders of magnitude with cache maintenance page \
      by page, or assumed-pmd-fixmap, with that of a block at once, as from 6.16 on.
      """)
  var costs: CostsArgument?

  @OptionGroup var memslots: MemslotFiles

  @Option(
    name: .customLong("json"),
    help: ArgumentHelp(
      "Write the plan as JSON to this file; - is standard output.", valueName: "file"),
    completion: .file())
  var jsonPath: String?

  @Option(
    name: .customLong("csv"),
    help: ArgumentHelp(
      "Write the cases as CSV to this file; - is standard output.", valueName: "file"),
    completion: .file())
  var csvPath: String?

  @Option(
    name: .customLong("curve"),
    help: ArgumentHelp(
      "Write what the recorded VMs occupied over time as CSV to this file; - is standard output.",
      valueName: "file"),
    completion: .file())
  var curvePath: String?

  @Option(
    name: .customLong("html"),
    help: ArgumentHelp(
      """
      Write the plan with its cases as bars and the recorded VMs over time to this file, as a page for a browser that needs no network; \
      - is standard output.
      """, valueName: "file"),
    completion: .file())
  var htmlPath: String?

  @OptionGroup var spool: SpoolOptions

  @OptionGroup var terminal: TerminalOptions

  @Flag(help: "Exit with 0 even if events were lost or a file is damaged.")
  var allowLoss = false

  func check() throws {
    guard (1...1_000_000).contains(vms) else { throw ValidationError("--vms is 1 to 1000000") }
    guard (1...512).contains(vcpus) else { throw ValidationError("--vcpus is 1 to 512") }
    try memslots.check(inputs: inputs.count)
    try checkStandardOutput([
      "--json": jsonPath, "--csv": csvPath, "--curve": curvePath, "--html": htmlPath,
    ])
  }

  func run() throws {
    try check()
    terminal.takeEffect()
    var outputs = try OutputPlan(
      inputs: inputs + memslots.paths + [profile?.text, costs?.text].compactMap(\.self))
    let jsonTarget = try jsonPath.map { try outputs.target($0) }
    let csvTarget = try csvPath.map { try outputs.target($0) }
    let curveTarget = try curvePath.map { try outputs.target($0) }
    let htmlTarget = try htmlPath.map { try outputs.target($0) }
    let textTarget = try outputs.target("-")
    let given = try profile?.request()
    let costModel = try costs?.resolve()
    var notes: [String] = []
    func tell(_ note: String) {
      notes.append(note)
      Diagnostics.note(note)
    }
    let traces = try open(tell)
    let machine = try PlannedMachine(given, name: profile?.text, stated: pageSize.size, traces.map(\.trace))
    var recordings: [CapacityRecording] = []
    var losses = Losses()
    var divergent = false
    for (position, trace) in traces {
      let slots = try memslots.resolve(position, for: trace, machine.tracedPageSize)
      Phases.begin("replays of \(inputs[position])")
      let (recording, statistics) = try Replays.explaining(trace) {
        try CapacityRecording.replay(
          trace, name: inputs[position], position: position, traced: machine.traced, memslots: slots,
          host: machine.host)
      }
      for doubt in MemslotFit.doubts(slots, recording.result, statistics) {
        tell("\(inputs[position]): \(doubt)")
      }
      if recording.samples.isEmpty {
        tell(
          "\(inputs[position]): left out, for \(recording.result.lack ?? "no VM touched memory")")
      } else {
        for caveat in recording.result.caveats { tell("\(inputs[position]): \(caveat)") }
      }
      let unexplained = recording.result.divergences.unexplained
      if unexplained > 0 {
        divergent = true
        Diagnostics.error(contradictions: unexplained, of: inputs[position])
      }
      recordings.append(recording)
      losses.note(trace, statistics)
    }
    Phases.begin("plan")
    let request = try machine.request(vms: vms, memory: memory, vcpus: vcpus, recordings)
    try checkMemory(request.profile)
    var plan = try CapacityPlan(request, recordings, costs: costModel)
    if let costs, plan.hostLock == nil {
      tell("--costs \(costs.text): of no account, for nothing tells what the VMs ask of a host lock")
    }
    plan.notes = losses.notes + notes
    if let jsonTarget { try Output.write(JSON.signed(plan), to: jsonTarget) }
    if let csvTarget { try Output.write(plan.csv, to: csvTarget) }
    if let curveTarget { try Output.write(plan.curveCSV, to: curveTarget) }
    if let htmlTarget {
      let page = HTMLReport.page(plan, maker: ToolIdentity.current.line)
      try Output.write(page.source, to: htmlTarget)
    }
    if terminal.printsPage(besides: [jsonPath, csvPath, curvePath, htmlPath]) {
      try Output.write(plan.text(in: terminal.form), to: textTarget)
    }
    try losses.finish(allowLoss: allowLoss)
    if divergent { throw ExitStatus.divergence }
  }

  /// Opens the recordings, each once however often it is given, with their positions on the command line.
  private func open(_ tell: (String) -> Void) throws -> [(position: Int, trace: TraceFile)] {
    try OpenFiles.makeRoom(for: inputs.count)
    var repeated = RepeatedInputs()
    return try inputs.enumerated().compactMap { position, input in
      if let earlier = repeated.earlier(input) {
        tell("\(input): counted once, for it is the same recording as \(earlier)")
        return nil
      }
      return (position, try Diagnostics.open(input, spool, allowLoss: allowLoss))
    }
  }

  /// The memory has to fit into a VM and be one that a VMM can give it, and that of all of them into what a number can tell.
  private func checkMemory(_ profile: Profile) throws {
    guard (1...(try profile.geometry().ipaLimit)).contains(memory.bytes) else {
      throw ValidationError("--memory \(memory) does not fit into \(profile.ipaBits) bits of IPA")
    }
    let page = profile.pageSize.bytes
    guard memory.bytes % page == 0 else {
      let fewer = memory.bytes / page * page
      throw ValidationError(
        "--memory \(memory) is no whole number of the host's pages of \(page / 1024) KiB, which a memslot has: say "
          + (fewer > 0 ? "\(MemorySize(bytes: fewer)) or " : "") + "\(MemorySize(bytes: fewer + page))")
    }
    guard !memory.bytes.multipliedReportingOverflow(by: UInt64(vms)).overflow else {
      throw ValidationError("--vms \(vms) of \(memory) are more memory than 64 bits can address")
    }
  }
}
