/// A kind of event, as its first lines tell of it. What most of them have in common counts: one of them may be damaged.
struct SurveyedEvent {
  /// The field of events whose text has no fields.
  static let wholeText = "text"
  /// How much of a line is kept to learn fields from, in bytes.
  private static let sampleMax = 1 << 10
  /// How many lines have a say.
  private static let votersMax = 64
  /// The most fields that are read of an event.
  private static let fieldsMax = 32

  /// The system, which only perf script writes.
  let system: String
  /// The name, with only such characters as the kernel's names have.
  let name: String
  /// The event that is known here by that name, if one is.
  let known: CanonicalFormats.Known?
  /// Whether no line of a known event could be read so far.
  var isInDoubt = false
  private let writtenName: String
  /// The text that fields are learned from, what its fields are called, and by how many lines more agree than not.
  private var sample: [UInt8]
  private var shape: Int
  private var lead = 1
  private var votersLeft = votersMax

  init(_ name: TextCursor, firstText: TextCursor) {
    let parts = name.text.split(separator: ":", maxSplits: 1)
    let hasSystem = parts.count == 2
    let event = String(parts.last ?? "")
    writtenName = event
    let sought = event == "tracing_mark_write" ? "print" : event
    known = CanonicalFormats.known.first {
      $0.name == sought && (!hasSystem || $0.system.utf8.elementsEqual(parts[0].utf8))
    }
    self.name = Self.word(event)
    system = hasSystem ? Self.word(String(parts[0])) : Self.system(of: event)
    sample = Self.sample(firstText)
    shape = Self.shape(of: firstText)
  }

  /// Whether further lines have a say in what fields the event has.
  var isOpen: Bool { known == nil && votersLeft > 0 }

  /// Takes in a further line.
  mutating func vote(_ text: TextCursor) {
    votersLeft -= 1
    let other = Self.shape(of: text)
    lead += other == shape ? 1 : -1
    guard lead < 0 else { return }
    (sample, shape, lead) = (Self.sample(text), other, 1)
  }

  private static func sample(_ text: TextCursor) -> [UInt8] {
    Array(UnsafeBufferPointer(start: text.place, count: min(text.count, sampleMax)))
  }

  /// A number for the names of a text's fields, and for which of them are numbers.
  private static func shape(of text: TextCursor) -> Int {
    var cursor = text
    cursor.end = cursor.place + min(cursor.count, sampleMax)
    var hasher = Hasher()
    while let pair = TextFields.pair(&cursor) {
      hasher.combine(bytes: UnsafeRawBufferPointer(start: pair.name.place, count: pair.name.count))
      hasher.combine(isNumber(pair.value))
      cursor.skipWord()
    }
    return hasher.finalize()
  }

  /// How kernels print the event, if it is known.
  var patterns: [String] { LinePatterns.patterns(of: writtenName) }

  /// Whether the text is that of a probe: `(symbol+0x4/0x218) name=value`, or `__probe_ip=ffffbc8d5dea4ef4 name=value`. All texts of a
  /// probe have the same fields.
  var isProbe: Bool {
    (sample.first == UInt8(ascii: "(") || sample.starts(with: "__probe".utf8)) && !fields.isEmpty
  }

  /// Fields and print format of an event that is not known: numbers by name, or the whole text.
  var description: (fields: [CanonicalFormats.Field], printFormat: String?) {
    let fields = fields
    guard fields.isEmpty else { return (fields, nil) }
    return (
      [CanonicalFormats.Field(type: "__data_loc char[]", name: Self.wholeText, size: 4, isSigned: false)],
      "\"%s\", __get_str(\(Self.wholeText))"
    )
  }

  /// The fields that the text names.
  private var fields: [CanonicalFormats.Field] {
    sample.withUnsafeBufferPointer { bytes in
      guard let base = bytes.baseAddress else { return [] }
      var cursor = TextCursor(place: base, end: base + bytes.count)
      var result: [CanonicalFormats.Field] = []
      while result.count < Self.fieldsMax, let pair = TextFields.pair(&cursor) {
        let name = pair.name.text
        if pair.name.count <= 64, !TextCursor.isDigit(pair.name.byte), !name.hasPrefix("__"),
          !name.hasPrefix("common_"),
          !result.contains(where: { $0.name == name })
        {
          result.append(Self.field(name, pair.value))
        }
        cursor.skipWord()
      }
      return result
    }
  }

  /// A field with such a value: decimal numbers are signed, others not, and what is no number is text.
  private static func field(_ name: String, _ value: TextCursor) -> CanonicalFormats.Field {
    guard isNumber(value) else {
      return CanonicalFormats.Field(type: "__data_loc char[]", name: name, size: 4, isSigned: false)
    }
    let isSigned = !value.begins(with: "0x")
    return CanonicalFormats.Field(type: isSigned ? "s64" : "u64", name: name, size: 8, isSigned: isSigned)
  }

  private static func isNumber(_ value: TextCursor) -> Bool {
    var value = value
    _ = value.take(UInt8(ascii: "("))
    guard value.number() != nil else { return false }
    return value.isAtEnd || value.byte == UInt8(ascii: " ") || value.byte == UInt8(ascii: ")")
  }

  /// The system of an event that has none in its line.
  private static func system(of event: String) -> String {
    if event.hasPrefix("kvm_") { return "kvm" }
    if event.hasPrefix("contention_") { return "lock" }
    return ["function", "kernel_stack", "user_stack", "print", "bprint"].contains(event) ? "ftrace" : "probes"
  }

  /// A name without characters that no name of the kernel has.
  private static func word(_ text: String) -> String {
    let word = String(
      decoding: text.utf8.map { TextCursor.isWord($0) ? $0 : UInt8(ascii: "_") }, as: UTF8.self)
    return word.isEmpty ? "_" : word
  }
}
