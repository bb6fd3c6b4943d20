import Testing

@testable import Reporting

/// Text of others, made safe for where it is printed.
@Suite("Safe text")
struct SafeTextTests {
  @Test(
    "What no reader would see has a name, in text, in JSON and in cells",
    arguments: [
      ("a\u{200b}b", "a\\u{200b}b", "a\\u200bb"), ("a\u{ad}b", "a\\u{00ad}b", "a\\u00adb"),
      ("a\u{2060}b", "a\\u{2060}b", "a\\u2060b"), ("a\u{3164}b", "a\\u{3164}b", "a\\u3164b"),
      ("a\u{e0041}b", "a\\u{e0041}b", "a\\udb40\\udc41b"), ("a\u{202e}b", "a\\u{202e}b", "a\\u202eb"),
    ])
  func invisible(text: String, line: String, json: String) {
    #expect(Safe.line(text) == line && Safe.cell(text) == line)
    #expect(Safe.json(text) == "\"\(json)\"")
    #expect(Safe.escaped(json: "\"\(text)\"") == "\"\(json)\"")
  }

  @Test("What a reader sees stays", arguments: ["\u{e4}\u{f6}", "\u{4e2d}", "\u{1f427}", "a b", "\u{a0}"])
  func visible(text: String) {
    #expect(Safe.line(text) == text && Safe.json(text) == "\"\(text)\"")
  }
}
