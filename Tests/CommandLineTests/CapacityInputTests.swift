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
