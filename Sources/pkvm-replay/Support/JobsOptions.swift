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

  /// The threads, as far as the system lets the process have them; where they are fewer, one line says so.
  func available() -> Int {
    let wanted = jobs ?? min(max(ProcessInfo.processInfo.activeProcessorCount, 1), 256)
    let count = ThreadSupply.jobs(wanted)
    if count < wanted {
      Diagnostics.note(
        "the system refuses threads: \(count) of \(wanted) work\(count == 1 ? "s" : "") at once")
    }
    return count
  }
}
