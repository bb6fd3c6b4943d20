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
  /// The event's name.
  let name: String
  /// The event's number.
  let id: UInt16
  /// Everything above `print fmt`, as libtraceevent understands it.
  let fields: String
  /// Whether every field could be read.
  let areFieldsReadable: Bool
  /// What stands behind `print fmt:`.
  let printFormat: String

  /// The most bytes that an event can have: the length of a record and the offset of a dynamic field have 16 bits.
  static let payloadBytesMax = 1 << 16

  /// Takes `text` apart; nil where it does not even say which event it is of.
  init?(system: String, text: UnsafeRawBufferPointer) {
    let whole = String(decoding: text, as: UTF8.self)
    self.system = system
    let lines = whole.split(separator: "\n", omittingEmptySubsequences: false)
    let split = lines.firstIndex { $0.hasPrefix("print fmt:") } ?? lines.count
    guard lines.count >= 2, Self.isName(lines[0], behind: "name: "), Self.isNumber(lines[1], behind: "ID: ")
    else { return nil }
    name = String(lines[0].dropFirst("name: ".utf8.count))
    id = UInt16(lines[1].dropFirst("ID: ".utf8.count))!
    let declarations = lines.dropFirst(2).prefix(max(split - 2, 0))
    let fields = declarations.first == "format:" ? declarations.dropFirst().map(Self.field) : [nil]
    areFieldsReadable = !fields.contains(nil)
    self.fields = (lines[..<2] + ["format:"] + fields.compactMap { $0 }).joined(separator: "\n") + "\n"
    let print = lines[min(split, lines.count)...].joined(separator: "\n").dropFirst("print fmt:".utf8.count)
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

  /// A line such as `\tfield:TYPE NAME;\toffset:N;\tsize:N;\tsigned:N;` with a declaration that libtraceevent
  /// understands; nil where the field cannot be read. Old kernels have no `signed`; a declaration can hold semicolons.
  private static func field(_ line: Substring) -> Substring? {
    if line.isEmpty { return line }
    let parts = line.split(separator: ";", omittingEmptySubsequences: false)
    guard let place = parts.lastIndex(where: { value($0, "offset:") != nil }), place > 0 else { return nil }
    let numbers = parts[place...]
    guard numbers.count == 3 || numbers.count == 4, numbers.last!.allSatisfy({ $0 == " " || $0 == "\t" }),
      let declaration = value(parts[..<place].joined(separator: ";")[...], "field:"),
      let offset = value(numbers[place], "offset:").flatMap({ UInt32($0) }),
      let size = value(numbers[place + 1], "size:").flatMap({ UInt32($0) }),
      Int(offset) + Int(size) <= payloadBytesMax,
      numbers.count == 3 || ["0", "1"].contains(value(numbers[place + 2], "signed:")),
      let plain = FieldDeclaration.plain(declaration, bytes: Int(size))
    else { return nil }
    return "\tfield:\(plain);\(numbers.joined(separator: ";"))"
  }

  private static func value(_ part: Substring, _ label: String) -> Substring? {
    let part = part.drop { $0 == " " || $0 == "\t" }
    return part.hasPrefix(label) ? part.dropFirst(label.utf8.count) : nil
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
