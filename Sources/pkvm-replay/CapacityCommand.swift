import ArgumentParser
import KVMTrace
import KVMTypes
import Reporting
import Stage2Model
import Stage2Replay

/// `capacity`: the memory that a host must set aside for VMs like those recorded.
struct CapacityCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "capacity",
    abstract:
      "Says what a number of VMs like those recorded cost their host in stage-2 memory and lock time.",
    discussion: """
      The recordings tell how much of its memory a guest touches, how much of that the host backs with huge pages, and how \
      long the lock is held. What they leave open is a range, with the assumptions printed.

      Exit status: 0 done; 2 a trace is damaged or lost events, unless --allow-loss; 64 usage; 65 not a trace, or not a file of memslots; 66 no such \
      input; 74 read or write error.
      """)

  @Argument(help: "Recordings; without any, the bounds alone.")
  var inputs: [String] = []

  @Option(help: "How many VMs.")
  var vms: Int

  @Option(
    help: "The memory of each VM with its unit, such as 4GiB, 1.5GiB or 512MiB.",
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

  @OptionGroup var memslots: MemslotFiles

  @Option(name: .customLong("json"), help: "Write the plan as JSON to this file; - is standard output.")
  var jsonPath: String?

  @Option(name: .customLong("csv"), help: "Write the cases as CSV to this file; - is standard output.")
  var csvPath: String?

  @OptionGroup var spool: SpoolOptions

  @Flag(help: "Exit with 0 even if events were lost or a file is damaged.")
  var allowLoss = false

  mutating func validate() throws {
    guard (1...1_000_000).contains(vms) else { throw ValidationError("--vms is 1 to 1000000") }
    guard (1...512).contains(vcpus) else { throw ValidationError("--vcpus is 1 to 512") }
    try memslots.check(inputs: inputs.count)
    if jsonPath == "-", csvPath == "-" {
      throw ValidationError("--json and --csv cannot both go to standard output")
    }
  }

  func run() throws {
    var outputs = try OutputPlan(inputs: inputs + memslots.paths + [profile?.text].compactMap(\.self))
    let jsonTarget = try jsonPath.map { try outputs.target($0) }
    let csvTarget = try csvPath.map { try outputs.target($0) }
    let textTarget = try outputs.target("-")
    _ = try profile?.request()
    var host: Profile?
    var observations: [WorkloadObservation] = []
    var losses = Losses()
    for (position, input) in inputs.enumerated() {
      let trace = try Diagnostics.open(input, spool)
      var options = ReplayOptions()
      options.memslots = try memslots.resolve(position, for: trace, pageSize.size)
      var request = ProfileRequest()
      request.pageSize = pageSize.size
      let (result, statistics) = try Replays.run(trace, profile: request, options: options)
      if let observation = WorkloadObservation(input, result, spanNs: statistics.span.rawValue) {
        observations.append(observation)
      } else {
        Diagnostics.note("\(input): no VM touched memory; left out")
      }
      if host == nil { host = result.profile.profile }
      losses.note(trace, statistics)
    }
    // Another kernel is on the recorded machine.
    if let profile { host = try profile.resolve(on: host) }
    let request = CapacityRequest(
      vms: vms, memoryBytes: memory.bytes, vcpus: vcpus, profile: host ?? Profile(path: .pkvm, era: .v7_3))
    let limit = try request.profile.geometry().ipaLimit
    guard (1...limit).contains(memory.bytes) else {
      throw ValidationError(
        "--memory \(memory) does not fit into \(request.profile.ipaBits) bits of IPA")
    }
    let plan = try CapacityPlan(request, observations)
    if let jsonTarget { try Output.write(JSON.signed(plan), to: jsonTarget) }
    if let csvTarget { try Output.write(plan.csv, to: csvTarget) }
    if jsonPath != "-", csvPath != "-" { try Output.write(plan.text(observations), to: textTarget) }
    try losses.finish(allowLoss: allowLoss)
  }
}
