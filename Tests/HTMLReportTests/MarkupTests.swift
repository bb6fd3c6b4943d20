import Foundation
import KVMTypes
import Pictures
import Testing

@testable import HTMLReport

@Suite("Markup of pages")
struct MarkupTests {
  @Test("Text is text wherever it stands: in an element, in an attribute, in a table")
  func escaping() {
    let hostile = "</td><script>alert(1)</script> \" ' & \u{1b}[2J \u{202e}x"
    let safe =
      "&lt;/td&gt;&lt;script&gt;alert(1)&lt;/script&gt; &quot; &#39; &amp; \\x1b[2J \\u{202e}x"
    #expect(Markup(hostile).source == safe)
    let element = Markup.element("p", ["title": hostile]) { hostile }
    #expect(element.source == "<p title=\"\(safe)\">\(safe)</p>")
    var table = DataTable(caption: hostile, header: [hostile])
    table.row(hostile)
    #expect(
      !table.markup.source.contains("<script")
        && table.markup.source.contains("<th scope=\"row\" class=\"t\">\(safe)</th>"))
  }

  @Test(
    "A table has a caption, heads of columns and rows, and how each figure is known; without rows there is none"
  )
  func table() {
    var table = DataTable(caption: "Sizes", header: ["what", "bytes", "basis"], numbers: [1])
    #expect(table.markup.isEmpty)
    table.row("tree", "64", basis: .assumed)
    table.row("PGD", "unknown", basis: nil)
    let source = table.markup.source
    #expect(source.contains("<caption>Sizes</caption>"))
    #expect(source.contains("<th scope=\"col\" class=\"n\">bytes</th>"))
    #expect(
      source.contains(
        "<tr><th scope=\"row\" class=\"t\">tree</th><td class=\"n\">64</td><td class=\"t\"><span class=\"basis assumed\">assumed</span></td></tr>"
      ))
    #expect(source.contains("<span class=\"basis unknown\">unknown</span>"))
  }

  @Test("The page allows the script that it has, and no other")
  func script() throws {
    let process = Process()
    let (input, output) = (Pipe(), Pipe())
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["sha256sum"]
    process.standardInput = input
    process.standardOutput = output
    try process.run()
    input.fileHandleForWriting.write(Data(PageScript.markup.source.utf8))
    try input.fileHandleForWriting.close()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    let digits = Array(text.prefix(64))
    let bytes = stride(from: 0, to: digits.count, by: 2).compactMap {
      UInt8(String(digits[$0..<$0 + 2]), radix: 16)
    }
    #expect(PageScript.hash == "sha256-\(Data(bytes).base64EncodedString())")
    let page = PageFrame(title: "a", subtitle: "b", maker: "c").markup.source
    #expect(page.contains("default-src &#39;none&#39;") && page.contains(PageScript.hash))
    #expect(!PageScript.markup.source.contains("innerHTML") && !PageScript.markup.source.contains("</"))
  }

  @Test("The script names kinds, bases and layers as the program does, in the same order")
  func names() throws {
    func list(_ name: String) throws -> [String] {
      let source = PageScript.markup.source
      let begin = try #require(source.range(of: "const \(name) = ["))
      let end = try #require(source.range(of: "];", range: begin.upperBound..<source.endIndex))
      return source[begin.upperBound..<end.lowerBound].matches(of: /'([^']*)'/).map { String($0.1) }
    }
    #expect(try list("kinds") == HeatMap.MarkKind.allCases.map(\.name))
    #expect(HeatMap.MarkKind.allCases.map { Int($0.rawValue) } == Array(HeatMap.MarkKind.allCases.indices))
    #expect(try list("bases") == Basis.allCases.map(\.name))
    #expect(Basis.allCases.map { Int($0.rawValue) } == Array(Basis.allCases.indices))
    #expect(try list("layers") == HeatLayers.Layer.allCases.map(\.rawValue))
    #expect(try list("layerNames").count == HeatLayers.Layer.allCases.count)
  }
}
