/// Sections one after the other, each with a heading and an entry in the list of contents.
struct SectionList {
  /// The element of their headings.
  private let heading: StaticString
  /// What their ids begin with.
  private let prefix: String
  /// Their entries in the list of contents.
  private(set) var entries: [PageFrame.Entry] = []
  /// The sections.
  private(set) var body = Markup()

  /// No sections yet.
  init(_ heading: StaticString, ids prefix: String = "") {
    (self.heading, self.prefix) = (heading, prefix)
  }

  /// A section more, unless there is nothing in it.
  mutating func add(_ name: String, _ title: String, _ content: Markup) {
    guard !content.isEmpty else { return }
    let id = prefix + name
    entries.append(PageFrame.Entry(id: id, title: title))
    body += .element("section", ["id": id, "aria-labelledby": "\(id)-h"]) {
      Markup.element(heading, ["id": "\(id)-h"]) { title }
      content
    }
  }
}
