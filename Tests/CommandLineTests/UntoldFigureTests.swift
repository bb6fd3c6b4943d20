import Foundation
import Testing

/// What a recording does not tell is no 0, and no figure is surer than what it rests on.
@Suite("Figures that are not told")
struct UntoldFigureTests {
  private static let guests = "traces/kvm-vhe-7.3.4-two-guests.dat"
  private static let pkvm = "traces/pkvm-nvhe-7.3.4-plain-guest.dat"

  /// A part of a recording that has these events alone.
  private func part(
    _ recording: String, _ events: String, _ body: (_ part: String) throws -> Void
  ) throws {
    let path = FileManager.default.temporaryDirectory.appending(path: "part-\(UUID().uuidString).dat").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    let source = Tool.root.appending(path: recording).path
    let sliced = try Tool.run(["slice", source, path, "--event", events])
    #expect(sliced.status == 0, "\(sliced.errors)")
    try body(path)
  }

  private func json(_ outcome: Tool.Outcome) throws -> [String: Any] {
    try #require(
      try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any],
      "\(outcome.errors)")
  }

  @Test(
    "Calls for notifiers that were not recorded are unknown in a comparison, and no threshold fails for them")
  func compare() throws {
    try part(Self.guests, "kvm_guest_fault,kvm_entry,kvm_exit") { part in
      let whole = Tool.root.appending(path: Self.guests).path
      let report = try json(try Tool.run(["compare", part, whole, "--json", "-"]))
      let metrics = try #require(report["metrics"] as? [String: [String: Any]])
      let unmaps = try #require(metrics["operations.unmap.count"])
      #expect(unmaps["before"] == nil && unmaps["after"] != nil && unmaps["kind"] as? String == "unknown")
      #expect(metrics["operations.map.count"]?["before"] != nil)
      let failed = try Tool.run(["compare", part, whole, "--fail-if", "operations.unmap.count>+5%"])
      #expect(failed.status == 64 && failed.errors.contains("unknown of"), "\(failed.errors)")
    }
  }

  @Test("Under pKVM all hypercalls together are unknown where those of a notifier are")
  func hypercalls() throws {
    let events = "kvm_guest_fault,kvm_entry,kvm_exit,kvm_unmap_hva_range,kvm_userspace_exit"
    try part(Self.pkvm, events) { part in
      let report = try json(
        try Tool.run(["compare", part, Tool.root.appending(path: Self.pkvm).path, "--json", "-"]))
      let metrics = try #require(report["metrics"] as? [String: [String: Any]])
      #expect(metrics["hypercallsTotal"]?["before"] == nil && metrics["hypercallsTotal"]?["after"] != nil)
      #expect(metrics["hypercalls.share_guest"]?["before"] != nil)
    }
  }

  @Test("A sum over recordings says of how many VMs it is not, and of calls that nothing tells it is none")
  func sums() throws {
    try part(Self.pkvm, "kvm_entry,kvm_exit,kvm_unmap_hva_range") { part in
      let whole = Tool.root.appending(path: Self.pkvm).path
      let text = try Tool.run(["replay", part, whole]).output
      let sum = try #require(text.range(of: "all 2 recordings").map { text[$0.upperBound...] })
      #expect(sum.contains(/faults +[0-9,]+:/) && sum.contains("are unknown"), "\(sum)")
      let page = try Tool.run(["replay", part, whole, "--html", "-"]).output
      #expect(page.contains("are unknown</td>"))
      let report = try json(try Tool.run(["replay", part, part, "--json", "-", "--no-series"]))
      let totals = try #require(report["totals"] as? [String: Any])
      #expect(totals["hypercallsTotal"] == nil && report["unattributedFaults"] == nil)
    }
  }

  @Test("A series of memory has no rows of a VM of which nothing tells what is mapped")
  func series() throws {
    try part(Self.pkvm, "kvm_entry,kvm_exit,kvm_unmap_hva_range") { part in
      let folder = FileManager.default.temporaryDirectory.appending(path: "series-\(UUID().uuidString)")
      defer { try? FileManager.default.removeItem(at: folder) }
      let outcome = try Tool.run(["replay", part, "--csv", folder.path])
      #expect(outcome.status == 0, "\(outcome.errors)")
      let table = try String(contentsOf: folder.appending(path: "memory.csv"), encoding: .utf8)
      #expect(table.split(separator: "\n").count == 1, "\(table.prefix(300))")
    }
  }

  @Test("Tables rest on the size of an IPA, mappings do not")
  func bases() throws {
    let path = Tool.root.appending(path: "traces/pkvm-nvhe-7.3.4-memslot-move.dat").path
    let report = try json(try Tool.run(["replay", path, "--json", "-", "--no-series"]))
    let bases = try #require(report["profileBasis"] as? [String: String])
    #expect(bases["ipaBits"] == "assumed")
    let vms = try #require(report["vms"] as? [[String: Any]])
    let memory = try #require(vms[1]["memory"] as? [String: Any])
    #expect(memory["basis"] as? String == "assumed" && memory["mappingsBasis"] as? String == "derived")
    let page = Tool.words(try Tool.run(["replay", path, "--vm", "1"]).output)
    #expect(
      page.contains("(mappings derived, bytes assumed) tables ") && page.contains("pages (assumed) memory"),
      "\(page)")
  }
}
