import Testing

@testable import Reporting

/// JSON texts that a person wrote.
@Suite("JSONValue")
struct JSONValueTests {
  @Test(
    "texts and what they say",
    arguments: [
      ("null", JSONValue.null), (" [true,false] ", .array([.bool(true), .bool(false)])), ("{}", .object([:])),
      ("[]", .array([])), ("-0.5e+10", .number("-0.5e+10")),
      ("18446744073709551615", .number("18446744073709551615")),
      ("\u{feff}1", .number("1")),
      ("{\"a\": 1, \"b\": [{}], \"a\": 2}", .object(["a": .number("2"), "b": .array([.object([:])])])),
      (
        "\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9é\\ud83d\\ude00\"",
        .string("a\"\\/\u{8}\u{c}\n\r\té\u{e9}\u{1f600}")
      ),
    ])
  func values(text: String, value: JSONValue) throws {
    #expect(try JSONValue(text) == value)
  }

  @Test(
    "texts that are no JSON, and where",
    arguments: [
      ("", nil), ("[1, 2", nil), ("{\"a\": ", nil), ("\"a", nil), ("-", nil), ("tru", nil), ("[1,]", 3),
      ("[1 2]", 3), ("01", 1),
      ("1.", nil), ("1e", nil), ("+1", 0), ("{\"a\" 1}", 5), ("{a: 1}", 1), ("{\"a\": 1,}", 8), ("[1] 2", 4),
      ("\"\u{1}\"", 1),
      ("\"\\x\"", 2), ("\"\\u12g4\"", 5), ("\"\\ud800\"", 7), ("\"\\ude00\"", 7), ("nul1", 3), ("'a'", 0),
    ] as [(String, Int?)])
  func failures(text: String, offset: Int?) {
    let failure = #expect(throws: JSONValue.SyntaxError.self) { _ = try JSONValue(text) }
    #expect(failure?.offset == offset)
  }

  @Test("values that lie too deep in each other")
  func depth() throws {
    func nested(_ depth: Int) -> String {
      String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
    }
    #expect(throws: Never.self) { _ = try JSONValue(nested(512)) }
    #expect(throws: JSONValue.SyntaxError.self) { _ = try JSONValue(nested(513)) }
  }
}
