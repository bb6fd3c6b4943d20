import ArgumentParser
import ForeignStage2
import Reporting

/// The calls of a file that `patch` wrote, once more.
struct Reproduction {
  let file: String
  let inProcess: Bool

  func run(on side: SideArgument) throws {
    let text = try SideFile.text(at: file)
    let calls: [StageCall]
    switch Reproducer.calls(in: text) {
    case .success(let found): calls = found
    case .failure(let problem):
      throw Diagnostics.failure("\(file): \(problem)", .notATrace)
    }
    guard let shape = calls.lazy.compactMap(\.shape).first else {
      throw Diagnostics.failure("\(file): makes no VM", .notATrace)
    }
    guard case .library(let library) = try side.resolve(shape.pageSize) else {
      throw ValidationError("--after \(side.text): is neither a kernel tree nor a shared object")
    }
    do {
      try library.check(shape)
      let choice = inProcess ? FollowerChoice.local(library) : .child(library, program: OtherProgram.own)
      let conductor = try CallConductor([choice])
      for call in calls { conductor.repeatCall(call) }
      let findings = try conductor.finish()
      guard let lost = findings.lost.first else {
        let line = "\(library.name): all \(Quantity.count(calls.count)) calls return\n"
        return try Output.write(line, to: .standardOutput)
      }
      let line = "\(library.name): \(lost.reason.words) in call \(lost.call.number): \(lost.call.words)\n"
      try Output.write(line, to: .standardOutput)
      throw ExitStatus.divergence
    } catch let problem as BackendProblem {
      throw Diagnostics.failure(problem)
    } catch let failure as FollowerFailure {
      throw Diagnostics.failure(failure, of: file)
    }
  }
}
