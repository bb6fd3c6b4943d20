internal import Stage2Replay

/// The divergence rules and their exceptions, as a page of text or as JSON.
public struct RuleList: Encodable, Sendable {
  /// A rule.
  public struct Rule: Encodable, Sendable {
    var rule: String
    var title: String
    var statement: String
    var isChecked: Bool
    var reasonNotChecked: String?

    init(_ rule: DivergenceRule) {
      (self.rule, title, statement) = (rule.id, rule.title, rule.statement)
      (isChecked, reasonNotChecked) = (rule.reasonNotChecked == nil, rule.reasonNotChecked)
    }
  }

  /// An exception.
  public struct Exception: Encodable, Sendable {
    var exception: String
    var title: String
    var statement: String
    var treatment: String

    init(_ exception: DivergenceException) {
      (self.exception, title) = (exception.id, exception.title)
      (statement, treatment) = (exception.statement, exception.treatment)
    }

  }

  /// The version of this layout.
  var schemaVersion = 1
  var rules: [Rule]
  var exceptions: [Exception]
  /// Whether somebody asked for these, and wants to know all of each.
  private let isChosen: Bool

  private enum CodingKeys: String, CodingKey { case schemaVersion, rules, exceptions }

  /// All of them, or those that are called one of `names`: D6, or d6.
  public init(_ names: [String] = []) {
    isChosen = !names.isEmpty
    let names = Set(names.map { $0.lowercased() })
    func isWanted(_ id: String) -> Bool { names.isEmpty || names.contains(id.lowercased()) }
    rules = DivergenceRule.allCases.filter { isWanted($0.id) }.map { Rule($0) }
    exceptions = DivergenceException.allCases.filter { isWanted($0.id) }.map { Exception($0) }
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
    if isChosen { writeEach(&page) } else { writeAll(&page) }
    return page.rendered
  }

  private func writeAll(_ page: inout TextPage) {
    page.table(
      header: ["rule", "a trace must satisfy"], alignRight: [false, false],
      rows: rules.map {
        [$0.rule, $0.statement + ($0.reasonNotChecked.map { " (not checked: \($0))" } ?? "")]
      }, spare: [])
    page.blank()
    Self.write(exceptions, "accounts for a divergence", &page)
  }

  /// All that there is to say of each.
  private func writeEach(_ page: inout TextPage) {
    for rule in rules {
      page.heading("\(rule.rule): \(rule.title)")
      page.row("demands", rule.statement)
      page.row(
        "checked",
        rule.reasonNotChecked.map { "never: \($0)" } ?? "by every replay that models the traced kernel")
      page.row(
        "an event",
        "that breaks it is explained where an exception accounts for it, unknown where the state that the rule speaks of is not known, "
          + "and unexplained otherwise: exit status 1")
      page.blank()
      let accounting = DivergenceException.allCases.filter { exception in
        exception.rules.map { $0.contains { $0.id == rule.rule } } ?? true
      }
      Self.write(accounting.map { Exception($0) }, "may account for an event that breaks it", &page)
      page.blank()
    }
    for exception in exceptions {
      page.heading("\(exception.exception): \(exception.title)")
      page.row("means", exception.statement)
      page.row("in a replay", exception.treatment)
    }
  }

  private static func write(_ exceptions: [Exception], _ header: String, _ page: inout TextPage) {
    page.table(
      header: ["exception", header, "in a replay"], alignRight: [false, false, false],
      rows: exceptions.map { [$0.exception, $0.statement, $0.treatment] })
  }
}
