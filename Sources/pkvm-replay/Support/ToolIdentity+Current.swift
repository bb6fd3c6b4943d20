import Reporting

extension ToolIdentity {
  /// This program.
  static let current = ToolIdentity(version: "0.6.0", commit: commitOfBuild.isEmpty ? nil : commitOfBuild)
}

extension JSON {
  /// `report`, an object, as JSON text that says which program wrote it.
  static func signed(_ report: some Encodable) -> String { text(report, by: .current) }
}
