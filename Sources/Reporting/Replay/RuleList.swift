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

  /// All of them, or those that are called one of `names`: D6, or d6.
  public init(_ names: [String] = []) {
    let names = Set(names.map { $0.lowercased() })
    func isWanted(_ id: String) -> Bool { names.isEmpty || names.contains(id.lowercased()) }
    rules = DivergenceRule.allCases.filter { isWanted($0.id) }.map {
      Rule(
        rule: $0.id, statement: $0.statement, isChecked: $0.reasonNotChecked == nil,
        reasonNotChecked: $0.reasonNotChecked)
    }
    exceptions = DivergenceException.allCases.filter { isWanted($0.id) }.map {
      Exception(exception: $0.id, statement: $0.statement, treatment: $0.treatment)
    }
  }

  /// What they are called.
  public var names: [String] { rules.map(\.rule) + exceptions.map(\.exception) }

  /// Whether there is none.
  public var isEmpty: Bool { rules.isEmpty && exceptions.isEmpty }

  /// As a page of text for a file or a pipe.
  public var text: String { text(in: .filed) }

  /// As a page of text.
  public func text(in form: PageForm) -> String {
    var page = TextPage(form)
    if !rules.isEmpty {
      page.table(
        header: ["rule", "a trace must satisfy"], alignRight: [false, false],
        rows: rules.map {
          [$0.rule, $0.statement + ($0.reasonNotChecked.map { " (not checked: \($0))" } ?? "")]
        }, spare: [])
    }
    if !rules.isEmpty, !exceptions.isEmpty { page.blank() }
    if !exceptions.isEmpty {
      page.table(
        header: ["exception", "accounts for a divergence", "in a replay"], alignRight: [false, false, false],
        rows: exceptions.map { [$0.exception, $0.statement, $0.treatment] })
    }
    return page.rendered
  }
}
