import Foundation
import KVMTrace
import Testing

@testable import Stage2Replay

/// What the README says to record, what the lab records, and what a replay looks at.
@Suite("Events that are to be recorded")
struct RecommendedEventsTests {
  private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()

  private static func text(_ path: String) throws -> String {
    try String(contentsOf: root.appending(path: path), encoding: .utf8)
  }

  /// The events by the README's command, without their system.
  private static func recommended() throws -> Set<String> {
    let words = try text("README.md").split(whereSeparator: \.isWhitespace)
    return Set(
      words.filter { $0.hasPrefix("kvm:kvm_") || $0.hasPrefix("lock:") }
        .map { String($0.split(separator: ":")[1]) })
  }

  @Test("The README and the lab record every event whose absence a report would state, and no other")
  func events() throws {
    let asked = Set(RecordedEvents.allCosts.flatMap { $0.0.map(\.1) })
    // Decides whether a fault in a slot was an access to a device where KVM cannot tell what it was.
    #expect(try Self.recommended() == asked.union(["kvm_mmio_nisv"]))
    let lab = Set(try Self.text("tools/lab-kit/init").split { " ;\n".contains($0) }.map(String.init))
    for name in try Self.recommended() {
      let isRecorded =
        name.hasPrefix("kvm_") ? lab.contains(String(name.dropFirst(4))) : lab.contains("lock:\(name)")
      #expect(isRecorded, "\(name)")
    }
  }

  @Test("The probes that the README sets are those of the lab, but for the kernel's own operations")
  func probes() throws {
    let functions = [
      "kvm_arch_commit_memory_region", "kvm_unmap_gfn_range", "kvm_age_gfn", "kvm_arch_init_vm",
      "kvm_arch_destroy_vm",
    ]
    let (readme, lab) = (try Self.text("README.md"), try Self.text("tools/lab-kit/init"))
    for function in functions {
      func fields(_ text: String) -> Substring? {
        text.split(separator: "\n").first { $0.contains(" \(function) ") }?
          .split(separator: " \(function) ").last
      }
      let asked = try #require(fields(readme), "\(function)")
      #expect(fields(lab) == "'\(asked)'", "\(function)")
    }
  }
}
