import Foundation
import Testing

/// Holds the page "Kernel functions" against the sources.
@Suite("Kernel functions")
struct KernelFunctionTests {
  /// A row of the table.
  private struct Row {
    let kernelFile: String
    let kernelFunction: String
    let function: String
    let file: String
    let inReplay: String
  }

  private static func page() throws -> String {
    try SourceTree.text("Sources/Stage2Model/Stage2Model.docc/KernelFunctions.md")
  }

  private static func rows() throws -> [Row] {
    try page().matches(of: /\| ([\w.]+) \| `(\w+)` \| `(\w+)` \| `([\w\/.]+)` \| (\w+) \|/).map {
      Row(
        kernelFile: String($0.1), kernelFunction: String($0.2), function: String($0.3), file: String($0.4),
        inReplay: String($0.5))
    }
  }

  /// What the replay calls of the model: functions of `KVM`, and of its backend.
  private static func calls() throws -> (kvm: Set<String>, backend: Set<String>) {
    var calls: (kvm: Set<String>, backend: Set<String>) = ([], [])
    for path in try SourceTree.files(under: "Sources/Stage2Replay") where path.hasSuffix(".swift") {
      let text = try SourceTree.text(path)
      calls.kvm.formUnion(CallGraph.calls(on: ["kvm"], in: text))
      calls.backend.formUnion(CallGraph.calls(on: ["stage2"], in: text))
    }
    return calls
  }

  @Test("The table names files that have the functions")
  func files() throws {
    let rows = try Self.rows()
    #expect(rows.count >= 90)
    #expect(
      Set(rows.map(\.kernelFile)).isSuperset(of: [
        "mmu.c", "pgtable.c", "pkvm.c", "kvm_main.c", "mem_protect.c",
      ]))
    for row in rows {
      let text = try SourceTree.text("Sources/Stage2Model/\(row.file)")
      let declaration = row.function == "init" ? "init" : "func \(row.function)"
      let isThere = ["(", "<"].contains { text.contains(declaration + $0) }
      #expect(isThere, "\(row.kernelFunction): \(row.file) has no \(row.function)")
    }
  }

  @Test("The functions that a replay calls are those that the page lists")
  func callers() throws {
    let page = try Self.page()
    let begin = try #require(page.range(of: "A replay calls the model")?.upperBound)
    let end = try #require(page.range(of: "all from `VMExecution`")?.lowerBound)
    let listed = Set(page[begin..<end].matches(of: /`(\w+)`/).map { String($0.1) })
    // A value may be called kvm that is no KVM.
    let ofKernel = Set(try Self.rows().map(\.function))
    let called = try Self.calls().kvm.intersection(ofKernel)
    #expect(listed == called && called.count > 5)
  }

  /// Functions that others call by a value which no replay gives them.
  private static let spared: Set<String> = [
    // With initiallySet alone.
    "kvmMMUSplitHugePages",
    // With RangeOperation.flush alone.
    "flush",
  ]

  @Test("What is said to run in a replay is called in one, and nothing else is")
  func inReplay() throws {
    var graph = CallGraph()
    for path in try SourceTree.files(under: "Sources/Stage2Model") where path.hasSuffix(".swift") {
      graph.add(source: try SourceTree.text(path), path: path)
    }
    let calls = try Self.calls()
    let called = graph.reachable(from: calls.kvm.union(calls.backend))
    let page = try Self.page()
    let decided = try #require(page.range(of: "## Decided from the trace"))
    let table = try #require(page.range(of: "## The table"))
    let section = page[decided.upperBound..<table.lowerBound]
    for row in try Self.rows() {
      let isCalled = called.contains(row.function)
      let fits =
        switch row.inReplay {
        case "yes": isCalled || row.function == "init"
        case "no": !isCalled || Self.spared.contains(row.function)
        case "decided": section.contains("`\(row.kernelFunction)`")
        default: false
        }
      #expect(fits, "\(row.kernelFunction): \(row.inReplay)")
    }
  }

  @Test("The files that decide from the trace are there")
  func deciders() throws {
    let page = try Self.page()
    let begin = try #require(page.range(of: "## Decided from the trace")?.upperBound)
    let end = try #require(page.range(of: "## The table")?.lowerBound)
    let files = Set(page[begin..<end].matches(of: /`(\w+\/[\w+]+\.swift)`/).map { String($0.1) })
    #expect(files.count >= 6)
    for file in files where !["MappingTree", "PKVM", "Hyp"].contains(file.split(separator: "/")[0]) {
      let path = SourceTree.root.appendingPathComponent("Sources/Stage2Replay/\(file)").path
      #expect(FileManager.default.fileExists(atPath: path), "there is no \(file)")
    }
  }

  @Test("A graph of calls has what is called and leaves out what is not")
  func graph() {
    var graph = CallGraph()
    graph.add(
      source: """
        func a() { b(1) // c()
        }
        func b(_ n: Int) { self.d<Int>() }
        func c() { a() }
        func d<T>() {}
        """, path: "A.swift")
    #expect(graph.reachable(from: ["a"]) == ["a", "b", "d"])
    #expect(graph.reachable(from: ["c", "print"]) == ["a", "b", "c", "d"])
    #expect(CallGraph.calls(on: ["kvm"], in: "kvm.a(kvm.b, x.c(), kvm.stage2.d())") == ["a"])
  }
}
