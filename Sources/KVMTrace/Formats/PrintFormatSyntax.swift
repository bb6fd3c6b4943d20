/// Whether a print format is one that libtraceevent may be given.
///
/// libtraceevent 1.7 crashes on some texts that no kernel writes but a damaged file holds, and divides by what an
/// event says. So a print format is let through only when it is well-formed: a string, then C expressions over the
/// event's own fields, with the calls and lists that kernels use. The values are left to libtraceevent.
///
///     format     = string+ ("," expression)*
///     expression = unary (operator unary)* ("?" expression ":" expression)?
///     unary      = ("-" | "!" | "~" | "+" | "&" | "*" | "(" type ")")* primary
///     primary    = (number | character | string+ | name | record "->" field | "(" expression ")") suffix*
///     record     = "REC" | "(" "REC" ")"
///     suffix     = "[" expression "]" | "(" arguments ")" | "->" name | "." name
struct PrintFormatSyntax {
  private enum Token: Equatable {
    case name(Substring)
    case number(isZero: Bool)
    case character
    case string
    case symbol(String)
    case end
  }

  /// What is no longer a print format but an attack on the stack.
  private static let depthMax = 100
  private static let bytesMax = 1 << 16

  private let fields: Set<String>
  private var rest: Substring
  private var token = Token.end
  private var depth = 0
  /// Whether what is read is the last branch of a conditional, and not in brackets there.
  private var isLastBranch = false

  private struct Malformed: Error {}

  /// Whether `text`, what follows `print fmt:`, is well-formed for an event with the fields `fields`.
  static func isWellFormed(_ text: String, fields: Set<String>) -> Bool {
    guard text.utf8.count <= bytesMax,
      text.utf8.allSatisfy({ $0 == 0x09 || $0 == 0x0a || (0x20..<0x7f).contains($0) })
    else {
      return false
    }
    var syntax = PrintFormatSyntax(fields: fields, rest: Substring(text))
    return (try? syntax.format()) != nil
  }

  private init(fields: Set<String>, rest: Substring) {
    self.fields = fields
    self.rest = rest
  }

  private mutating func format() throws {
    try advance()
    guard token == .string else { throw Malformed() }
    while token == .string { try advance() }
    while token == .symbol(",") {
      try advance()
      // The hypervisor's formats end with a comma where there is nothing to print.
      if token == .end { return }
      try expression()
    }
    guard token == .end else { throw Malformed() }
  }

  private mutating func expression(isLastBranch: Bool = false) throws {
    let outer = self.isLastBranch
    self.isLastBranch = isLastBranch
    depth += 1
    defer {
      depth -= 1
      self.isLastBranch = outer
    }
    guard depth < Self.depthMax else { throw Malformed() }
    try unary()
    while case .symbol(let symbol) = token, Self.operators.contains(symbol) {
      try advance()
      // libtraceevent divides by whatever comes out. Only a number that stands here is surely not 0.
      if symbol == "/" || symbol == "%" { try divisor() }
      try unary()
    }
    if token == .symbol("?") {
      try advance()
      try expression()
      try expect(":")
      try expression(isLastBranch: true)
    }
  }

  /// Looks ahead at a divisor: a number but 0, in parentheses or not, or the size of something.
  private mutating func divisor() throws {
    var ahead = self
    let isOpened = token == .symbol("(")
    while ahead.token == .symbol("(") { try ahead.advance() }
    // Not in a sum in parentheses, which could come out as 0 after all.
    guard ahead.token == .number(isZero: false) || !isOpened && ahead.token == .name("sizeof") else {
      throw Malformed()
    }
    try ahead.advance()
    if isOpened, ahead.token != .symbol(")") { throw Malformed() }
  }

  private mutating func unary() throws {
    repeat {
      while case .symbol(let symbol) = token, ["-", "!", "~", "+", "&", "*"].contains(symbol) {
        try advance()
      }
    } while try token == .symbol("(") && skipCast()
    try primary()
  }

  /// Skips `(type)` where an operand follows it; leaves anything else in parentheses alone.
  private mutating func skipCast() throws -> Bool {
    var ahead = self
    try ahead.advance()
    guard try ahead.skipType(), ahead.token == .symbol(")") else { return false }
    try ahead.advance()
    switch ahead.token {
    case .name, .number, .character, .string, .symbol("("), .symbol("&"), .symbol("*"), .symbol("-"),
      .symbol("~"):
      self = ahead
      return true
    default: return false
    }
  }

  /// Skips names, then stars; false where there is none.
  private mutating func skipType() throws -> Bool {
    var names = 0
    while case .name(let name) = token, name != "REC" {
      names += 1
      try advance()
    }
    while token == .symbol("*") { try advance() }
    return names > 0
  }

  private mutating func primary() throws {
    switch token {
    case .number, .character: return try advance()
    case .string: while token == .string { try advance() }
    case .name("REC"):
      try advance()
      try field()
    case .name("sizeof"):
      try advance()
      try expect("(")
      if try !skipType() { try expression() }
      try expect(")")
    case .name: try advance()
    case .symbol("("):
      try advance()
      if try !parenthesisedRecord() {
        try expression()
        try expect(")")
      }
    default: throw Malformed()
    }
    while true {
      // libtraceevent takes the conditional for what such a suffix belongs to, and crashes.
      if isLastBranch, [.symbol("["), .symbol("->"), .symbol(".")].contains(token) { throw Malformed() }
      switch token {
      case .symbol("["):
        try advance()
        try expression()
        try expect("]")
      case .symbol("("):
        try advance()
        try arguments()
      case .symbol("->"), .symbol("."):
        try advance()
        guard case .name = token else { throw Malformed() }
        try advance()
      default: return
      }
    }
  }

  /// Skips the rest of `(REC)->field`.
  private mutating func parenthesisedRecord() throws -> Bool {
    guard token == .name("REC") else { return false }
    var ahead = self
    try ahead.advance()
    guard ahead.token == .symbol(")") else { return false }
    try ahead.advance()
    self = ahead
    try field()
    return true
  }

  /// Skips `->` and the name of a field that the event has.
  private mutating func field() throws {
    try expect("->")
    guard case .name(let field) = token, fields.contains(String(field)) else { throw Malformed() }
    try advance()
  }

  /// The arguments of a call, up to its parenthesis: expressions, types, and pairs such as `{ 1, "READ" }`.
  private mutating func arguments() throws {
    while token != .symbol(")") {
      if token == .symbol("{") {
        try advance()
        try expression()
        while token == .symbol(",") {
          try advance()
          if token == .symbol("}") { break }
          try expression()
        }
        try expect("}")
      } else {
        try expression()
      }
      guard token == .symbol(",") else { break }
      try advance()
      guard token != .symbol(")") else { throw Malformed() }
    }
    try expect(")")
  }

  private mutating func expect(_ symbol: String) throws {
    guard token == .symbol(symbol) else { throw Malformed() }
    try advance()
  }

  // MARK: Tokens

  private static let operators: Set<String> = [
    "+", "-", "*", "/", "%", "<<", ">>", "&", "|", "^", "&&", "||", "==", "!=", "<", ">", "<=", ">=",
  ]
  private static let symbols = [
    "->", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "+", "-", "*", "/", "%", "&", "|", "^", "~", "!",
    "<",
    ">", "?", ":", ",", "(", ")", "{", "}", "[", "]", ".",
  ]

  private mutating func advance() throws {
    rest = rest.drop { $0 == " " || $0 == "\t" || $0 == "\n" }
    guard let first = rest.utf8.first else {
      token = .end
      return
    }
    switch first {
    case UInt8(ascii: "\""): try string()
    case UInt8(ascii: "'"):
      guard let close = rest.utf8.dropFirst(2).firstIndex(of: UInt8(ascii: "'")) else { throw Malformed() }
      rest = rest[rest.utf8.index(after: close)...]
      token = .character
    case UInt8(ascii: "0")...UInt8(ascii: "9"):
      let word = Substring(rest.utf8.prefix(while: Self.isWord))
      try number(word)
      rest = rest[word.endIndex...]
    case let byte where Self.isWord(byte):
      let word = Substring(rest.utf8.prefix(while: Self.isWord))
      token = .name(word)
      rest = rest[word.endIndex...]
    default:
      guard let symbol = Self.symbols.first(where: { rest.hasPrefix($0) }) else { throw Malformed() }
      token = .symbol(symbol)
      rest = rest.dropFirst(symbol.count)
    }
  }

  /// A number in decimal, octal or hexadecimal, with its suffix of U and L.
  private mutating func number(_ word: Substring) throws {
    var digits = Substring(word.lowercased())
    let isHexadecimal = digits.hasPrefix("0x")
    if isHexadecimal { digits = digits.dropFirst(2) }
    while let last = digits.last, last == "u" || last == "l" { digits = digits.dropLast() }
    guard !digits.isEmpty, let value = UInt64(digits, radix: isHexadecimal ? 16 : 10) else {
      throw Malformed()
    }
    token = .number(isZero: value == 0)
  }

  private mutating func string() throws {
    var bytes = rest.utf8.dropFirst()
    while let byte = bytes.first {
      let index = bytes.startIndex
      bytes = bytes.dropFirst()
      switch byte {
      case UInt8(ascii: "\\"):
        guard !bytes.isEmpty else { throw Malformed() }
        bytes = bytes.dropFirst()
      case UInt8(ascii: "\""):
        rest = rest[rest.utf8.index(after: index)...]
        token = .string
        return
      case UInt8(ascii: "%"):
        if bytes.first == UInt8(ascii: "%") {
          bytes = bytes.dropFirst()
        } else {
          try Self.checkConversion(bytes)
        }
      default: break
      }
    }
    throw Malformed()
  }

  /// Whether no conversion of `text` prints without an end; that of `trace_printk` has no other check.
  static func areConversionsHarmless(_ text: String) -> Bool {
    var bytes = Substring(text).utf8[...]
    while let percent = bytes.firstIndex(of: UInt8(ascii: "%")) {
      bytes = bytes[percent...].dropFirst()
      if bytes.first == UInt8(ascii: "%") {
        bytes = bytes.dropFirst()
      } else if (try? checkConversion(bytes)) == nil {
        return false
      }
    }
    return true
  }

  /// A width of gigabytes is as good as a crash: it has at most three digits, and an event must not choose it.
  private static func checkConversion(_ bytes: Substring.UTF8View.SubSequence) throws {
    var digits = 0
    var isPrecision = false
    var isWidthGiven = false
    var isPrecisionGiven = false
    for byte in bytes {
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"):
        digits += 1
        if digits > 3 { throw Malformed() }
      case UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "#"), UInt8(ascii: " "): break
      case UInt8(ascii: "."):
        digits = 0
        isPrecision = true
      case UInt8(ascii: "*"):
        if isPrecision { isPrecisionGiven = true } else { isWidthGiven = true }
      default:
        // `%*p` prints as many bytes as an array has, `%.*s` no more than a string has.
        if isWidthGiven && byte != UInt8(ascii: "p") { throw Malformed() }
        if isPrecisionGiven && byte != UInt8(ascii: "s") && byte != UInt8(ascii: "p") { throw Malformed() }
        return
      }
    }
  }

  private static func isWord(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
      true
    default: false
    }
  }
}
