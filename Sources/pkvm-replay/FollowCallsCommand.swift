import ArgumentParser
import ForeignStage2
import Reporting

/// `follow-calls`: what `patch` starts this program as, to load a shared object in a process of its own.
struct FollowCallsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "follow-calls", abstract: "Carries out the calls of a patch that runs elsewhere.",
    shouldDisplay: false)

  @Argument(help: "The shared object.")
  var path: String

  func run() throws {
    do {
      try FollowingProcess.run(path: path)
    } catch let problem as BackendProblem {
      throw Diagnostics.failure(problem)
    } catch {
      throw Diagnostics.failure("follow-calls is what patch runs, and nothing else: \(error)", .usage)
    }
  }
}
