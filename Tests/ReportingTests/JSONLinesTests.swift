import Reporting
import Testing

/// Where the values of a JSON text stand.
@Suite("Lines of a JSON text")
struct JSONLinesTests {
  private let text = """
    {
      "version": 1, "name": "a \\"brace\\" { in\\n text",
      "vms": [
        {"creator": 7},
        {"creator": 8, "slots": [
          {"gfn": 0},
          {"gfn": 1,
           "pages": -1}
        ]}
      ]
    }
    """

  @Test(
    "A value is found by its path, and what is missing by what it would be in",
    arguments: [
      ("version", 2), ("vms", 3), ("vms[0].creator", 4), ("vms[1].slots", 5), ("vms[1].slots[1].pages", 8),
      ("vms[1].slots[1].hva", 7), ("vms[2]", 3), ("nothing", 1), ("", 1),
    ])
  func lines(path: String, line: Int) {
    #expect(JSONLines.line(of: path, in: text) == line)
  }

  @Test("A text that is no JSON has a line where it stops being one")
  func syntax() {
    #expect(JSONLines.syntaxProblem(of: text) == nil)
    #expect(JSONLines.syntaxProblem(of: "{\"a\": 1,\n \"b\": 48,,\n}")?.hasPrefix("line 2:") == true)
    #expect(JSONLines.syntaxProblem(of: "") != nil)
  }

  @Test(
    "No text makes it run on",
    arguments: ["{", "[", "{\"a", "{\"a\"", "{\"a\":", "[1,", "\"\\", "}", "]", ",", "{]}"])
  func broken(text: String) {
    #expect(JSONLines.line(of: "a", in: text) == 1)
  }
}
