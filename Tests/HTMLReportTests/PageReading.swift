import Foundation
import Testing

/// What tests read in a page.
enum PageReading {
  /// The rows of the table with a caption, in a part of the page that begins with an id; each a list of texts.
  static func rows(_ caption: String, in page: String, from id: String) throws -> [[String]] {
    let begin = try #require(page.range(of: "id=\"\(id)\""), "\(id)")
    let rest = page[begin.upperBound...]
    let table = try #require(rest.range(of: "<caption>\(caption)</caption>"), "\(caption)")
    let end = try #require(rest.range(of: "</table>", range: table.upperBound..<rest.endIndex))
    return rest[table.upperBound..<end.lowerBound].components(separatedBy: "<tr>").dropFirst(2).map { row in
      let cells = row.components(separatedBy: "</tr>")[0]
      return cells.components(separatedBy: "</t").dropLast().map {
        $0.replacing(/<[^>]*>|^[dhr]>/, with: "").replacing(/^[dhr]>/, with: "")
      }
    }.filter { !$0.isEmpty }
  }

  /// A cell of the row that begins with a name.
  static func value(_ name: String, _ rows: [[String]], column: Int = 1) -> String? {
    rows.first { $0.first == name }.map { $0[column] }
  }
}
