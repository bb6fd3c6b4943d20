import ArgumentParser
import KVMTypes
import Stage2Replay

extension ReplayResult {
  /// Ends the command where one of the VMs that were asked for is none of this replay of `input`.
  func requireVMs(_ asked: [Int], of input: String) throws {
    guard let unknown = asked.first(where: { id in !vms.contains { $0.id == id } }) else { return }
    throw Diagnostics.failure(
      "\(input): has no VM \(unknown); \(VMNumbers.text(vms.map { ($0.id, $0.creator?.rawValue) }))", .usage)
  }
}

/// The VMs of a replay, for a message.
enum VMNumbers {
  /// So many are named.
  private static let namedMax = 8

  /// "there are VM 0 of process 140 and VM 1 of process 150".
  static func text(_ vms: [(id: Int, process: Int32?)]) -> String {
    if vms.isEmpty { return "there is none" }
    let names = vms.prefix(namedMax).map { "VM \($0.id)" + ($0.process.map { " of process \($0)" } ?? "") }
    if vms.count == 1 { return "there is \(names[0])" }
    let rest = vms.count - names.count
    let last = rest > 0 ? "\(rest) more, up to VM \(vms[vms.count - 1].id)" : names[names.count - 1]
    return "there are \((rest > 0 ? names : names.dropLast()).joined(separator: ", ")) and \(last)"
  }
}
