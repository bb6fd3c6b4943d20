import Testing

/// Fails when data would flow backwards.
@Suite("Imports")
struct ImportTests {
  @Test("Every source imports only what its target may")
  func sources() throws {
    let sources = try SourceTree.files(under: "Sources").filter { $0.hasSuffix(".swift") }
    #expect(sources.count > ImportRules.allowed.count)
    for path in sources {
      let target = String(path.split(separator: "/")[1])
      let wrong = ImportRules.violations(target: target, source: try SourceTree.text(path))
      #expect(wrong.isEmpty, "\(path) must not import \(wrong.joined(separator: ", "))")
    }
  }

  @Test("Every target depends only on what it may")
  func manifest() throws {
    let targets = ImportRules.dependencies(manifest: try SourceTree.text("Package.swift"))
    #expect(Set(targets.keys).isSuperset(of: ImportRules.allowed.keys))
    for (target, dependencies) in targets where target != "CTraceEventShims" {
      let allowed = ImportRules.allowed[target] ?? []
      #expect(
        Set(dependencies).isSubset(of: allowed),
        "\(target) depends on \(dependencies.joined(separator: ", "))")
    }
    #expect(targets["CTraceEventShims"] == ["CTraceEvent"])
  }

  @Test("The rules catch what they are for")
  func rulesBite() {
    let forbidden = [
      ("KVMTypes", "import KVMTrace"), ("KVMTypes", "import Foundation"), ("Stage2Model", "import Glibc"),
      ("Stage2Model", "public import Foundation"), ("Stage2Model", "@testable import KVMTrace"),
      ("KVMTrace", "internal import Stage2Model"), ("KVMTrace", "import struct Stage2Replay.Replay"),
      ("KVMTrace", "@preconcurrency import Reporting"), ("Stage2Replay", "  import Reporting"),
      ("Stage2Replay", "import CZstd"), ("Reporting", "import CZlib"), ("TraceSynth", "import CTraceEvent"),
      ("TraceSynth", "import KVMTrace"), ("pkvm-replay", "import CTraceEventShims"), ("NewTarget", ""),
    ]
    for (target, source) in forbidden {
      #expect(!ImportRules.violations(target: target, source: source).isEmpty, "\(target): \(source)")
    }
    #expect(ImportRules.violations(target: "KVMTrace", source: "import CZstd\nimport KVMTypes\n").isEmpty)
    let manifest = """
      .target(name: "A", swiftSettings: strict),
      .executableTarget(
        name: "B",
        dependencies: [
          "A", .product(name: "ArgumentParser", package: "swift-argument-parser"),
        ]),
      """
    #expect(ImportRules.dependencies(manifest: manifest) == ["A": [], "B": ["A", "ArgumentParser"]])
  }
}
