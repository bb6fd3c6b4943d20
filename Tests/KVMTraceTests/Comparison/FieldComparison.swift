import KVMTrace

/// Compares the numbers in a line of trace-cmd with those that `EventFormats.value` reads, for one kind of event.
///
/// trace-cmd prints a field as the event's print format prints it, so that a number without 0x may be decimal,
/// hexadecimal or octal (file modes). Which of them is fixed for each field: a field passes as long as one reading fits all events.
struct FieldComparison {
  private struct Field {
    var format: KVMTrace.EventFormat.Field
    /// " name=".
    var key: [UInt8]
    var fitsDecimal = true
    var fitsHexadecimal = true
    var fitsOctal = true
  }

  let name: [UInt8]
  private var fields: [Field]
  /// Whether the event is one of KVM, whose fields are all printed as numbers; in others trace-cmd puts the symbol
  /// in place of an address.
  private let isKVM: Bool
  /// Fields of which trace-cmd printed a symbol.
  private(set) var symbols = 0
  /// Fields compared so far.
  private(set) var compared = 0

  init(_ format: KVMTrace.EventFormat) {
    name = Array(format.name.utf8)
    isKVM = format.system == "kvm"
    fields = format.fields.filter(\.isScalar).map { Field(format: $0, key: Array(" \($0.name)=".utf8)) }
  }

  /// Compares one event; gives back what is wrong, nil if nothing is.
  mutating func mismatch(
    _ line: ReportLines.Text, _ payload: UnsafeRawBufferPointer, _ formats: EventFormats
  ) -> String? {
    var rest = line
    for index in fields.indices {
      guard let word = rest.word(behind: fields[index].key) else {
        return "\(fields[index].format.name) is not in \"\(line.string)\""
      }
      rest.start = word.end
      let value = formats.value(of: fields[index].format, in: payload)
      let (bits, isSigned): (UInt64, Bool)
      switch value {
      case .signed(let number): (bits, isSigned) = (UInt64(bitPattern: number), true)
      case .unsigned(let number): (bits, isSigned) = (number, false)
      case .text, .missing: return "\(fields[index].format.name) is no number here: \(value)"
      }
      let unused = UInt64(64 - 8 * fields[index].format.size)
      let unextended = (bits << unused) >> unused
      let decimal = Self.decimal(word, isSigned: isSigned)
      let hexadecimal = Self.hexadecimal(word)
      if decimal == nil, hexadecimal == nil, !isKVM {
        symbols += 1
        continue
      }
      // A negative short goes through libtraceevent without its sign: -11 comes out as 65525.
      if decimal != bits, decimal != unextended { fields[index].fitsDecimal = false }
      if hexadecimal != unextended { fields[index].fitsHexadecimal = false }
      if fields[index].fitsOctal, UInt64(word.string, radix: 8) != bits { fields[index].fitsOctal = false }
      if !fields[index].fitsDecimal, !fields[index].fitsHexadecimal, !fields[index].fitsOctal {
        return "\(fields[index].format.name) is \(value), trace-cmd says \"\(word.string)\""
      }
      compared += 1
    }
    return nil
  }

  private static func decimal(_ text: ReportLines.Text, isSigned: Bool) -> UInt64? {
    var at = text.start
    let negative = at < text.end && at.pointee == 0x2d
    if negative { at += 1 }
    guard at < text.end, isSigned || !negative else { return nil }
    var value: UInt64 = 0
    while at < text.end {
      let digit = at.pointee &- 0x30
      guard digit < 10 else { return nil }
      value = value &* 10 &+ UInt64(digit)
      at += 1
    }
    return negative ? 0 &- value : value
  }

  private static func hexadecimal(_ text: ReportLines.Text) -> UInt64? {
    var at = text.start
    if text.count > 2, at.pointee == 0x30, (at + 1).pointee == 0x78 { at += 2 }
    guard at < text.end else { return nil }
    var value: UInt64 = 0
    while at < text.end {
      let byte = at.pointee
      switch byte {
      case 0x30...0x39: value = value << 4 | UInt64(byte &- 0x30)
      case 0x61...0x66: value = value << 4 | UInt64(byte &- 0x57)
      default: return nil
      }
      at += 1
    }
    return value
  }
}
