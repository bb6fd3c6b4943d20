import Testing

/// Fails when something is declared that nothing uses.
@Suite("Dead declarations")
struct DeadDeclarationTests {
  @Test("Everything that is declared is used")
  func sources() throws {
    var found = DeadDeclarations()
    for path in try SourceTree.files(under: "Sources") where path.hasSuffix(".swift") {
      found.add(source: try SourceTree.text(path), path: path)
    }
    for path in try SourceTree.files(under: "Tests") where path.hasSuffix(".swift") {
      found.add(test: try SourceTree.text(path))
    }
    for declaration in found.unused { Issue.record("\(declaration) is used by nothing") }
  }

  @Test("The rule catches what it is for, and nothing else")
  func rulesBite() {
    var found = DeadDeclarations()
    found.add(
      source: "func dead(_ a: Int) {} // dead\nlet live = 1\nprint(live, \"\\(a)\")\n",
      path: "Sources/A/A.swift")
    found.add(source: "struct ForTests {}\ncase UPPER:\n", path: "Sources/TraceSynth/B.swift")
    #expect(found.unused == ["Sources/A/A.swift: dead", "Sources/TraceSynth/B.swift: ForTests"])
    found.add(test: "dead(1); ForTests()\n")
    #expect(found.unused == ["Sources/A/A.swift: dead"])
  }
}
