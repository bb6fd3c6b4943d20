/// The formats of events that a recording carries without them: Perfetto's own messages, and text. They are those of an arm64 kernel
/// of today. A field that a recording never has is left out of them; one that it lacks only here and there is 0 there.
///
/// Numbers are this program's own, in the order in which events are asked for.
struct CanonicalFormats {
  /// A field as a format file declares it.
  struct Field {
    /// The C type, such as `unsigned long`, `s32`; of texts `__data_loc char[]`.
    let type: String
    let name: String
    /// How many bytes the field takes in a record; of a `__data_loc` the four that say where it is.
    let size: Int
    let isSigned: Bool
  }

  /// An event, with the places of its fields in a record.
  struct Event {
    let system: String
    let name: String
    /// `common_type`.
    let id: UInt16
    let fields: [Field]
    /// Where each field begins, in bytes from the start of a record.
    let offsets: [Int]
    /// How long a record is, texts of `__data_loc` fields apart.
    let bytes: Int
  }

  /// u16 common_type, u8 common_flags, u8 common_preempt_count, s32 common_pid.
  static let headBytes = 8

  private(set) var events: [Event] = []
  private var positions: [String: Int] = [:]
  private var printFormats: [String?] = []

  /// The position in `events` of an event that is known here; nil for any other.
  mutating func position(ofKnown name: String, system: String) -> Int? {
    if let known = positions["\(system):\(name)"] { return known }
    guard let known = Self.known.first(where: { $0.name == name && $0.system == system }) else { return nil }
    return add(system, name, known.fields, printFormat: known.printFormat)
  }

  /// The position of an event that is known here, of which a recording has these fields alone; nil for one that is not.
  ///
  /// - Parameter printFormat: its print format, if the kernel's has more fields.
  mutating func position(
    ofKnown name: String, system: String, with names: [String], printFormat: String?
  ) -> Int? {
    guard let known = Self.known.first(where: { $0.name == name && $0.system == system }) else { return nil }
    let fields = known.fields.filter { names.contains($0.name) }
    return add(
      system, name, fields,
      printFormat: fields.count == known.fields.count ? known.printFormat : printFormat)
  }

  /// Takes in an event that the recording itself describes, and returns its position in `events`. Of one that is there already the
  /// first description counts.
  mutating func add(_ system: String, _ name: String, _ fields: [Field], printFormat: String? = nil) -> Int {
    if let known = positions["\(system):\(name)"] { return known }
    var offset = Self.headBytes
    var offsets: [Int] = []
    for field in fields {
      let alignment = max(1, min(8, field.size))
      offset = (offset + alignment - 1) / alignment * alignment
      offsets.append(offset)
      offset += field.size
    }
    positions["\(system):\(name)"] = events.count
    printFormats.append(printFormat)
    events.append(
      Event(
        system: system, name: name, id: UInt16(truncatingIfNeeded: events.count + 1), fields: fields,
        offsets: offsets, bytes: offset))
    return events.count - 1
  }

  /// The content of the format file of each event.
  var texts: [(system: String, text: String)] {
    events.indices.map { (events[$0].system, text(of: events[$0], printFormats[$0])) }
  }

  private func text(of event: Event, _ printFormat: String?) -> String {
    func line(_ type: String, _ name: String, _ offset: Int, _ size: Int, _ isSigned: Bool) -> String {
      // An array's brackets stand behind the name.
      let bracket = type.firstIndex(of: "[")
      let declared =
        bracket == nil || type.hasPrefix("__data_loc")
        ? "\(type) \(name)" : "\(type[..<bracket!]) \(name)\(type[bracket!...])"
      return "\tfield:\(declared);\toffset:\(offset);\tsize:\(size);\tsigned:\(isSigned ? 1 : 0);\n"
    }
    var text = "name: \(event.name)\nID: \(event.id)\nformat:\n"
    text += line("unsigned short", "common_type", 0, 2, false)
    text += line("unsigned char", "common_flags", 2, 1, false)
    text += line("unsigned char", "common_preempt_count", 3, 1, false)
    text += line("int", "common_pid", 4, 4, true)
    text += "\n"
    for (field, offset) in zip(event.fields, event.offsets) {
      text += line(field.type, field.name, offset, field.size, field.isSigned)
    }
    return text + "\nprint fmt: \(printFormat ?? Self.plainPrintFormat(of: event.fields))\n"
  }

  /// `name=value` for each field.
  private static func plainPrintFormat(of fields: [Field]) -> String {
    let texts = fields.map { field in
      field.type.hasPrefix("__data_loc") ? "%s" : field.isSigned ? "%Ld" : "0x%Lx"
    }
    let format = zip(fields, texts).map { "\($0.name)=\($1)" }.joined(separator: " ")
    let arguments = fields.map { field in
      field.type.hasPrefix("__data_loc") ? "__get_str(\(field.name))" : "REC->\(field.name)"
    }
    return ([#""\#(format)""#] + arguments).joined(separator: ", ")
  }
}
