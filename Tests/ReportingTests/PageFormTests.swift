import Testing

@testable import Reporting

/// What a page is made for, from what the system and the user say.
@Suite("Forms of pages")
struct PageFormTests {
  private static func form(
    _ columns: Int?, _ colour: PageForm.Colour = .auto, _ environment: [String: String] = [:]
  ) -> PageForm {
    PageForm(terminal: columns, colour: colour, environment: environment)
  }

  @Test("A terminal is as wide as COLUMNS or itself says, and not narrower than 60 columns")
  func width() {
    #expect(Self.form(120).width == 120 && Self.form(0).width == 80 && Self.form(20).width == 60)
    #expect(Self.form(120, .auto, ["COLUMNS": "72"]).width == 72)
    for wrong in ["", "0", "-3", "many"] {
      #expect(Self.form(120, .auto, ["COLUMNS": wrong]).width == 120, "\(wrong)")
    }
  }

  @Test("A file or pipe has 100 columns, whatever the environment says, and neither colour nor bars")
  func filed() {
    let form = Self.form(nil, .auto, ["COLUMNS": "72", "TERM": "xterm"])
    #expect(form.width == 100 && !form.isTerminal && !form.hasColour)
    #expect(PageForm.filed.width == 100 && !PageForm.filed.isTerminal && !PageForm.filed.hasColour)
  }

  @Test("Colour is for a terminal, unless NO_COLOR, TERM or the user refuses; the user may demand it")
  func colour() {
    #expect(Self.form(80).hasColour && Self.form(80, .auto, ["NO_COLOR": ""]).hasColour)
    #expect(!Self.form(80, .auto, ["NO_COLOR": "1"]).hasColour)
    #expect(!Self.form(80, .auto, ["TERM": "dumb"]).hasColour && !Self.form(80, .never).hasColour)
    #expect(Self.form(nil, .always, ["NO_COLOR": "1", "TERM": "dumb"]).hasColour)
  }

  @Test("Block characters are for locales that have them; the first variable that is set decides")
  func blocks() {
    for (environment, expected) in [
      ([:], false), (["LANG": "C"], false), (["LANG": "de_DE.UTF-8"], true), (["LANG": "C.utf8"], true),
      (["LC_ALL": "C", "LANG": "en_GB.UTF-8"], false), (["LC_ALL": "", "LANG": "en_GB.UTF-8"], true),
      (["LC_CTYPE": "C.UTF-8", "LANG": "C"], true), (["LC_ALL": "C.UTF-8", "LC_CTYPE": "POSIX"], true),
    ] as [([String: String], Bool)] {
      #expect(Self.form(80, .auto, environment).hasBlocks == expected, "\(environment)")
    }
  }
}
