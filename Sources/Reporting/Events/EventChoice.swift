public import KVMTrace
internal import KVMTypes

/// Which kinds of events a user named: `kvm_exit`, `kvm_*`, `kvm:kvm_exit`, `lock:*`, in lists with commas or one by one.
public struct EventChoice: Sendable {
  /// A pattern that no event of the trace has.
  public struct Unknown: Error, Sendable {
    /// What is wrong, with names that are near.
    public let message: String
  }

  /// The numbers of the chosen formats.
  public let ids: Set<UInt16>

  /// The formats among `formats` that `arguments` name.
  public init(_ arguments: [String], among formats: [EventFormat]) throws(Unknown) {
    var ids: Set<UInt16> = []
    for argument in arguments {
      for pattern in argument.split(separator: ",", omittingEmptySubsequences: false) {
        let found = Self.formats(formats, named: String(pattern))
        guard !found.isEmpty else { throw Unknown(message: Self.message(String(pattern), formats)) }
        ids.formUnion(found.map(\.id))
      }
    }
    self.ids = ids
  }

  private static func formats(_ formats: [EventFormat], named pattern: String) -> [EventFormat] {
    let parts = pattern.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    let name = Glob(parts[parts.count - 1])
    let system = parts.count == 2 ? Glob(parts[0]) : nil
    return formats.filter { (system?.matches($0.system) ?? true) && name.matches($0.name) }
  }

  private static func message(_ pattern: String, _ formats: [EventFormat]) -> String {
    if pattern.isEmpty { return "--event has an empty name; info lists the events of a trace" }
    let names = formats.map { pattern.contains(":") ? "\($0.system):\($0.name)" : $0.name }
    let near = NearNames.of(pattern.filter { $0 != "*" && $0 != "?" }, among: names)
    return "has no event named \(pattern); "
      + (near.isEmpty ? "" : "near are \(near.joined(separator: ", ")); ") + "info lists those it has"
  }
}
