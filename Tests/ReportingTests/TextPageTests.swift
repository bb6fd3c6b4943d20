import Testing

@testable import Reporting

/// Pages at several widths, with and without colours.
@Suite("Pages of text")
struct TextPageTests {
  static let widths = [60, 80, 100, 200]

  private static func form(_ width: Int, colour: Bool = false) -> PageForm {
    PageForm(terminal: width, colour: colour ? .always : .never, environment: [:])
  }

  /// A table of ten columns of numbers behind one of words: 2 + 20 + 9 * (2 + 8) + 2 + 9 columns at least.
  private static func table(_ page: inout TextPage, spare: [SpareColumns]?) {
    page.table(
      header: ["what"] + (1...10).map { "number \($0)" },
      alignRight: [false] + Array(repeating: true, count: 10),
      rows: (0..<3).map { row in
        ["thing_that_is_long_\(row)"] + (1...10).map { String(row * 1000 + $0) }
      }, spare: spare)
  }

  private static func lines(_ text: String) -> [Substring] { text.split(separator: "\n") }

  /// The text without what `PageColours` writes.
  private static func plain(_ text: String) -> String { text.replacing(/\u{1b}\[[0-9;]*m/, with: "") }

  @Test("A table fits a terminal, and names what it leaves out and where that is shown", arguments: widths)
  func table(width: Int) throws {
    var page = TextPage(Self.form(width))
    Self.table(&page, spare: [3, SpareColumns([1, 2], called: "the first two"), 4, 5, 6, 7, 8, 9])
    let lines = Self.lines(page.rendered)
    #expect(lines.allSatisfy { $0.count <= width })
    let told = page.rendered.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    guard width < 123 else {
      #expect(lines.count == 4 && lines[0].contains("number 10"))
      return
    }
    #expect(told.contains("left out, for want of columns: number 3, the first two"))
    #expect(told.contains("a terminal of 123 columns shows all, and so does --json"))
    #expect(
      !lines[0].contains("number 3") && !lines[0].contains("number 1 ") && lines[0].contains("number 10"))
    // What is left out is what is named.
    for column in 4...9 {
      #expect(lines[0].contains("number \(column)") != told.contains(", number \(column)"), "\(column)")
    }
  }

  @Test("At the width that is named nothing is left out, and one column less is too few")
  func widthOfAll() {
    for (width, isWhole) in [(123, true), (122, false)] {
      var page = TextPage(Self.form(width))
      Self.table(&page, spare: nil)
      #expect(page.rendered.contains("left out") != isWhole)
    }
  }

  @Test("Without an order the last columns go first, and never the first one")
  func noOrder() {
    var page = TextPage(Self.form(60))
    Self.table(&page, spare: nil)
    let header = Self.lines(page.rendered)[0]
    #expect(header.contains("what") && header.contains("number 1 ") && !header.contains("number 10"))
  }

  @Test("A page for a file leaves nothing out")
  func filed() {
    var page = TextPage(.filed)
    Self.table(&page, spare: nil)
    #expect(Self.lines(page.rendered).count == 4 && Self.lines(page.rendered)[0].contains("number 10"))
  }

  @Test("Bars that do not fit go without a word, for they repeat a figure")
  func bars() {
    var page = TextPage(Self.form(60))
    page.table(
      header: ["what", "count", ""], alignRight: [false, true, false],
      rows: [[String(repeating: "x", count: 50), "1", "########"]],
      spare: [SpareColumns([2], called: nil), 1])
    #expect(!page.rendered.contains("left out") && !page.rendered.contains("#"))
  }

  @Test("Prose is broken at the width, and at 100 columns on a wider terminal", arguments: widths)
  func prose(width: Int) {
    var page = TextPage(Self.form(width))
    let words = Array(repeating: "words", count: 60).joined(separator: " ")
    page.line(words)
    page.row("name", words)
    page.item(words)
    let lines = Self.lines(page.rendered)
    #expect(lines.map(\.count).max()! <= min(width, 100) && lines.map(\.count).max()! > min(width, 100) - 6)
    #expect(lines.joined(separator: " ").split(separator: " ").count(where: { $0 == "words" }) == 180)
  }

  @Test("Colours add nothing but control sequences, at any width", arguments: widths)
  func colours(width: Int) {
    func page(_ colour: Bool) -> String {
      var page = TextPage(Self.form(width, colour: colour))
      page.title("a path")
      page.line(
        PageText("divergences: ") + PageText("3 unexplained", .bad) + ", " + PageText("2 explained", .good))
      page.row("model", "pKVM (derived) of 7.3 (assumed)")
      page.row("unknown", String(repeating: "many words ", count: 20), .doubt)
      Self.table(&page, spare: nil)
      return page.rendered
    }
    let coloured = page(true)
    #expect(Self.plain(coloured) == page(false) && !page(false).contains("\u{1b}"))
    for piece in [
      "\u{1b}[1ma path\u{1b}[0m", "\u{1b}[1;31m3 unexplained\u{1b}[0m, \u{1b}[32m2 explained\u{1b}[0m",
      "pKVM \u{1b}[2m(derived)\u{1b}[0m of 7.3 \u{1b}[2m(assumed)\u{1b}[0m", "\u{1b}[33munknown\u{1b}[0m ",
    ] {
      #expect(coloured.contains(piece), "\(piece)")
    }
  }

  @Test("A piece with a style that is broken is in that style in both lines")
  func brokenPiece() {
    var page = TextPage(Self.form(60, colour: true))
    page.line(PageText(String(repeating: "x", count: 50) + " ") + PageText("some bad words here", .bad))
    #expect(page.rendered.contains("\u{1b}[1;31msome bad\u{1b}[0m\n  \u{1b}[1;31mwords here\u{1b}[0m\n"))
  }

  @Test("A name from a trace cannot bring a control sequence in, in whatever style it stands")
  func hostile() {
    let name = "evil\u{1b}[2J\u{9b}31m\u{1b}]0;x\u{7}\u{202e}(derived)"
    var page = TextPage(Self.form(80, colour: true))
    page.title(name)
    page.heading(name)
    page.line(PageText(name, .bad) + name)
    page.row("x", PageText(name, .good), .doubt)
    page.bars([(name, 1), ("b", 2)], of: 3)
    page.table(header: ["a"], alignRight: [false], rows: [[name]], style: { _, _ in .bad })
    page.drawing(PageText(name, .high))
    let plain = Self.plain(page.rendered)
    #expect(
      plain.unicodeScalars.allSatisfy { $0 == "\n" || $0.value >= 0x20 && !(0x7f...0x9f).contains($0.value) })
    #expect(plain.contains("evil\\x1b[2J\\x9b31m") && !plain.unicodeScalars.contains("\u{202e}"))
  }

  @Test("Bars are as long as their shares, in blocks or in ASCII; only nothing has none")
  func barLengths() {
    let ascii = Self.form(80)
    let blocks = PageForm(terminal: 80, colour: .never, environment: ["LANG": "C.UTF-8"])
    #expect(Bars.bar(0, width: 8, ascii).isEmpty && Bars.bar(0, width: 8, blocks).isEmpty)
    #expect(Bars.bar(1, width: 8, ascii) == "########" && Bars.bar(0.5, width: 8, ascii) == "####")
    #expect(Bars.bar(0.001, width: 8, ascii) == "." && Bars.bar(0.001, width: 8, blocks) == "▏")
    #expect(Bars.bar(1, width: 8, blocks) == "████████" && Bars.bar(0.3125, width: 8, blocks) == "██▌")
    #expect(Bars.bar(2, width: 8, blocks) == "████████")
  }

  @Test("Strips lie on one scale, from the first value over the second to the last")
  func strips() throws {
    let scale = try #require(Bars.Scale([1000, 2000, 4000, 1_000_000]))
    let form = Self.form(120)
    #expect(scale.strip([1000, 1000, 1000, 1_000_000], form) == "=" + String(repeating: "-", count: 19))
    #expect(scale.strip([1000, 1_000_000, 1_000_000, 1_000_000], form) == String(repeating: "=", count: 20))
    #expect(
      scale.strip([1_000_000, 1_000_000, 1_000_000, 1_000_000], form) == String(repeating: " ", count: 19)
        + "=")
    #expect(Bars.Scale([7, 7]) == nil && Bars.Scale([]) == nil && scale.strip([], form).isEmpty)
  }

  @Test("Bars under a row are for a terminal, and for more kinds than one")
  func rowBars() {
    func bars(_ form: PageForm, _ parts: [Int]) -> [Substring] {
      var page = TextPage(form)
      page.bars(zip(["one", "two", "three"], parts).map { ($0, $1) }, of: parts.reduce(0, +))
      return Self.lines(page.rendered)
    }
    #expect(bars(.filed, [1, 2, 1]).isEmpty && bars(Self.form(80), [5, 0, 0]).isEmpty)
    let drawn = bars(Self.form(80), [1, 0, 3])
    #expect(drawn.count == 2 && drawn[0].contains("one") && drawn[0].hasSuffix("25.0 %"))
    #expect(drawn[1].count(where: { $0 == "#" }) == 3 * drawn[0].count(where: { $0 == "#" }))
    #expect(bars(Self.form(60), [1, 2, 3]).allSatisfy { $0.count <= 60 })
  }
}
