internal import Glibc

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
/// written for texts that a damaged file may hold; and where all fields are numbers, as of nearly all events, it is not needed: its
/// parser takes a good part of the time that it takes to open a trace.
struct FormatSource {
  /// The system, as the file groups the events.
  let system: String
  /// The event's name.
  let name: String
  /// The event's number.
  let id: UInt16
  /// Everything above `print fmt`, as libtraceevent understands it.
  let fields: [UInt8]
  /// Whether every field could be read.
  let areFieldsReadable: Bool
  /// The fields, if all are numbers or pointers; nil where libtraceevent has to say what they are.
  let scalars: FormatFields?
  /// Where they lie.
  let layout: FieldLayout
  /// What stands behind `print fmt:`.
  private let printBytes: [UInt8]

  /// The most bytes that an event can have: the length of a record and the offset of a dynamic field have 16 bits.
  static let payloadBytesMax = 1 << 16

  private static let printLabel: StaticString = "print fmt:"
  private static let lineEnd = UInt8(ascii: "\n")

  /// Takes `text` apart; nil where it does not even say which event it is of.
  init?(system: String, text: UnsafeRawBufferPointer) {
    var lines = FormatLines(text)
    guard let nameLine = lines.next(), let name = nameLine.behind("name: "), !name.isEmpty,
      name.allSatisfy(Self.isWord), let idLine = lines.next(),
      let id = idLine.behind("ID: ")?.decimal.flatMap({ UInt16(exactly: $0) })
    else { return nil }
    self.system = system
    self.name = String(decoding: name, as: UTF8.self)
    self.id = id
    var fields: [UInt8] = []
    fields.reserveCapacity(text.count + 64)
    for line in [nameLine, idLine] {
      fields.append(contentsOf: line)
      fields.append(Self.lineEnd)
    }
    fields.append(contentsOf: "format:\n".utf8)
    var line = lines.next()
    let areDeclared = line.map { $0.elementsEqual("format:".utf8) } ?? false
    if areDeclared { line = lines.next() }
    var areReadable = areDeclared
    var scalars: FormatFields? = FormatFields()
    var layout = FieldLayout(system: system)
    while let declaration = line, !declaration.hasPrefix(Self.printLabel) {
      let place = declaration.baseAddress! - text.baseAddress!
      if areDeclared, !Self.append(declaration, at: place, to: &fields, &scalars, &layout) {
        areReadable = false
      }
      line = lines.next()
    }
    self.fields = fields
    areFieldsReadable = areReadable
    self.layout = layout
    self.scalars = areReadable && scalars?.isComplete == true ? scalars : nil
    printBytes = line.map { Self.printFormat(in: text, from: $0) } ?? []
  }

  /// What stands behind `print fmt:`.
  var printFormat: String { String(decoding: printBytes, as: UTF8.self) }

  /// The text that libtraceevent parses to learn the fields.
  var textWithoutPrintFormat: [UInt8] { fields + "print fmt: \"\"\n".utf8 }

  /// The text with the print format, nil where that is not well-formed.
  func textWithPrintFormat(fieldNames: Set<String>) -> String? {
    let print = printFormat
    guard PrintFormatSyntax.isWellFormed(print, fields: fieldNames) else { return nil }
    return String(decoding: fields, as: UTF8.self) + "print fmt: \(print)\n"
  }

  /// The print format whose first line is `line`: everything up to the end of `text`, but for blanks before and empty lines behind.
  private static func printFormat(
    in text: UnsafeRawBufferPointer, from line: UnsafeRawBufferPointer
  ) -> [UInt8] {
    var begin = line.baseAddress! - text.baseAddress! + printLabel.utf8CodeUnitCount
    var end = text.count
    while begin < end, text[begin] == UInt8(ascii: " ") { begin += 1 }
    while begin < end, text[end - 1] == lineEnd { end -= 1 }
    return Array(text[begin..<end])
  }

  /// Appends a line such as `\tfield:TYPE NAME;\toffset:N;\tsize:N;\tsigned:N;` with a declaration that libtraceevent
  /// understands; false where the field cannot be read. Old kernels have no `signed`; a declaration can hold semicolons.
  private static func append(
    _ line: UnsafeRawBufferPointer, at place: Int, to fields: inout [UInt8], _ scalars: inout FormatFields?,
    _ layout: inout FieldLayout
  ) -> Bool {
    guard !line.isEmpty else {
      fields.append(lineEnd)
      scalars?.endPart()
      layout.endPart()
      return true
    }
    // From the end: nothing but blanks, perhaps `signed`, `size`, `offset`.
    var numbers = line.lastPart(before: line.count)
    guard line[numbers...].allSatisfy({ $0 == UInt8(ascii: " ") || $0 == 0x09 }) else { return false }
    func value(_ label: StaticString) -> UnsafeRawBufferPointer? {
      guard numbers > 0 else { return nil }
      let begin = line.lastPart(before: numbers - 1)
      let part = UnsafeRawBufferPointer(rebasing: line[begin..<(numbers - 1)])
      guard let value = part.withoutBlanks.behind(label) else { return nil }
      numbers = begin
      return value
    }
    let sign = value("signed:")
    if let sign, !sign.elementsEqual("0".utf8), !sign.elementsEqual("1".utf8) { return false }
    guard let sizeText = value("size:"), let offsetText = value("offset:"), numbers > 0,
      let size = sizeText.decimal, let offset = offsetText.decimal, offset + size <= payloadBytesMax,
      let declaration = UnsafeRawBufferPointer(rebasing: line[..<(numbers - 1)]).withoutBlanks.behind(
        "field:")
    else { return false }
    let begin = fields.count
    fields.append(contentsOf: "\tfield:".utf8)
    guard FieldDeclaration.append(declaration, bytes: size, to: &fields) else {
      fields.removeLast(fields.count - begin)
      return false
    }
    fields.append(contentsOf: line[(numbers - 1)...])
    fields.append(lineEnd)
    layout.take(
      declaration, offset: offset, size: size, isSigned: sign.map { $0.elementsEqual("1".utf8) }, line: place)
    // libtraceevent takes a number that begins with 0 for an octal one.
    if let name = FieldDeclaration.scalarName(declaration), !sizeText.isOctal, !offsetText.isOctal {
      scalars?.append(
        EventFormat.Field(
          scalar: String(decoding: name, as: UTF8.self), offset: offset, size: size,
          isSigned: sign?.elementsEqual("1".utf8) ?? false,
          isPointer: declaration.contains(UInt8(ascii: "*")),
          isThread: FieldDeclaration.isThread(declaration)))
    } else {
      scalars = nil
    }
    return true
  }

  @inline(__always)
  static func isWord(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
      true
    default: false
    }
  }
}

/// The lines of a text, one after another; behind the last line feed stands one more, which may be empty.
private struct FormatLines {
  private let text: UnsafeRawBufferPointer
  private var position = 0

  init(_ text: UnsafeRawBufferPointer) { self.text = text }

  /// The next line without its line feed, nil behind the last one.
  mutating func next() -> UnsafeRawBufferPointer? {
    guard position <= text.count, let start = text.baseAddress else { return nil }
    let left = text.count - position
    let end = left > 0 ? memchr(start + position, 0x0a, left).map { UnsafeRawPointer($0) - start } : nil
    let line = UnsafeRawBufferPointer(rebasing: text[position..<(end ?? text.count)])
    position = (end ?? text.count) + 1
    return line
  }
}

extension UnsafeRawBufferPointer {
  func hasPrefix(_ prefix: StaticString) -> Bool {
    let length = prefix.utf8CodeUnitCount
    return count >= length && memcmp(baseAddress!, prefix.utf8Start, length) == 0
  }

  /// What stands behind `label`, nil where that is not what the bytes begin with.
  fileprivate func behind(_ label: StaticString) -> UnsafeRawBufferPointer? {
    hasPrefix(label) ? UnsafeRawBufferPointer(rebasing: self[label.utf8CodeUnitCount...]) : nil
  }

  /// The bytes without the blanks and tabs that they begin with.
  var withoutBlanks: UnsafeRawBufferPointer {
    var begin = 0
    while begin < count, self[begin] == UInt8(ascii: " ") || self[begin] == 0x09 { begin += 1 }
    return UnsafeRawBufferPointer(rebasing: self[begin...])
  }

  /// Where the part begins that ends at `end`: behind the last semicolon before it.
  fileprivate func lastPart(before end: Int) -> Int {
    var begin = end
    while begin > 0, self[begin - 1] != UInt8(ascii: ";") { begin -= 1 }
    return begin
  }

  /// Whether C takes the digits for those of an octal number.
  fileprivate var isOctal: Bool { count > 1 && self[0] == UInt8(ascii: "0") }

  /// The number whose digits the bytes are, nil where they are something else, or more than 32 bits.
  var decimal: Int? {
    guard !isEmpty else { return nil }
    var number = 0
    for byte in self {
      guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
      number = 10 * number + Int(byte - UInt8(ascii: "0"))
      guard number <= UInt32.max else { return nil }
    }
    return number
  }
}
