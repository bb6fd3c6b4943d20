internal import KVMTypes
internal import Stage2Model

extension Stage2Walk {
  /// `no leaf, the walk ends at level 2`, `leaf of level 3, RW, young`.
  var words: String {
    switch self {
    case .invalid(let level): return "no leaf, the walk ends at level \(level.rawValue)"
    case .leaf(let level, let prot, let young):
      let execute: [Stage2Prot: String] = [
        .execute: "X", .privilegedExecute: "X at EL1", .userExecute: "X at EL0",
      ]
      let rights =
        (prot.contains(.read) ? "R" : "") + (prot.contains(.write) ? "W" : "")
        + (execute[prot.intersection(.execute)] ?? "")
      return
        "leaf of level \(level.rawValue), \(rights.isEmpty ? "no rights" : rights), \(young ? "young" : "old")"
    }
  }
}
