/// Text that came from outside (a trace, a path, a file of somebody else), made safe for where it is printed.
///
/// A recording is hostile input: a thread may have named itself with the sequence that clears a terminal, or with a
/// formula. What a reader could not see or a program would obey becomes a name of it, such as `\x1b`; everything else
/// stays as it is.
public enum Safe {
  /// Text for a terminal, in one line.
  public static func line(_ text: String) -> String {
    // Most texts have nothing to escape.
    if text.utf8.allSatisfy({ (0x20..<0x7f).contains($0) }) { return text }
    var safe = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\n": safe += "\\n"
      case "\r": safe += "\\r"
      case "\t": safe += "\\t"
      case _ where scalar.value < 0xa0 && isActive(scalar): safe += "\\x" + hex(scalar.value, digits: 2)
      case _ where isActive(scalar): safe += "\\u{" + hex(scalar.value, digits: 4) + "}"
      default: safe.unicodeScalars.append(scalar)
      }
    }
    return safe
  }

  /// Text for a cell of CSV: quoted where it must be. A text that a spreadsheet would compute gets a `'` before it.
  public static func cell(_ text: String) -> String {
    var cell = line(text)
    // A tab or a return is one no longer; a spreadsheet that drops what stands before a formula is not helped.
    let first = text.unicodeScalars.first { $0 != " " }
    if let first, ["=", "+", "-", "@", "\t", "\r"].contains(first), Double(text) == nil { cell = "'" + cell }
    guard cell.contains(where: { $0 == "," || $0 == "\"" || $0 == ";" }) else { return cell }
    return "\"" + cell.replacing("\"", with: "\"\"") + "\""
  }

  /// A JSON string with its quotes.
  public static func json(_ text: String) -> String {
    var quoted = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": quoted += "\\\""
      case "\\": quoted += "\\\\"
      case _ where isActive(scalar): quoted += escape(scalar)
      default: quoted.unicodeScalars.append(scalar)
      }
    }
    return quoted + "\""
  }

  /// A JSON text of somebody else's making, in which only strings hold such characters, with all of them escaped.
  static func escaped(json text: String) -> String {
    guard text.unicodeScalars.contains(where: { $0.value >= 0x7f && isActive($0) }) else { return text }
    var safe = ""
    for scalar in text.unicodeScalars {
      if scalar.value >= 0x7f, isActive(scalar) {
        safe += escape(scalar)
      } else {
        safe.unicodeScalars.append(scalar)
      }
    }
    return safe
  }

  /// Whether a terminal or an editor obeys the character, or no reader sees it: controls of both sets, what turns the direction of text or
  /// ends a line, and what has no width, as U+200B.
  private static func isActive(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case ..<0x20, 0x7f..<0xa0, 0x61c, 0x200e, 0x200f, 0x2028...0x202e, 0x2066...0x206f, 0xfeff,
      0xfff9...0xfffb:
      true
    case ..<0xa0: false
    default: scalar.properties.isDefaultIgnorableCodePoint
    }
  }

  /// A character in a JSON string by its numbers in UTF-16.
  private static func escape(_ scalar: Unicode.Scalar) -> String {
    UTF16.encode(scalar)!.map { "\\u" + hex($0, digits: 4) }.joined()
  }

  private static func hex(_ value: some BinaryInteger, digits: Int) -> String {
    let text = String(value, radix: 16)
    return String(repeating: "0", count: max(0, digits - text.count)) + text
  }
}
