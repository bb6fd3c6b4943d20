/// What is around the sections of any page: head, contents, and what all plots share.
struct PageFrame {
  /// The page's title.
  var title: String
  /// One line below it.
  var subtitle: String
  /// The program that made it.
  var maker: String
  /// The sections that the contents list: the id of each and its title, with those inside it.
  var contents: [Entry] = []
  /// The sections.
  var body = Markup()

  /// A section in the list of contents.
  struct Entry {
    var id: String
    var title: String
    var parts: [Entry] = []
  }

  /// Nothing may be fetched from anywhere, and no script runs but the page's own.
  private static let policy =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src '\(PageScript.hash)'; "
    + "base-uri 'none'; form-action 'none'"

  /// Adds sections, with their entries in the list of contents.
  mutating func add(_ sections: SectionList) {
    contents += sections.entries
    body += sections.body
  }

  /// The whole page.
  var markup: Markup {
    Markup(own: "<!DOCTYPE html>\n")
      + .element("html", ["lang": "en"]) {
        head
        Markup.element("body") {
          Markup.element("a", ["class": "skip", "href": "#content"]) { "Skip to the report" }
          Markup.element("header") {
            Markup.element("h1") { title }
            Markup.element("p") { subtitle }
          }
          Markup.element("nav", ["aria-label": "Contents"]) { Self.list(contents) }
          Markup.element("main", ["id": "content"]) { body }
          Markup.element("footer") {
            Markup.element("p") {
              "Made by \(maker). The page holds all that it shows: it asks nothing of any network."
            }
          }
          PagePatterns.markup
          Markup.element("div", ["id": "tip", "role": "status", "hidden": ""]) {}
          Markup.element("script") { PageScript.markup }
        }
      } + Markup(own: "\n")
  }

  private var head: Markup {
    .element("head") {
      Markup.empty("meta", ["charset": "utf-8"])
      Markup.empty("meta", ["http-equiv": "Content-Security-Policy", "content": Self.policy])
      Markup.empty("meta", ["name": "viewport", "content": "width=device-width, initial-scale=1"])
      Markup.empty("meta", ["name": "color-scheme", "content": "light dark"])
      Markup.element("title") { title }
      Markup.element("style") { PageStyle.markup }
    }
  }

  private static func list(_ entries: [Entry]) -> Markup {
    .element("ul") {
      for entry in entries {
        Markup.element("li") {
          Markup.element("a", ["href": "#\(entry.id)"]) { entry.title }
          if !entry.parts.isEmpty { list(entry.parts) }
        }
      }
    }
  }
}
