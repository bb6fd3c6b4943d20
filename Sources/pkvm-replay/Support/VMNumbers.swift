import ArgumentParser
import Stage2Replay

extension ReplayResult {
  /// Ends the command where one of the VMs that were asked for is none of this replay of `input`.
  func requireVMs(_ asked: [Int], of input: String) throws {
    guard let unknown = asked.first(where: { id in !vms.contains { $0.id == id } }) else { return }
    Diagnostics.error("\(input): has no VM \(unknown), only \(vms.count) of them, numbered from 0")
    throw ExitCode.validationFailure
  }
}
