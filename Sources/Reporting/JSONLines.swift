/// Where the values of a JSON text stand, for messages about a file that a person wrote.
public enum JSONLines {
  /// The line, from 1, on which the value at `path` begins, such as `vms[0].slots[2].pages`; that of the innermost part of
  /// the path which the text has. The text is valid JSON.
  public static func line(of path: String, in text: String) -> Int {
    var scanner = Scanner(bytes: Array(text.utf8), path: path)
    scanner.value(at: "")
    return scanner.found
  }

  /// What is wrong with a text that is no JSON, with the line where the parser says so; nil where it is JSON.
  public static func syntaxProblem(of text: String) -> String? {
    do throws(JSONValue.SyntaxError) {
      _ = try JSONValue(text)
      return nil
    } catch {
      guard let offset = error.offset else { return "is not JSON" }
      let lines = text.utf8.prefix(offset).count { $0 == UInt8(ascii: "\n") } + 1
      return "line \(lines): is not JSON"
    }
  }

  /// Walks through a text and keeps the line of the deepest value on the way to a path.
  private struct Scanner {
    let bytes: [UInt8]
    let path: String
    var position = 0
    var line = 1
    var found = 1
    private var deepest = -1

    init(bytes: [UInt8], path: String) { (self.bytes, self.path) = (bytes, path) }

    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func skipBlanks() {
      while let byte = next, byte == 0x20 || (0x09...0x0d).contains(byte) { advance() }
    }

    private mutating func advance() {
      if next == UInt8(ascii: "\n") { line += 1 }
      position += 1
    }

    mutating func value(at place: String) {
      skipBlanks()
      let isOnPath =
        path == place || place.isEmpty || path.hasPrefix("\(place).") || path.hasPrefix("\(place)[")
      if isOnPath, place.utf8.count > deepest { (found, deepest) = (line, place.utf8.count) }
      switch next {
      case UInt8(ascii: "{"):
        members { scanner, _ in
          let key = scanner.string()
          scanner.skipBlanks()
          scanner.advance()
          scanner.value(at: place.isEmpty ? key : "\(place).\(key)")
        }
      case UInt8(ascii: "["): members { scanner, index in scanner.value(at: "\(place)[\(index)]") }
      case UInt8(ascii: "\""): _ = string()
      default:
        while let byte = next, byte != UInt8(ascii: ","), byte != UInt8(ascii: "}"), byte != UInt8(ascii: "]")
        {
          advance()
        }
      }
    }

    /// What stands between two brackets, separated by commas.
    private mutating func members(_ member: (inout Scanner, Int) -> Void) {
      advance()
      var index = 0
      while true {
        skipBlanks()
        guard let byte = next else { return }
        if byte == UInt8(ascii: "}") || byte == UInt8(ascii: "]") { return advance() }
        if byte == UInt8(ascii: ",") {
          advance()
          continue
        }
        member(&self, index)
        index += 1
      }
    }

    /// A string as it is written, without its quotes.
    private mutating func string() -> String {
      advance()
      let start = position
      while let byte = next, byte != UInt8(ascii: "\"") {
        if byte == UInt8(ascii: "\\") { advance() }
        advance()
      }
      defer { advance() }
      return String(decoding: bytes[start..<min(position, bytes.count)], as: UTF8.self)
    }
  }
}
