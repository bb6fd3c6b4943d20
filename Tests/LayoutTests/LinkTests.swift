import Foundation
import Testing

/// Fails when a link of the documentation leads nowhere.
@Suite("Links")
struct LinkTests {
  private static func pages() throws -> [String] {
    try ["README.md", "traces/README.md"]
      + SourceTree.files(under: "Sources").filter { $0.hasSuffix(".md") }
  }

  /// The anchors of a page: each heading in lower case, with hyphens for blanks and without other signs.
  static func anchors(_ text: String) -> Set<String> {
    Set(
      text.split(separator: "\n").filter { $0.hasPrefix("#") }.map { line in
        let title = line.drop { $0 == "#" }.drop { $0 == " " }.lowercased()
        return String(
          title.compactMap { sign in
            sign == " " ? "-" : sign.isLetter || sign.isNumber || sign == "-" || sign == "_" ? sign : nil
          })
      })
  }

  /// The targets of `[text](target)` and `<doc:Page>`, those of the web left out.
  static func targets(_ text: String) -> [(target: String, isPage: Bool)] {
    let links = text.matches(of: /\]\(([^)\s]+)\)/).map { (String($0.1), false) }
    let pages = text.matches(of: /<doc:([^>]+)>/).map { (String($0.1), true) }
    return (links + pages).filter { !$0.0.contains("://") }
  }

  private static func problem(_ target: String, isPage: Bool, in page: String) throws -> String? {
    let parts = target.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    let folder = page.split(separator: "/").dropLast().joined(separator: "/")
    let name = isPage ? parts[0] + ".md" : parts[0]
    let path = name.isEmpty ? page : folder.isEmpty ? name : "\(folder)/\(name)"
    guard FileManager.default.fileExists(atPath: SourceTree.root.appendingPathComponent(path).path) else {
      return "\(page): there is no \(path)"
    }
    guard parts.count == 2 else { return nil }
    return anchors(try SourceTree.text(path)).contains(parts[1])
      ? nil : "\(page): \(path) has no heading \(parts[1])"
  }

  @Test("Every link of the README and the catalogues resolves")
  func links() throws {
    let pages = try Self.pages()
    #expect(pages.count > 15)
    for page in pages {
      for (target, isPage) in Self.targets(try SourceTree.text(page)) {
        if let problem = try Self.problem(target, isPage: isPage, in: page) { Issue.record("\(problem)") }
      }
    }
  }

  @Test("The types of the pages are those of the tests of the libraries, which run them")
  func examples() throws {
    let tests = try SourceTree.files(under: "Tests/LibraryTests").map(SourceTree.text).joined(separator: "\n")
    let blocks = try Self.pages().flatMap { page in
      try SourceTree.text(page).components(separatedBy: "```swift\n").dropFirst()
        .map { (code: $0.components(separatedBy: "```")[0], page: page) }
    }
    let types = blocks.filter { $0.code.contains("struct ") }
    #expect(types.count >= 2)
    for (code, page) in types {
      let isThere = tests.contains(code)
      #expect(isThere, "\(page): no test has \(code.prefix(80))")
    }
  }

  @Test("Links and anchors are found")
  func rulesBite() throws {
    let text = "# What it *does*, `a`\n[x](b.md#c) <doc:D> [y](https://example.org)\n"
    #expect(Self.targets(text).map(\.target) == ["b.md#c", "D"])
    #expect(Self.anchors(text) == ["what-it-does-a"])
    #expect(try Self.problem("no-such.md", isPage: false, in: "README.md") != nil)
    #expect(try Self.problem("#no-such-heading", isPage: false, in: "README.md") != nil)
    #expect(try Self.problem("#recording", isPage: false, in: "README.md") == nil)
  }
}
