public import KVMTrace
internal import KVMTypes

/// A filter on the fields of events, in the manner of the kernel's and of `trace-cmd -F`:
/// `ipa >= 0x40000000 && esr.level == 2`.
///
///     either     = both ("||" both)*
///     both       = one ("&&" one)*
///     one        = "!" one | "(" either ")" | field ["&" number] [comparison value]
///     comparison = "==" | "!=" | "<" | "<=" | ">" | ">=" | "~"
///     value      = number | "text" | 'text' | word
///
/// A field alone asks whether it is not 0. What asks for a field that an event does not have is neither true nor false
/// for that event, and so is its opposite.
public struct EventFilter {
  /// What is wrong with a filter, and where.
  public struct Mistake: Error, Sendable {
    /// The character, from 1.
    public let column: Int
    /// What is wrong there.
    public let what: String

    /// The mistake in one line.
    public var message: String { "--where: character \(column): \(what)" }
  }

  fileprivate indirect enum Node: Sendable {
    case either(Node, Node)
    case both(Node, Node)
    case not(Node)
    case test(Test)
  }

  fileprivate struct Test: Sendable {
    var field: EventField
    var mask: UInt64?
    var comparison: Comparison
    var operand: Operand
  }

  fileprivate enum Comparison: String, Sendable {
    case equal = "=="
    case unequal = "!="
    case less = "<"
    case lessOrEqual = "<="
    case greater = ">"
    case greaterOrEqual = ">="
    case like = "~"
  }

  fileprivate enum Operand: Sendable {
    case number(Int128)
    case text(String)
    case glob(Glob)
  }

  private let root: Node
  private let formats: EventFormats
  /// Whether the filter asks for the VM of an event.
  public let asksForVM: Bool
  /// The VMs that it asks for by number.
  public let vms: [Int]

  /// Parses `text` for the events of `trace` that have one of the numbers `ids`, or for all of them.
  public init(_ text: String, of trace: TraceFile, ids: Set<UInt16>?) throws(Mistake) {
    formats = trace.formats
    let chosen = trace.formats.formats.filter { ids?.contains($0.id) ?? true }
    var parser = FilterParser(text, formats: chosen, StampUnit(trace.clock))
    root = try parser.filter()
    asksForVM = parser.asksForVM
    vms = parser.vms
  }

  /// Whether the filter lets an event through.
  func accepts(_ subject: EventField.Subject) -> Bool { evaluate(root, subject) ?? false }

  private func evaluate(_ node: Node, _ subject: EventField.Subject) -> Bool? {
    switch node {
    case .either(let left, let right):
      let first = evaluate(left, subject)
      if first == true { return true }
      let second = evaluate(right, subject)
      return second == true ? true : first == nil || second == nil ? nil : false
    case .both(let left, let right):
      let first = evaluate(left, subject)
      if first == false { return false }
      let second = evaluate(right, subject)
      return second == false ? false : first == nil || second == nil ? nil : true
    case .not(let node): return evaluate(node, subject).map { !$0 }
    case .test(let test):
      if test.field == .vm, subject.vms.count > 1 {
        return subject.vms.contains { Self.decide(test, .number(Int128($0))) == true }
      }
      return test.field.value(of: subject, formats).flatMap { Self.decide(test, $0) }
    }
  }

  private static func decide(_ test: Test, _ value: EventField.Value) -> Bool? {
    switch (value, test.operand) {
    case (.number(var number), .number(let wanted)):
      if let mask = test.mask { number = Int128(UInt64(truncatingIfNeeded: number) & mask) }
      return compare(number, test.comparison, wanted)
    case (.text(let text), .text(let wanted)): return compare(text, test.comparison, wanted)
    case (.text(let text), .glob(let glob)): return glob.matches(text)
    default: return nil
    }
  }

  private static func compare<Value: Comparable>(
    _ left: Value, _ comparison: Comparison, _ right: Value
  ) -> Bool? {
    switch comparison {
    case .equal: left == right
    case .unequal: left != right
    case .less: left < right
    case .lessOrEqual: left <= right
    case .greater: left > right
    case .greaterOrEqual: left >= right
    case .like: nil
    }
  }
}

/// Reads the text of a filter, and checks every field against the events that it can meet.
private struct FilterParser {
  private struct Token {
    enum Kind { case word, number, text, symbol, end }
    var kind: Kind
    var text: String
    var column: Int
  }

  private static let symbols = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "&", "|", "!", "~", "(", ")", "=",
  ]
  private static let depthMax = 100

  private let formats: [EventFormat]
  private let characters: [Character]
  private var position = 0
  private var token = Token(kind: .end, text: "", column: 1)
  private var depth = 0
  private(set) var asksForVM = false
  /// The VMs that an event's is compared with.
  private(set) var vms: [Int] = []

  private let unit: StampUnit

  init(_ text: String, formats: [EventFormat], _ unit: StampUnit) {
    self.unit = unit
    self.formats = formats
    characters = Array(text)
  }

  mutating func filter() throws(EventFilter.Mistake) -> EventFilter.Node {
    try advance()
    let node = try either()
    guard token.kind == .end else {
      throw mistake("\(token.text) is not expected here; && and || join conditions")
    }
    return node
  }

  private mutating func either() throws(EventFilter.Mistake) -> EventFilter.Node {
    var node = try both()
    while isSymbol("||") {
      try advance()
      node = .either(node, try both())
    }
    return node
  }

  private mutating func both() throws(EventFilter.Mistake) -> EventFilter.Node {
    var node = try one()
    while isSymbol("&&") {
      try advance()
      node = .both(node, try one())
    }
    return node
  }

  private mutating func one() throws(EventFilter.Mistake) -> EventFilter.Node {
    depth += 1
    defer { depth -= 1 }
    guard depth < Self.depthMax else { throw mistake("the conditions are nested too deeply") }
    if isSymbol("!") {
      try advance()
      return .not(try one())
    }
    if isSymbol("(") {
      try advance()
      let node = try either()
      guard isSymbol(")") else { throw mistake("a ) is missing") }
      try advance()
      return node
    }
    return .test(try test())
  }

  private mutating func test() throws(EventFilter.Mistake) -> EventFilter.Test {
    guard token.kind == .word else { throw mistake("the name of a field is missing") }
    let (field, isText) = try field(token)
    try advance()
    var mask: UInt64?
    if isSymbol("&") {
      guard !isText else { throw mistake("& needs a number, and the field is text") }
      try advance()
      guard token.kind == .number, let bits = Self.integer(token.text), let value = UInt64(exactly: bits)
      else {
        throw mistake("a number is missing behind &")
      }
      mask = value
      try advance()
    }
    guard token.kind == .symbol, let comparison = EventFilter.Comparison(rawValue: token.text) else {
      if isSymbol("=") { throw mistake("= is written ==") }
      guard !isText else { throw mistake("a text needs a comparison: ==, !=, ~") }
      return EventFilter.Test(field: field, mask: mask, comparison: .unequal, operand: .number(0))
    }
    let sign = token
    try advance()
    let value = token
    let operand = try operand(
      comparison, sign, isTime: field == .time && unit == .nanoseconds, isText: isText)
    if comparison == .equal { try check(field, mask: mask, value, operand) }
    return EventFilter.Test(field: field, mask: mask, comparison: comparison, operand: operand)
  }

  /// Refuses a value that the field never has, and keeps the VMs that are asked for.
  private mutating func check(
    _ field: EventField, mask: UInt64?, _ value: Token, _ operand: EventFilter.Operand
  ) throws(EventFilter.Mistake) {
    if field == .vm, mask == nil, case .number(let number) = operand {
      vms.append(Int(clamping: number))
    }
    guard case .text(let text) = operand, let possible = field.possibleTexts(among: formats),
      !possible.contains(text), !(field == .syndrome(.kind) && text.hasPrefix("status "))
    else { return }
    let near = NearNames.of(text, among: possible)
    let names = near.isEmpty && possible.count <= 10 ? possible : near
    throw EventFilter.Mistake(
      column: value.column,
      what: "no selected event has \(text) there"
        + (names.isEmpty
          ? "" : "; \(near.isEmpty ? "there are" : "near are") \(names.joined(separator: ", "))"))
  }

  private mutating func operand(
    _ comparison: EventFilter.Comparison, _ sign: Token, isTime: Bool, isText: Bool
  ) throws(EventFilter.Mistake) -> EventFilter.Operand {
    let value = token
    if isText {
      guard [.text, .word, .number].contains(value.kind) else {
        throw mistake("a text is missing behind \(sign.text)")
      }
      try advance()
      return comparison == .like ? .glob(Glob(value.text)) : .text(value.text)
    }
    guard comparison != .like else {
      throw EventFilter.Mistake(column: sign.column, what: "~ compares texts, and the field is a number")
    }
    guard value.kind != .end else { throw mistake("a number is missing after \(sign.text)") }
    guard value.kind == .number else {
      throw mistake("the field is a number, and \(value.text) is none")
    }
    guard let number = isTime ? Self.nanoseconds(value.text) : Self.integer(value.text) else {
      throw mistake("\(value.text) is no \(isTime ? "time in seconds" : "whole number")")
    }
    try advance()
    return .number(number)
  }

  /// The field that a word names, and whether it is text.
  private mutating func field(_ word: Token) throws(EventFilter.Mistake) -> (EventField, isText: Bool) {
    let owners = formats.flatMap(\.fields).filter { $0.name == word.text }
    let field = EventField(word.text, isOwn: !owners.isEmpty)
    if field == .vm { asksForVM = true }
    // Where an event has no field of that name, it is asked for what all events have.
    if let isText = field.isText ?? EventField(word.text, isOwn: false).isText { return (field, isText) }
    guard let first = owners.first else {
      let names = formats.flatMap(\.fields).map(\.name) + EventField.commonNames
      let near = NearNames.of(word.text, among: names)
      throw mistake(
        "no selected event has a field \(word.text)"
          + (near.isEmpty ? "" : "; near are \(near.joined(separator: ", "))"))
    }
    return (field, !first.isScalar)
  }

  // MARK: Tokens

  private func isSymbol(_ text: String) -> Bool { token.kind == .symbol && token.text == text }

  private func mistake(_ what: String) -> EventFilter.Mistake {
    EventFilter.Mistake(column: token.column, what: what)
  }

  private mutating func advance() throws(EventFilter.Mistake) {
    while position < characters.count, characters[position].isWhitespace { position += 1 }
    let start = position
    token = Token(kind: .end, text: "", column: start + 1)
    guard start < characters.count else { return }
    let first = characters[start]
    if first == "\"" || first == "'" {
      guard let end = characters[(start + 1)...].firstIndex(of: first) else {
        throw mistake("a text has no end")
      }
      token = Token(kind: .text, text: String(characters[(start + 1)..<end]), column: start + 1)
      position = end + 1
    } else if first.isLetter || first.isNumber || "_*?-+.".contains(first) {
      while position < characters.count, Self.isWord(characters[position]) { position += 1 }
      let text = String(characters[start..<position])
      let isNumber =
        first.isNumber || (first == "-" || first == "+") && text.dropFirst().first?.isNumber == true
      token = Token(kind: isNumber ? .number : .word, text: text, column: start + 1)
    } else if let symbol = Self.symbols.first(where: { characters[start...].starts(with: Array($0)) }) {
      token = Token(kind: .symbol, text: symbol, column: start + 1)
      position += symbol.count
    } else {
      throw mistake("\(first) is not expected")
    }
  }

  private static func isWord(_ character: Character) -> Bool {
    character.isLetter || character.isNumber || "_*?-+./:[]@".contains(character)
  }

  private static func integer(_ text: String) -> Int128? {
    let isNegative = text.hasPrefix("-")
    let digits = (isNegative || text.hasPrefix("+") ? text.dropFirst() : text[...]).lowercased()
    let value = digits.hasPrefix("0x") ? UInt64(digits.dropFirst(2), radix: 16) : UInt64(digits)
    return value.map { isNegative ? -Int128($0) : Int128($0) }
  }

  private static func nanoseconds(_ text: String) -> Int128? {
    let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    guard let seconds = UInt64(parts[0]) else { return nil }
    let fraction = parts.count == 2 ? parts[1] : ""
    guard fraction.count <= 9, fraction.allSatisfy(\.isNumber),
      let rest = UInt64(fraction + String(repeating: "0", count: 9 - fraction.count))
    else { return nil }
    return Int128(seconds) * 1_000_000_000 + Int128(rest)
  }
}
