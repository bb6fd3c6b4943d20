import ArgumentParser
import FoundationEssentials
import Stage2Replay

/// How many threads `replay` may use.
struct JobsOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      """
      How many threads may work at once, 1 to 256: VMs are replayed side by side. The output is the same for every number. \
      Without this, one for each core.
      """, valueName: "threads"))
  var jobs: Int?

  func validate() throws {
    if let jobs, !(1...256).contains(jobs) { throw ValidationError("--jobs is 1 to 256") }
  }

  /// The threads.
  var count: Int { jobs ?? min(max(ProcessInfo.processInfo.activeProcessorCount, 1), 256) }
}
