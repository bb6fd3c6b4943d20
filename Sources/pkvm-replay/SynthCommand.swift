import ArgumentParser
import KVMTrace
import KVMTypes
import TraceSynth

/// `pkvm-replay synth OUT`: writes a made-up trace.
struct SynthCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "synth",
    abstract: "Writes a synthetic trace.dat of any size.",
    discussion: """
      Makes up guests whose vCPUs run, fault, trap and migrate, and a host that ages and reclaims their \
      memory. The trace is consistent: every fault is one that the guest's stage 2 would raise at that \
      moment, so a correct replay finds no divergence. The same options give the same events on every \
      machine, and the same bytes unless they are compressed. Memory use does not depend on the number of \
      events.

      Long traces pass through temporary files in TMPDIR (/tmp by default).

      Examples:
        pkvm-replay synth big.dat --events 5M --vcpus 8 --memory 16GiB
        pkvm-replay synth - --events 100k | pkvm-replay info -
      """)

  @Argument(
    help: ArgumentHelp("The file to write, - for standard output.", valueName: "out"), completion: .file())
  var output: String

  @Option(help: "How many events to write, such as 200000, 500k or 5M.")
  var events = EventCount(number: 1_000_000)

  @Option(help: "vCPUs of each VM.")
  var vcpus = 4

  @Option(help: "CPUs of the host.")
  var cpus = 4

  @Option(help: "Virtual machines.")
  var vms = 1

  @Option(
    help: ArgumentHelp(
      "Memory of each VM with its unit, such as 512MiB or 4GiB.", valueName: "size"),
    transform: MemorySize.parse)
  var memory = MemorySize(bytes: 1 << 30)

  @Option(help: "Where the random numbers start.")
  var seed: UInt64 = 1

  @Option(
    help: ArgumentHelp(
      "The host's page size: 4K, 16K or 64K.", valueName: "size"))
  var pageSize = PageSizeArgument(.size4K)

  @Option(help: "The version of the file format: v6 or v7.")
  var format = FileFormat.v7

  @Option(help: "How a v7 file is compressed: none, zstd or zlib.")
  var compression = FileCompression.none

  @Option(help: "How many runs of events are lost.")
  var losses = 0

  @Option(help: "How much of the memory has huge pages behind it, in percent.")
  var hugePages = 0

  @Option(help: "How many of a thousand steps age, test or unmap memory.")
  var notifiers = 80

  @Flag(help: "The CPUs set the access flag themselves: no access faults.")
  var hardwareAccessFlag = false

  @Flag(help: "Only faults, at random pages, and notifiers: no entries, exits and devices.")
  var faultsOnly = false

  @Flag(help: "Replace the file even if it is a recording.")
  var overwrite = false

  @OptionGroup var terminal: TerminalOptions

  func validate() throws {
    if format == .v6 && compression != .none {
      throw ValidationError("a v6 file cannot be compressed: use --format v7 or --compression none")
    }
    if let problem = workload.problem { throw ValidationError(problem) }
  }

  func run() throws {
    terminal.takeEffect()
    let flavour = TraceFlavour(
      version: format == .v6 ? .v6 : .v7, pageBytes: Int(pageSize.size.bytes),
      compression: compression.method)
    var outputs = try OutputPlan(inputs: [])
    let opened = try OpenedOutput(outputs.recordingTarget(output, overwrite: overwrite))
    do {
      let file = OutputFile(descriptor: opened.descriptor, name: opened.name)
      _ = try Synthesizer.write(workload, flavour, to: file, spillDirectory: TemporaryDirectory.path)
    } catch {
      throw Diagnostics.failure("\(error)", .inputOutput)
    }
    try opened.finish()
  }

  private var workload: SynthesizerConfiguration {
    var workload = SynthesizerConfiguration()
    workload.events = events.number
    workload.vms = vms
    workload.vcpus = vcpus
    workload.cpus = cpus
    workload.memoryBytes = memory.bytes
    workload.seed = seed
    workload.pageSize = pageSize.size
    workload.losses = losses
    workload.hugePagePercent = hugePages
    workload.notifierPermille = notifiers
    workload.hardwareAccessFlag = hardwareAccessFlag
    workload.faultsOnly = faultsOnly
    return workload
  }
}
