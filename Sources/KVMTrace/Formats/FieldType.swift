/// What the declaration of a field says of its size and sign, without asking a compiler: as far as C or the kernel fix it.
enum FieldType: Equatable, Sendable {
  /// So many bytes, and whether it has a sign; nil where that depends on the machine.
  case number(bytes: Int, isSigned: Bool?)
  /// A long, or a pointer.
  case long(isSigned: Bool?)
  /// Where the content stands in the event, and how long it is: `__data_loc` and `__rel_loc`.
  case place
  /// So many of one type; nil for a number that the declaration does not tell in digits.
  indirect case array(of: FieldType, count: Int?)
  /// A structure, an enumeration, or the name of a type that is not known here.
  case unknown

  /// What `text` declares, a type and a name.
  init(_ text: UnsafeRawBufferPointer) {
    let text = text.withoutBlanks
    guard text.allSatisfy({ FormatSource.isWord($0) || Self.marks.contains($0) }) else {
      self = .unknown
      return
    }
    if text.hasPrefix("__data_loc ") || text.hasPrefix("__rel_loc ") {
      self = .place
    } else if let bracket = text.firstIndex(of: UInt8(ascii: "[")) {
      self = Self.array(text[..<bracket], text[bracket...])
    } else {
      self = Self.scalar(text[...])
    }
  }

  private static let marks = Array(" *[]".utf8)

  /// `type name[count]`; what has more brackets, or something behind them, is not known.
  private static func array(
    _ head: Slice<UnsafeRawBufferPointer>, _ brackets: Slice<UnsafeRawBufferPointer>
  ) -> FieldType {
    guard brackets.last == UInt8(ascii: "]"), !brackets.dropFirst().contains(UInt8(ascii: "[")) else {
      return .unknown
    }
    return .array(
      of: scalar(head), count: UnsafeRawBufferPointer(rebasing: brackets.dropFirst().dropLast()).decimal)
  }

  /// Words and stars, the last word of which is the name.
  private static func scalar(_ text: Slice<UnsafeRawBufferPointer>) -> FieldType {
    if text.contains(UInt8(ascii: "*")) { return .long(isSigned: nil) }
    let blank = UInt8(ascii: " ")
    guard let end = text.lastIndex(of: blank) else { return .unknown }
    var type = UnsafeRawBufferPointer(rebasing: text[..<end])
    while type.last == blank { type = UnsafeRawBufferPointer(rebasing: type.dropLast()) }
    for qualifier: StaticString in ["const ", "volatile "] where type.hasPrefix(qualifier) {
      type = UnsafeRawBufferPointer(rebasing: type[qualifier.utf8CodeUnitCount...]).withoutBlanks
    }
    let named = known.first { $0.name.utf8CodeUnitCount == type.count && type.hasPrefix($0.name) }
    return named?.type ?? .unknown
  }

  /// Whether it can take so many bytes where a long has `long`. How many elements an array has its declaration need not tell: old kernels
  /// write a wrong number.
  func allows(_ size: Int, long: Int) -> Bool {
    switch self {
    case .array(let element, _): element.bytes(long: long).map { size % $0 == 0 } ?? true
    default: bytes(long: long).map { $0 == size } ?? true
    }
  }

  /// How many bytes it takes where a long has `long`; nil where that is not known.
  func bytes(long: Int) -> Int? {
    switch self {
    case .number(let bytes, _): bytes
    case .long: long
    case .place: 4
    case .array, .unknown: nil
    }
  }

  /// At what multiples it begins, where a long has `long` bytes; nil where that is not known.
  func alignment(long: Int) -> Int? {
    switch self {
    case .array(let element, _): element.alignment(long: long)
    // A 32-bit machine may do with less for eight bytes.
    default: bytes(long: long).flatMap { $0 <= long ? $0 : nil }
    }
  }

  /// Whether it is a number with a sign; nil where that is not known, or it is none.
  var isSigned: Bool? {
    switch self {
    case .number(_, let isSigned), .long(let isSigned): isSigned
    default: nil
    }
  }

  /// Whether its size is that of a long.
  var isLong: Bool {
    if case .long = self { true } else { false }
  }

  /// The types that have one size everywhere, or that of a long; those first that most fields have.
  private static let known: [(name: StaticString, type: FieldType)] = [
    ("unsigned long", .long(isSigned: false)), ("int", .number(bytes: 4, isSigned: true)),
    ("u64", .number(bytes: 8, isSigned: false)), ("unsigned char", .number(bytes: 1, isSigned: false)),
    ("unsigned short", .number(bytes: 2, isSigned: false)), ("u32", .number(bytes: 4, isSigned: false)),
    ("unsigned int", .number(bytes: 4, isSigned: false)), ("char", .number(bytes: 1, isSigned: nil)),
    ("bool", .number(bytes: 1, isSigned: false)), ("u8", .number(bytes: 1, isSigned: false)),
    ("u16", .number(bytes: 2, isSigned: false)), ("__u32", .number(bytes: 4, isSigned: false)),
    ("__u64", .number(bytes: 8, isSigned: false)), ("s32", .number(bytes: 4, isSigned: true)),
    ("s64", .number(bytes: 8, isSigned: true)), ("s16", .number(bytes: 2, isSigned: true)),
    ("s8", .number(bytes: 1, isSigned: true)), ("pid_t", .number(bytes: 4, isSigned: true)),
    ("long", .long(isSigned: true)), ("size_t", .long(isSigned: false)), ("ssize_t", .long(isSigned: true)),
    ("unsigned long long", .number(bytes: 8, isSigned: false)),
    ("long long", .number(bytes: 8, isSigned: true)), ("loff_t", .number(bytes: 8, isSigned: true)),
    ("unsigned", .number(bytes: 4, isSigned: false)), ("short", .number(bytes: 2, isSigned: true)),
    ("signed char", .number(bytes: 1, isSigned: true)), ("_Bool", .number(bytes: 1, isSigned: false)),
    ("__u8", .number(bytes: 1, isSigned: false)), ("__s8", .number(bytes: 1, isSigned: true)),
    ("__u16", .number(bytes: 2, isSigned: false)), ("__s16", .number(bytes: 2, isSigned: true)),
    ("__s32", .number(bytes: 4, isSigned: true)), ("__s64", .number(bytes: 8, isSigned: true)),
    ("uint8_t", .number(bytes: 1, isSigned: false)), ("int8_t", .number(bytes: 1, isSigned: true)),
    ("uint16_t", .number(bytes: 2, isSigned: false)), ("int16_t", .number(bytes: 2, isSigned: true)),
    ("uint32_t", .number(bytes: 4, isSigned: false)), ("int32_t", .number(bytes: 4, isSigned: true)),
    ("uint64_t", .number(bytes: 8, isSigned: false)), ("int64_t", .number(bytes: 8, isSigned: true)),
    ("gfn_t", .number(bytes: 8, isSigned: false)), ("gpa_t", .number(bytes: 8, isSigned: false)),
  ]
}
