import Foundation
import Testing

/// Fails when the tree gets untidy.
@Suite("Tidiness")
struct TidyTests {
  @Test("Texts are plain, short and finished")
  func texts() throws {
    let texts = try SourceTree.files().filter(TidyRules.isText)
    #expect(texts.count > 20)
    for path in texts {
      for problem in TidyRules.problems(path: path, text: try SourceTree.text(path)) {
        Issue.record("\(problem)")
      }
    }
  }

  @Test("No large file strays outside traces")
  func binaries() throws {
    for path in try SourceTree.files() where !path.hasPrefix("traces/") && !TidyRules.isText(path) {
      let size = try SourceTree.bytes(path).count
      #expect(size <= TidyRules.mostBinaryBytes, "\(path) has \(size) bytes")
    }
  }

  @Test("Every script can be run")
  func scripts() throws {
    let scripts = try SourceTree.files(under: "tools")
    #expect(scripts.contains("tools/test") && scripts.contains("tools/demo"))
    for path in scripts {
      let namesInterpreter = try SourceTree.text(path).hasPrefix("#!")
      // What lies in a folder of its own may be a part of a script, or no script at all.
      if path.split(separator: "/").count == 2 { #expect(namesInterpreter, "\(path) names no interpreter") }
      let file = SourceTree.root.appendingPathComponent(path).path
      let isExecutable = FileManager.default.isExecutableFile(atPath: file)
      #expect(
        isExecutable == namesInterpreter, "\(path) must name its interpreter and be executable, or neither")
    }
  }

  @Test("The top of the tree holds what it should and no more")
  func topLevel() throws {
    let strays = Set(try SourceTree.topLevel()).subtracting(TidyRules.topLevel)
    #expect(strays.isEmpty, "\(strays.sorted().joined(separator: ", ")) at the top")
  }

  @Test(
    "The rules catch what they are for",
    arguments: [
      "let a = 1", "let a = 1 \n", "let a\t= 1\n", "let a = 1\r\n", "// \u{7}\n", "// TO" + "DO later\n",
      "// FIX" + "ME\n", String(repeating: "\n", count: 601),
    ])
  func rulesBite(_ text: String) {
    #expect(!TidyRules.problems(path: "Sources/A/A.swift", text: text).isEmpty)
    #expect(TidyRules.problems(path: "Sources/A/A.swift", text: "let a = 1\n").isEmpty)
    #expect(TidyRules.problems(path: "Sources/A/a.c", text: "\tint a;\n").isEmpty)
  }
}
