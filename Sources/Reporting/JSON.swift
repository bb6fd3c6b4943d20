internal import FoundationEssentials

/// The JSON form of a report: keys in alphabetical order, so that two reports can be compared as text.
public enum JSON {
  /// `report` as JSON text that ends with a newline.
  public static func text(_ report: some Encodable) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    do {
      return Safe.escaped(json: String(decoding: try encoder.encode(report), as: UTF8.self)) + "\n"
    } catch {
      preconditionFailure("a report has no form in JSON: \(error)")
    }
  }

  /// `report`, an object, as JSON text with the fields of the program that wrote it.
  public static func text(_ report: some Encodable, by tool: ToolIdentity) -> String {
    text(Signed(report: report, tool: tool))
  }

  private struct Signed<Report: Encodable>: Encodable {
    let report: Report
    let tool: ToolIdentity

    func encode(to encoder: any Encoder) throws {
      try report.encode(to: encoder)
      try tool.encode(to: encoder)
    }
  }
}
