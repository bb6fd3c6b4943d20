import KVMTrace
import KVMTypes
import Reporting
import Stage2Model
import Stage2Replay

/// The host of a recording, and what it recorded, as far as recordings of one workload should agree in it.
struct RecordedHost {
  /// What is said of it.
  private let facts: [Comparison.Fact]
  private let name: String

  /// - Parameters:
  ///   - profile: that of the kernel that recorded it.
  ///   - name: what the recording is called.
  init(_ trace: TraceFile, _ profile: ReplayProfile, name: String) {
    self.name = name
    let words = trace.uname.split(separator: " ")
    let account = trace.account
    func fact(_ name: String, _ kind: EventKind) -> Comparison.Fact {
      if account.kinds?.contains(kind) == true { return .init(name, "recorded", .recorded) }
      return .init(name, account.listsKinds ? "not recorded" : "none came", nil)
    }
    facts = [
      .init("page size", "\(profile.pageSize.bytes / 1024) KiB", profile.basis[.pageSize] ?? .assumed),
      .init("MMU", profile.isPKVM ? "pKVM" : "traditional", profile.basis[.path] ?? .assumed),
      .init("kernel", words.count > 2 ? String(words[2]) : "unknown", words.count > 2 ? .recorded : nil),
      fact("memslots", .commitMemoryRegion), fact("ends of VMs", .destroyVM),
    ]
  }

  /// It as a comparison tells of it.
  var described: Comparison.Described { Comparison.Described(name, facts) }

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
}

extension ReplayProfile {
  /// Its fields, as a comparison tells of them.
  var facts: [Comparison.Fact] {
    Profile.fields.map {
      Comparison.Fact($0.name, $0.value(in: profile).description, basis[$0.id] ?? .assumed)
    }
  }
}
