/// A value of a JSON text (RFC 8259).
enum JSONValue: Equatable {
  case null
  case bool(Bool)
  /// As it is written: whether it must be whole or fit somewhere, who asks decides.
  case number(String)
  case string(String)
  case array([JSONValue])
  /// Of two members with one name the last one counts.
  case object([String: JSONValue])

  /// The text is no JSON.
  struct SyntaxError: Error {
    /// Where what is wrong stands, in bytes; nil where the text ends too early.
    var offset: Int?
  }

  /// Reads a whole text.
  init(_ text: String) throws(SyntaxError) {
    var parser = JSONParser(Array(text.utf8))
    self = try parser.document()
  }
}

/// Reads a JSON text from front to back.
private struct JSONParser {
  typealias Failure = JSONValue.SyntaxError

  /// How deep values may lie in each other.
  private static let depthMax = 512

  private let bytes: [UInt8]
  private var position = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  mutating func document() throws(Failure) -> JSONValue {
    // A byte order mark, which editors of other systems leave.
    if bytes.starts(with: [0xef, 0xbb, 0xbf]) { position = 3 }
    let value = try value(depth: 0)
    skipBlanks()
    guard position == bytes.count else { throw failure }
    return value
  }

  private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

  private var failure: Failure { Failure(offset: position < bytes.count ? position : nil) }

  private mutating func skipBlanks() {
    while let byte = next, byte == 0x20 || byte == 0x09 || byte == 0x0a || byte == 0x0d { position += 1 }
  }

  /// Whether `byte` comes next, which is then taken.
  private mutating func takes(_ byte: Unicode.Scalar) -> Bool {
    guard next == UInt8(ascii: byte) else { return false }
    position += 1
    return true
  }

  private mutating func value(depth: Int) throws(Failure) -> JSONValue {
    guard depth < Self.depthMax else { throw failure }
    skipBlanks()
    switch next {
    case UInt8(ascii: "{"): return .object(try members(depth: depth))
    case UInt8(ascii: "["): return .array(try elements(depth: depth))
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    default: return .number(try number())
    }
  }

  private mutating func word(_ word: StaticString, _ value: JSONValue) throws(Failure) -> JSONValue {
    for index in 0..<word.utf8CodeUnitCount {
      guard next == word.utf8Start[index] else { throw failure }
      position += 1
    }
    return value
  }

  private mutating func members(depth: Int) throws(Failure) -> [String: JSONValue] {
    var members: [String: JSONValue] = [:]
    position += 1
    skipBlanks()
    if takes("}") { return members }
    while true {
      skipBlanks()
      guard next == UInt8(ascii: "\"") else { throw failure }
      let name = try string()
      skipBlanks()
      guard takes(":") else { throw failure }
      members[name] = try value(depth: depth + 1)
      skipBlanks()
      if takes("}") { return members }
      guard takes(",") else { throw failure }
    }
  }

  private mutating func elements(depth: Int) throws(Failure) -> [JSONValue] {
    var elements: [JSONValue] = []
    position += 1
    skipBlanks()
    if takes("]") { return elements }
    while true {
      elements.append(try value(depth: depth + 1))
      skipBlanks()
      if takes("]") { return elements }
      guard takes(",") else { throw failure }
    }
  }

  /// `-`, digits without a leading zero, a fraction, an exponent.
  private mutating func number() throws(Failure) -> String {
    let begin = position
    _ = takes("-")
    if !takes("0") { try digits() }
    if takes(".") { try digits() }
    if takes("e") || takes("E") {
      if !takes("+") { _ = takes("-") }
      try digits()
    }
    return String(decoding: bytes[begin..<position], as: UTF8.self)
  }

  private mutating func digits() throws(Failure) {
    let begin = position
    while let byte = next, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { position += 1 }
    guard position > begin else { throw failure }
  }

  private mutating func string() throws(Failure) -> String {
    position += 1
    var text: [UInt8] = []
    while let byte = next {
      switch byte {
      case UInt8(ascii: "\""):
        position += 1
        return String(decoding: text, as: UTF8.self)
      case UInt8(ascii: "\\"):
        position += 1
        text.append(contentsOf: UTF8.encode(try escaped())!)
      case 0..<0x20: throw failure
      default:
        text.append(byte)
        position += 1
      }
    }
    throw failure
  }

  /// What stands behind a backslash.
  private mutating func escaped() throws(Failure) -> Unicode.Scalar {
    guard let byte = next else { throw failure }
    let plain: Unicode.Scalar? =
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): Unicode.Scalar(byte)
      case UInt8(ascii: "b"): "\u{8}"
      case UInt8(ascii: "f"): "\u{c}"
      case UInt8(ascii: "n"): "\n"
      case UInt8(ascii: "r"): "\r"
      case UInt8(ascii: "t"): "\t"
      default: nil
      }
    if let plain {
      position += 1
      return plain
    }
    guard takes("u") else { throw failure }
    let unit = try codeUnit()
    if let scalar = Unicode.Scalar(unit) { return scalar }
    // A character beyond 16 bits is written as two surrogates.
    guard unit < 0xdc00, takes("\\"), takes("u") else { throw failure }
    let low = try codeUnit()
    guard (0xdc00..<0xe000).contains(low),
      let scalar = Unicode.Scalar(0x10000 + (unit - 0xd800) << 10 + (low - 0xdc00))
    else { throw failure }
    return scalar
  }

  /// Four hexadecimal digits.
  private mutating func codeUnit() throws(Failure) -> UInt32 {
    var unit: UInt32 = 0
    for _ in 0..<4 {
      guard let byte = next, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else { throw failure }
      unit = unit << 4 | UInt32(digit)
      position += 1
    }
    return unit
  }
}
