/// The text of one event's format file, taken apart and checked before libtraceevent sees it.
///
///     name: kvm_entry
///     ID: 65
///     format:
///             field:unsigned short common_type;       offset:0;       size:2; signed:0;
///
///             field:unsigned long vcpu_pc;    offset:8;       size:8; signed:0;
///
///     print fmt: "PC: 0x%016lx", REC->vcpu_pc
///
/// The part above `print fmt` says how to read the event; it is parsed when a trace is opened. The print format is
/// parsed when an event is printed, and then only if `PrintFormatSyntax` lets it through. libtraceevent was not
/// written for texts that a damaged file may hold.
struct FormatSource {
  /// The system, as the file groups the events.
  let system: String
  /// Everything above `print fmt`.
  let fields: String
  /// What stands behind `print fmt:`.
  let printFormat: String

  /// The most bytes that an event can have: the length of a record and the offset of a dynamic field have 16 bits.
  static let payloadBytesMax = 1 << 16

  /// Takes `text` apart; nil where it is damaged above `print fmt`.
  init?(system: String, text: UnsafeRawBufferPointer) {
    let whole = String(decoding: text, as: UTF8.self)
    guard text.allSatisfy({ $0 == 0x09 || $0 == 0x0a || (0x20..<0x7f).contains($0) }) else { return nil }
    self.system = system
    let lines = whole.split(separator: "\n", omittingEmptySubsequences: false)
    let split = lines.firstIndex { $0.hasPrefix("print fmt:") } ?? lines.count
    guard lines.count >= 3, Self.isName(lines[0], behind: "name: "), Self.isNumber(lines[1], behind: "ID: "),
      lines[2] == "format:",
      lines[3..<max(split, 3)].allSatisfy({ $0.isEmpty || Self.isField($0) })
    else { return nil }
    fields = lines[..<split].joined(separator: "\n") + "\n"
    let print = lines[split...].joined(separator: "\n").dropFirst("print fmt:".utf8.count)
    printFormat = String(print.drop { $0 == " " }.reversed().drop { $0 == "\n" }.reversed())
  }

  /// The text that libtraceevent parses to learn the fields.
  var textWithoutPrintFormat: String { fields + "print fmt: \"\"\n" }

  /// The text with the print format, nil where that is not well-formed.
  func textWithPrintFormat(fieldNames: Set<String>) -> String? {
    guard PrintFormatSyntax.isWellFormed(printFormat, fields: fieldNames) else { return nil }
    return fields + "print fmt: \(printFormat)\n"
  }

  private static func isName(_ line: Substring, behind label: String) -> Bool {
    line.hasPrefix(label) && line.utf8.count > label.utf8.count
      && line.utf8.dropFirst(label.utf8.count).allSatisfy(isWord)
  }

  private static func isNumber(_ line: Substring, behind label: String) -> Bool {
    line.hasPrefix(label) && UInt16(line.dropFirst(label.utf8.count)) != nil
  }

  /// `\tfield:TYPE NAME;\toffset:N;\tsize:N;\tsigned:N;`; old kernels have no `signed`.
  private static func isField(_ line: Substring) -> Bool {
    let parts = line.split(separator: ";", omittingEmptySubsequences: false)
    guard parts.count == 4 || parts.count == 5, parts.last!.allSatisfy({ $0 == " " || $0 == "\t" }),
      let declaration = value(parts[0], "field:"), isDeclaration(declaration),
      let offset = value(parts[1], "offset:").flatMap({ UInt32($0) }),
      let size = value(parts[2], "size:").flatMap({ UInt32($0) }),
      Int(offset) + Int(size) <= payloadBytesMax
    else { return false }
    return parts.count == 4 || ["0", "1"].contains(value(parts[3], "signed:"))
  }

  private static func value(_ part: Substring, _ label: String) -> Substring? {
    let part = part.drop { $0 == " " || $0 == "\t" }
    return part.hasPrefix(label) ? part.dropFirst(label.utf8.count) : nil
  }

  /// A type and a name: words, stars, and brackets that close, behind the name or the type.
  private static func isDeclaration(_ text: Substring) -> Bool {
    var open: [UInt8] = []
    var words = 0
    var inWord = false
    for byte in text.utf8 {
      if isWord(byte) {
        if !inWord, open.isEmpty { words += 1 }
        inWord = true
        continue
      }
      inWord = false
      switch byte {
      case UInt8(ascii: "["), UInt8(ascii: "("): open.append(byte)
      case UInt8(ascii: "]"): if open.popLast() != UInt8(ascii: "[") { return false }
      case UInt8(ascii: ")"): if open.popLast() != UInt8(ascii: "(") { return false }
      case UInt8(ascii: " "), UInt8(ascii: "*"): break
      // A length such as 30 + 1.
      case UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "/"): if open.isEmpty { return false }
      default: return false
      }
    }
    return open.isEmpty && words >= 2
  }

  static func isWord(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
      true
    default: false
    }
  }
}
