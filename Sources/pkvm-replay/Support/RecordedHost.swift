import FoundationEssentials
import KVMTrace
import KVMTypes
import Stage2Model
import Stage2Replay

/// The host of a recording, and what it recorded, as far as recordings of one workload should agree in it.
struct RecordedHost {
  /// What is said of it, by what that is.
  let facts: [(name: String, value: String)]

  init(_ trace: TraceFile, _ result: ReplayResult) {
    let words = trace.uname.split(separator: " ")
    let account = trace.account
    func tells(_ kind: EventKind) -> String {
      account.kinds?.contains(kind) == true ? "recorded" : account.listsKinds ? "not recorded" : "none came"
    }
    facts = [
      ("page size", "\(result.profile.pageSize.bytes / 1024) KiB"),
      ("MMU", result.profile.isPKVM ? "pKVM" : "traditional"),
      ("kernel", words.count > 2 ? String(words[2]) : "unknown"),
      ("memslots", tells(.commitMemoryRegion)), ("ends of VMs", tells(.destroyVM)),
    ]
  }

  /// One sentence about what the hosts of two sides differ in; none where they agree.
  static func differences(_ before: [RecordedHost], _ after: [RecordedHost]) -> [String] {
    let names = (before.first ?? after.first)?.facts.map(\.name) ?? []
    let found = names.indices.compactMap { fact -> String? in
      func values(_ hosts: [RecordedHost]) -> String {
        Set(hosts.map { $0.facts[fact].value }).sorted().joined(separator: ", ")
      }
      let (first, second) = (values(before), values(after))
      return first == second ? nil : "\(names[fact]) (\(first); \(second))"
    }
    return found.isEmpty ? [] : ["The sides differ in \(found.joined(separator: ", "))."]
  }

  /// One sentence about files that are given more than once: what is the same says nothing of chance.
  static func repetition(_ paths: [String]) -> [String] {
    var seen: Set<String> = []
    let repeated = paths.filter {
      $0 != "-" && !seen.insert(URL(fileURLWithPath: $0).resolvingSymlinksInPath().path).inserted
    }
    return Set(repeated).sorted().map { "\($0) is given more than once: it is no independent sample." }
  }
}
