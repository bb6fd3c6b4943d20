import Foundation
import Testing
import TraceSynth
import UnnamedFiles

/// `events --vm`.
@Suite("Events of a VM")
struct EventsOfVMTests {
  private static let twoVMs = Tool.root.appendingPathComponent("traces/pkvm-nvhe-7.3.4-memslot-move.dat").path

  private static func report(_ arguments: [String]) throws -> [[String: Any]] {
    let outcome = try Tool.run(["replay", "--json", "-", "--no-series"] + arguments)
    let object = try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any]
    return try #require(object?["vms"] as? [[String: Any]])
  }

  @Test("Each VM has the faults that replay counts for it, and its own threads'")
  func faults() throws {
    let vms = try Self.report([Self.twoVMs])
    #expect(vms.count == 2)
    for vm in vms {
      let id = try #require(vm["id"] as? Int)
      let total = try #require((vm["faults"] as? [String: Any])?["total"] as? Int)
      let tids = try #require(vm["vcpus"] as? [[String: Any]]).compactMap { $0["tid"] as? Int }
      let outcome = try Tool.run([
        "events", Self.twoVMs, "--vm", "\(id)", "--event", "kvm_guest_fault", "--format", "csv",
      ])
      #expect(outcome.status == 0 && outcome.errors.isEmpty)
      let rows = outcome.output.split(separator: "\n").dropFirst()
      #expect(rows.count == total)
      #expect(Set(rows.compactMap { Int($0.split(separator: ",")[2]) }).isSubset(of: tids))
    }
  }

  @Test("What is left out is counted: with what both VMs have, it is all events once")
  func leftOut() throws {
    let all = try Tool.run(["events", Self.twoVMs]).output.split(separator: "\n")
    var lines: Set<Substring> = []
    var leftOut = 0
    for id in ["0", "1"] {
      let outcome = try Tool.run(["events", Self.twoVMs, "--vm", id])
      #expect(outcome.status == 0)
      lines.formUnion(outcome.output.split(separator: "\n"))
      leftOut = try Self.count(outcome)
      #expect(!outcome.output.isEmpty)
    }
    #expect(lines.isSubset(of: all))
    #expect(Set(all).count == all.count)
    #expect(lines.count + leftOut == all.count)
    let both = try Tool.run(["events", Self.twoVMs, "--vm", "0", "--vm", "1"])
    #expect(both.output.split(separator: "\n").count == lines.count)
    #expect(try Self.count(both) == leftOut)
  }

  @Test("With --memslots the VMs are those of the file, as in replay")
  func memslots() throws {
    let trace = try UnnamedFile()
    _ = try Tool.run(["synth", trace.path, "--events", "20000", "--vms", "2", "--memory", "64MiB"])
    let slots = try UnnamedFile(try Tool.run(["info", trace.path, "--memslots"]).output.utf8)
    for vm in try Self.report([trace.path, "--memslots", slots.path]) {
      let total = try #require((vm["faults"] as? [String: Any])?["total"] as? Int)
      let outcome = try Tool.run([
        "events", trace.path, "--memslots", slots.path, "--vm", "\(try #require(vm["id"] as? Int))",
        "--event", "kvm_guest_fault",
      ])
      #expect(outcome.output.split(separator: "\n").count == total && total > 0)
    }
  }

  @Test(
    "A VM that is not there, and memslots without a VM, are one line and status 64",
    arguments: [
      ["--vm", "2"], ["--vm", "x"], ["--infer-memslots"], ["--memslots", "x"],
      ["--vm", "0", "--memslots", "x", "--infer-memslots"],
    ])
  func usage(arguments: [String]) throws {
    let outcome = try Tool.run(["events", Self.twoVMs] + arguments)
    #expect(outcome.status == 64 && outcome.errorLines.count == 1 && outcome.output.isEmpty)
  }

  /// The events that a run says it left out, 0 where it says nothing.
  private static func count(_ outcome: Tool.Outcome) throws -> Int {
    guard let line = outcome.errorLines.first else { return 0 }
    #expect(outcome.errorLines.count == 1 && line.hasSuffix("known to be about any VM, and left out"))
    let words = line.split(separator: " ")
    let noun = try #require(words.firstIndex { $0 == "event" || $0 == "events" })
    return try #require(Int(words[noun - 1]))
  }
}
