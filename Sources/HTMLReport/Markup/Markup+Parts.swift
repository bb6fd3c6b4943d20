/// Parts that many sections have.
extension Markup {
  /// What is seen once somebody unfolds it.
  static func folded(_ summary: String, isOpen: Bool = false, _ content: Markup) -> Markup {
    let inside = element("summary") { summary } + content
    return isOpen ? element("details", ["open": ""]) { inside } : element("details") { inside }
  }

  /// A list of texts; nothing of none.
  static func list(_ lines: [String]) -> Markup {
    guard !lines.isEmpty else { return Markup() }
    return element("ul") {
      for line in lines { element("li") { line } }
    }
  }

  /// A note in small letters.
  static func note(_ text: String) -> Markup { element("p", ["class": "note"]) { text } }

  /// A paragraph.
  static func paragraph(_ text: String) -> Markup { element("p") { text } }
}
