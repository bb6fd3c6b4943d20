/// What a piece of a page is, for a terminal that can show it. It adds nothing to the words.
enum PageStyle: Hashable {
  case heading
  /// What contradicts the model, or is missing from a trace.
  case bad
  /// What is accounted for.
  case good
  /// What is not known.
  case doubt
  /// How something is known.
  case basis
  /// Of a heat map, where little happened, more, and most.
  case low, medium, high

  /// The parameters of the control sequence that begins it (`SGR`). Only the sixteen colours that every terminal's user chooses.
  var code: String {
    switch self {
    case .heading: "1"
    case .bad, .high: "1;31"
    case .good: "32"
    case .doubt, .medium: "33"
    case .basis: "2"
    case .low: "36"
    }
  }
}

/// A text of which pieces have styles. It is safe for a terminal from the moment at which it is made: what may come from a trace is
/// escaped before any style is there.
struct PageText {
  /// A piece, in bytes of the text, and what it is.
  struct Mark: Hashable {
    var range: Range<Int>
    var style: PageStyle
  }

  private(set) var text: String
  private(set) var marks: [Mark] = []

  init(_ text: String, _ style: PageStyle? = nil) {
    self.text = Safe.line(text)
    if let style, !text.isEmpty { marks = [Mark(range: 0..<self.text.utf8.count, style: style)] }
  }

  static func + (a: PageText, b: PageText) -> PageText {
    var sum = a
    let begin = a.text.utf8.count
    sum.text += b.text
    sum.marks += b.marks.map {
      Mark(range: $0.range.lowerBound + begin..<$0.range.upperBound + begin, style: $0.style)
    }
    return sum
  }

  static func + (a: PageText, b: String) -> PageText { a + PageText(b) }
}

/// Puts control sequences around the pieces of a page.
enum PageColours {
  private static let end = "\u{1b}[0m"
  private static let basisWords = ["(recorded)", "(derived)", "(assumed)", "(modelled)"]

  /// The page with colours.
  ///
  /// - Parameter marks: its pieces, in their order. Those that overlap the piece before them are left out.
  static func render(_ text: String, _ marks: [PageText.Mark]) -> String {
    let bytes = Array(text.utf8)
    let all = (marks + basisMarks(in: bytes)).sorted { $0.range.lowerBound < $1.range.lowerBound }
    var out: [UInt8] = []
    out.reserveCapacity(bytes.count + 16 * all.count)
    var position = 0
    for mark in all where mark.range.lowerBound >= position && !mark.range.isEmpty {
      out += bytes[position..<mark.range.lowerBound]
      out += "\u{1b}[\(mark.style.code)m".utf8
      out += bytes[mark.range]
      out += end.utf8
      position = mark.range.upperBound
    }
    out += bytes[position...]
    return String(decoding: out, as: UTF8.self)
  }

  /// The words in parentheses that say how something is known, wherever they stand.
  private static func basisMarks(in bytes: [UInt8]) -> [PageText.Mark] {
    let words = basisWords.map { Array($0.utf8) }
    return bytes.indices.compactMap { begin in
      guard bytes[begin] == UInt8(ascii: "("),
        let word = words.first(where: { bytes[begin...].starts(with: $0) })
      else { return nil }
      return PageText.Mark(range: begin..<begin + word.count, style: .basis)
    }
  }
}
