import ArgumentParser
import ForeignStage2
import Reporting
import Stage2Model

/// `check-backend`: random calls on a shared object and on the model, which `patch` makes before it believes one.
struct CheckBackendCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check-backend", abstract: "Holds a shared object against the model by random calls.",
    discussion: """
      The shared object has the interface of stage2_backend.h. What differs first is printed with as few calls as show it, in the form \
      that patch --reproduce reads. Exit status: 0 all calls are alike; 3 one differs; 4 it cannot be used; a signal, if it crashes.
      """,
    shouldDisplay: false)

  @Argument(help: "The shared object.", completion: .file())
  var path: String

  @Option(help: "How many calls to make.")
  var calls = SelfTest.calls

  @Option(help: "The seed of the random calls.")
  var seed: UInt64 = 1

  @Option(help: "The kernel to hold it against, such as 7.3, in place of the one that it says it is.")
  var kernel: String?

  func validate() throws {
    if calls < 1 { throw ValidationError("--calls \(calls): what made no call has shown nothing") }
  }

  func run() throws {
    let library = try SideArgument.load(path)
    let release = kernel.map { KernelRelease($0) } ?? library.release
    guard let release else {
      throw ValidationError("--kernel: \(kernel ?? library.name) does not name a release, such as 7.3")
    }
    do {
      try StockCheck(library, era: release.era).run(calls: calls, seed: seed)
    } catch {
      try Output.write(error.description, to: .standardOutput)
      throw ExitStatus.selfTest
    }
    let line = "\(library.name): \(Quantity.count(calls)) random calls as the model of \(release.name)\n"
    try Output.write(line, to: .standardOutput)
  }
}
