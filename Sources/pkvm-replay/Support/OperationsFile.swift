import KVMTypes
import Stage2Replay

/// The operations file: CSV, one row for each call of a stage-2 function, in the order
/// of inputs and time.
final class OperationsFile {
  private var output: Output

  private let tellsInput: Bool

  /// - Parameter tellsInput: whether a last column says which of several inputs a row is from.
  init(_ target: OutputTarget, tellsInput: Bool) throws {
    self.tellsInput = tellsInput
    output = try Output(target)
    try output.line(
      "timeNs,cpu,tid,vm,operation,address,size,prot,ret,basis,protBasis" + (tellsInput ? ",input" : ""))
  }

  func write(_ operation: Stage2Operation, input: Int) throws {
    let prot = operation.prot.map { String($0.rawValue) } ?? ""
    let result = operation.result.map(String.init) ?? ""
    try output.line(
      "\(operation.time.rawValue),\(operation.cpu.rawValue),\(operation.tid.rawValue),\(operation.vm),"
        + "\(operation.kind.name),\(operation.address.rawValue),\(operation.size),\(prot),\(result),"
        + "\(operation.basis.name),\(operation.prot == nil ? "" : operation.protBasis?.name ?? "")"
        + (tellsInput ? ",\(input)" : "")
    )
  }

  func finish() throws { try output.finish() }
}
