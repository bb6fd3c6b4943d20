import Foundation
import Testing
import UnnamedFiles

/// `capacity`.
@Suite("Capacity command")
struct CapacityCommandTests {
  @Test("A plan of a recording is printed with its assumptions, and written as JSON and CSV")
  func plan() throws {
    let json = try UnnamedFile()
    let csv = try UnnamedFile()
    let outcome = try Tool.run([
      "capacity", Tool.recording, "--vms", "100", "--memory", "4GiB", "--json", json.path, "--csv", csv.path,
    ])
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(outcome.output.contains("assumed:") && outcome.output.contains("hyp_vmemmap"))
    let plan = try #require(
      try JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: json.path))) as? [String: Any])
    let cases = try #require(plan["cases"] as? [[String: Any]])
    #expect(cases.count == 4)
    let totals = cases.compactMap { $0["vmTotalBytes"] as? Int }
    #expect(totals == totals.sorted(), "from the least to the most")
    let rows = try String(contentsOfFile: csv.path, encoding: .utf8).split(separator: "\n")
    #expect(rows.count == 5)
  }

  @Test("Memslots can be given, and are refused where they cannot be")
  func memslots() throws {
    let arguments = ["capacity", Tool.recording, "--vms", "10", "--memory", "1GiB", "--csv", "-"]
    let file = try UnnamedFile(try Tool.run(["info", Tool.recording, "--memslots"]).output.utf8)
    let plain = try Tool.run(arguments)
    let given = try Tool.run(arguments + ["--memslots", file.path])
    #expect(given.status == 0 && given.output == plain.output && !plain.output.isEmpty)
    // Where the guest's memory is in no slot, nothing is touched.
    let elsewhere = try UnnamedFile(#"{"version": 1, "vms": [{"slots": [{"gfn": 1, "pages": 1}]}]}"#.utf8)
    let other = try Tool.run(arguments + ["--memslots", elsewhere.path])
    #expect(other.status == 0 && other.output != plain.output)
    let broken = try UnnamedFile("[]".utf8)
    let refused = try Tool.run(arguments + ["--memslots", broken.path])
    #expect(refused.status == 65 && refused.errorLines.count == 1 && refused.output.isEmpty)
    let twice = try Tool.run(arguments + ["--memslots", file.path, "--memslots", file.path])
    #expect(twice.status == 64 && twice.errorLines.count == 1)
  }

  @Test("Without a recording there are bounds")
  func bounds() throws {
    let outcome = try Tool.run(["capacity", "--vms", "1", "--memory", "1GiB", "--profile", "7.3-traditional"])
    #expect(outcome.status == 0 && outcome.output.contains("no recording"))
  }

  @Test(
    "What cannot be planned is one line and status 64",
    arguments: [
      ["--vms", "0", "--memory", "1GiB"], ["--vms", "1", "--memory", "0"],
      ["--vms", "1", "--memory", "much"],
      ["--vms", "1", "--memory", "4096TiB"],
    ])
  func usage(arguments: [String]) throws {
    let outcome = try Tool.run(["capacity"] + arguments)
    #expect(outcome.status == 64)
    #expect(outcome.errorLines.count == 1, "\(outcome.errors)")
  }
}
