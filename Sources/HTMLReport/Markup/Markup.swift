internal import Reporting

/// A piece of a page. Text becomes markup by being escaped, names of elements and attributes are literals of the program: so nothing
/// that a recording holds can be more than text, wherever it stands.
public struct Markup: Sendable {
  /// The HTML.
  public private(set) var source: String

  /// Nothing.
  init() { source = "" }

  /// A text, which came from anywhere.
  init(_ text: String) { source = Self.escaped(text) }

  /// The program's own HTML, CSS or script, written as it is.
  init(own source: StaticString) { self.source = "\(source)" }

  /// Numbers between signs, such as the path of a line, or the letters of base64, in which nothing has to be escaped.
  init(numbers: String) {
    assert(
      numbers.utf8.allSatisfy {
        $0 != UInt8(ascii: "<") && $0 != UInt8(ascii: "&") && $0 != UInt8(ascii: "\"")
      })
    source = numbers
  }

  /// Data for the page's script: JSON of numbers and of names of the program's own.
  init(script data: String) {
    assert(!data.utf8.contains(UInt8(ascii: "<")))
    source = data
  }

  /// Whether there is nothing.
  var isEmpty: Bool { source.isEmpty }

  /// Both, one after the other.
  static func + (first: Markup, second: Markup) -> Markup {
    var both = first
    both += second
    return both
  }

  /// Adds what follows.
  static func += (markup: inout Markup, next: Markup) { markup.source += next.source }

  /// An element with its content.
  static func element(
    _ name: StaticString, _ attributes: KeyValuePairs<StaticString, String> = [:],
    @MarkupBuilder _ content: () -> Markup
  ) -> Markup {
    var markup = open(name, attributes)
    markup += content()
    markup.source += "</\(name)>"
    return markup
  }

  /// An element that can have no content (`meta`), or an empty one of SVG.
  static func empty(_ name: StaticString, _ attributes: KeyValuePairs<StaticString, String> = [:]) -> Markup {
    var markup = open(name, attributes)
    markup.source.removeLast()
    markup.source += "/>"
    return markup
  }

  private static func open(
    _ name: StaticString, _ attributes: KeyValuePairs<StaticString, String>
  ) -> Markup {
    var markup = Markup()
    markup.source = "<\(name)"
    for (name, value) in attributes { markup.source += " \(name)=\"\(escaped(value))\"" }
    markup.source += ">"
    return markup
  }

  /// A text with what HTML would obey written as entities, and what a reader could not see as codes.
  private static func escaped(_ text: String) -> String {
    let text = Safe.line(text)
    guard text.utf8.contains(where: isSpecial) else { return text }
    var safe = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": safe += "&amp;"
      case "<": safe += "&lt;"
      case ">": safe += "&gt;"
      case "\"": safe += "&quot;"
      case "'": safe += "&#39;"
      default: safe.unicodeScalars.append(scalar)
      }
    }
    return safe
  }

  private static func isSpecial(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "&"), UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "\""), UInt8(ascii: "'"): true
    default: false
    }
  }
}

/// Puts pieces of a page one after the other.
@resultBuilder
enum MarkupBuilder {
  static func buildExpression(_ text: String) -> Markup { Markup(text) }
  static func buildExpression(_ markup: Markup) -> Markup { markup }
  static func buildBlock(_ parts: Markup...) -> Markup { parts.reduce(into: Markup()) { $0 += $1 } }
  static func buildOptional(_ part: Markup?) -> Markup { part ?? Markup() }
  static func buildEither(first: Markup) -> Markup { first }
  static func buildEither(second: Markup) -> Markup { second }
  static func buildArray(_ parts: [Markup]) -> Markup { parts.reduce(into: Markup()) { $0 += $1 } }
}
