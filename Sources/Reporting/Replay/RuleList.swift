internal import Stage2Replay

/// The divergence rules and their exceptions, as a page of text or as JSON.
public struct RuleList: Encodable, Sendable {
  /// A rule.
  public struct Rule: Encodable, Sendable {
    var rule: String
    var statement: String
    var isChecked: Bool
    var reasonNotChecked: String?
  }

  /// An exception.
  public struct Exception: Encodable, Sendable {
    var exception: String
    var statement: String
    var treatment: String
  }

  /// The version of this layout.
  var schemaVersion = 1
  var rules: [Rule]
  var exceptions: [Exception]

  /// All of them.
  public init() {
    rules = DivergenceRule.allCases.map {
      Rule(
        rule: $0.id, statement: $0.statement, isChecked: $0.reasonNotChecked == nil,
        reasonNotChecked: $0.reasonNotChecked)
    }
    exceptions = DivergenceException.allCases.map {
      Exception(exception: $0.id, statement: $0.statement, treatment: $0.treatment)
    }
  }

  /// As a page of text.
  public var text: String {
    var page = TextPage()
    page.table(
      header: ["rule", "a trace must satisfy"], alignRight: [false, false],
      rows: rules.map {
        [$0.rule, $0.statement + ($0.reasonNotChecked.map { " (not checked: \($0))" } ?? "")]
      })
    page.blank()
    page.table(
      header: ["exception", "accounts for a divergence", "in a replay"], alignRight: [false, false, false],
      rows: exceptions.map { [$0.exception, $0.statement, $0.treatment] })
    return page.text
  }
}
