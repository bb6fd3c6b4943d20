import Foundation
import Testing
import UnnamedFiles

/// What `capacity` takes its plan from: the machine, and each recording once.
@Suite("Capacity inputs")
struct CapacityInputTests {
  private static let four = path("kvm-nvhe-7.2.12-page-table-thp")
  private static let sixteen = path("kvm-nvhe-7.2.12-16k-page-table")
  private static let plan = ["capacity", "--vms", "100", "--memory", "8GiB", "--vcpus", "16"]

  private static func path(_ name: String) -> String {
    Tool.root.appendingPathComponent("traces/\(name).dat").path
  }

  private static func json(_ arguments: [String]) throws -> [String: Any] {
    let outcome = try Tool.run(plan + arguments + ["--json", "-"])
    #expect(outcome.status == 0, "\(outcome.errors)")
    return try #require(
      try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any])
  }

  @Test("Recordings of pKVM and the traditional MMU are held apart, unless a profile makes them alike")
  func mixedPaths() throws {
    let inputs = [Self.path("kvm-nvhe-7.3.4-plain-guest"), Self.path("pkvm-nvhe-7.3.4-plain-guest")]
    let text = try Tool.run(Self.plan + inputs).output
    #expect(text.contains("recorded on hosts of 2 kinds"), "\(text)")
    #expect(text.contains("plain-guest.dat (pKVM, 4 KiB pages)"))
    #expect(text.contains("over 3 VMs on traditional MMU, 4 KiB pages, for each GiB of RAM"))
    for (order, own) in [(inputs, "traditional MMU"), (inputs.reversed(), "pKVM")] {
      let plan = try Self.json(order)
      let cases = try #require(plan["cases"] as? [[String: Any]])
      #expect(cases.compactMap { $0["input"] as? Int }.allSatisfy { $0 == 0 })
      let groups = try #require(plan["groups"] as? [[String: Any]])
      let distribution = try #require(groups[0]["distribution"] as? [[String: Any]])
      #expect(distribution.allSatisfy { $0["samples"] as? Int == 3 })
      let trees = distribution.filter { $0["figure"] as? String == "mappingTreeBytesPerGiB" }
      #expect(trees.compactMap { $0["host"] as? String }.first?.hasPrefix(own) == true && trees.count == 2)
      for tree in trees {
        let isNothing = (tree["most"] as? [String: Any])?["value"] as? Double == 0
        #expect(isNothing == (tree["host"] as? String)?.hasPrefix("traditional"))
      }
    }
    let alike = try Self.json(["--profile", "7.3-pkvm"] + inputs)
    let samples = try #require(alike["samples"] as? [[String: Any]])
    #expect(Set(samples.compactMap { $0["host"] as? String }) == ["pKVM, 4 KiB pages"])
  }

  @Test("Of a VM that was there before the trace nothing is told since its boot")
  func midLife() throws {
    func words(_ text: String) -> String { text.split(whereSeparator: \.isWhitespace).joined(separator: " ") }
    let joined = Self.path("kvm-nvhe-7.3.4-joined-guest")
    let text = try Tool.run(Self.plan + [joined]).output
    #expect(words(text).contains("shares of the VM's time since the beginning of the trace"), "\(text)")
    #expect(!words(text).contains("since its boot"))
    #expect(words(text).contains("0:0: there before the trace began"))
    let both = try Tool.run(Self.plan + [joined, Self.path("kvm-nvhe-7.3.4-plain-guest")]).output
    #expect(words(both).contains("since its boot, or, of a VM that was there before (+),"), "\(both)")
    #expect(both.contains("\n  0:0+ ") && both.contains("\n  1:0 "))
  }

  @Test("A page size that is stated is the plan's, with and without a profile")
  func statedPageSize() throws {
    let plain = try Tool.run(Self.plan)
    #expect(
      plain.output.hasPrefix(
        "100 VMs of 8 GiB, 16 vCPUs, on 7.3-pkvm, 4 KiB pages (assumed), 48-bit IPA (assumed)\n"))
    for arguments in [[], ["--profile", "7.3-traditional"]] {
      let stated = try Self.json(arguments + ["--page-size", "16K"])
      #expect(stated["pageSizeBytes"] as? Int == 16384 && stated["pageSizeBasis"] as? String == "assumed")
    }
    let bounds = try #require(try Self.json(["--page-size", "16K"])["cases"] as? [[String: Any]])
    let trees = bounds.compactMap { ($0["vm"] as? [String: Any])?["mappingTreeBytes"] as? Int }
    #expect(trees.max() == (8 << 30) / 16384 * 64)
  }

  @Test("A profile that states another page size than the command line is refused")
  func contradiction() throws {
    let file = try UnnamedFile(#"{"base": "7.3-pkvm", "pageSize": 65536}"#.utf8)
    let refused = try Tool.run(Self.plan + ["--profile", file.path, "--page-size", "16K"])
    #expect(refused.status == 64 && refused.errorLines.count == 1 && refused.output.isEmpty)
    #expect(refused.errors.contains("16K") && refused.errors.contains("64K"))
    let same = try Self.json(["--profile", file.path, "--page-size", "64K"])
    #expect(same["pageSizeBytes"] as? Int == 65536)
  }

  @Test("Recordings of different page sizes need a page size, and their order does not matter then")
  func mixedPageSizes() throws {
    for inputs in [[Self.four, Self.sixteen], [Self.sixteen, Self.four]] {
      let refused = try Tool.run(Self.plan + inputs)
      #expect(refused.status == 64 && refused.errorLines.count == 1 && refused.output.isEmpty)
      #expect(inputs.allSatisfy { refused.errors.contains($0) } && refused.errors.contains("16K"))
      for size in [4, 16] {
        let plan = try Self.json(inputs + ["--page-size", "\(size)K"])
        #expect(plan["pageSizeBytes"] as? Int == size << 10)
        let assumptions = try #require(plan["assumptions"] as? [String])
        let line = "recorded with \(20 - size) KiB pages, not \(size) KiB"
        #expect(assumptions.contains { $0.hasPrefix(line) })
      }
    }
  }

  @Test("A recording counts once, whatever it is called")
  func repeated() throws {
    let copy = try UnnamedFile(Data(contentsOf: URL(filePath: Self.four)))
    let once = try Self.json([Self.four])
    for second in [Self.four, copy.path] {
      let outcome = try Tool.run(Self.plan + [Self.four, second, "--json", "-"])
      #expect(outcome.status == 0 && outcome.errors.contains("counted once"))
      let plan = try #require(
        try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any])
      #expect((plan["samples"] as? [Any])?.count == (once["samples"] as? [Any])?.count)
    }
  }

  @Test("A recording that contradicts the model is named, and the plan is printed")
  func contradicted() throws {
    let outcome = try Tool.run(Self.plan + [Tool.recording, "--page-size", "16K"])
    #expect(outcome.status == 1 && outcome.output.contains("16 KiB pages (assumed)"))
    #expect(outcome.errors.contains(Tool.recording) && outcome.errors.contains("contradict"))
  }
}
