/// One field of an event: its C type and name, as tracefs spells them.
public struct EventField: Hashable, Sendable {
  /// The C types that the events here use.
  public enum CType: String, Hashable, Sendable {
    case unsignedLong = "unsigned long"
    case unsignedLongLong = "unsigned long long"
    case pointer = "void *"
    case int
    case unsignedInt = "unsigned int"
    case bool
    case kernelU32 = "__u32"
    case u8
    case u32
    case u64
    case s16
    case s32
    case s64
  }

  /// The field's C type.
  public var type: CType
  /// The field's name.
  public var name: String

  /// The field `name` of type `type`.
  public init(_ type: CType, _ name: String) {
    self.type = type
    self.name = name
  }

  /// The bytes it takes in a kernel whose `long` has `kernelLongBytes`.
  public func size(kernelLongBytes: Int) -> Int {
    switch type {
    case .unsignedLong, .pointer: kernelLongBytes
    case .unsignedLongLong, .u64, .s64: 8
    case .int, .unsignedInt, .kernelU32, .u32, .s32: 4
    case .s16: 2
    case .u8, .bool: 1
    }
  }

  /// Whether the format text calls it signed.
  public var isSigned: Bool {
    switch type {
    case .int, .s16, .s32, .s64: true
    default: false
    }
  }
}

/// An event's format: what tracefs shows under `events/SYSTEM/NAME/format`.
public struct EventFormat: Sendable {
  /// The system, such as `kvm`.
  public var system: String
  /// The event's name.
  public var name: String
  /// `common_type` of its records.
  public var id: UInt16
  /// Its own fields, in the order of the format text.
  public var fields: [EventField]
  /// What follows `print fmt: `.
  public var printFormat: String
  /// Whether fields follow each other without alignment, as those of probe events do.
  public var isPacked: Bool
  /// When set, the whole format text: for formats that the fields above cannot express.
  public var textOverride: String?

  /// A format.
  public init(
    system: String, name: String, id: UInt16, fields: [EventField], printFormat: String,
    isPacked: Bool = false, textOverride: String? = nil
  ) {
    self.system = system
    self.name = name
    self.id = id
    self.fields = fields
    self.printFormat = printFormat
    self.isPacked = isPacked
    self.textOverride = textOverride
  }

  /// The bytes before an event's own fields: type, flags, preemption count, thread.
  public static let commonBytes = 8

  /// Where each field lies, and the bytes of a whole record.
  public func layout(kernelLongBytes: Int) -> (fields: [(offset: Int, size: Int)], bytes: Int) {
    var end = Self.commonBytes
    var widest = 4
    let places = fields.map { field in
      let size = field.size(kernelLongBytes: kernelLongBytes)
      if !isPacked { end = (end + size - 1) / size * size }
      widest = max(widest, size)
      defer { end += size }
      return (offset: end, size: size)
    }
    let bytes = isPacked ? end : (end + widest - 1) / widest * widest
    return (places, bytes)
  }

  /// The text of the format file.
  public func text(kernelLongBytes: Int) -> String {
    if let textOverride { return textOverride }
    var text = "name: \(name)\nID: \(id)\nformat:\n"
    func line(_ declaration: String, _ offset: Int, _ size: Int, _ signed: Bool) {
      text += "\tfield:\(declaration);\toffset:\(offset);\tsize:\(size);\tsigned:\(signed ? 1 : 0);\n"
    }
    line("unsigned short common_type", 0, 2, false)
    line("unsigned char common_flags", 2, 1, false)
    line("unsigned char common_preempt_count", 3, 1, false)
    line("int common_pid", 4, 4, true)
    text += "\n"
    for (field, place) in zip(fields, layout(kernelLongBytes: kernelLongBytes).fields) {
      line("\(field.type.rawValue) \(field.name)", place.offset, place.size, field.isSigned)
    }
    text += "\nprint fmt: \(printFormat)\n"
    return text
  }

  /// The payload of one event: `values` in the order of the fields.
  public func payload(_ values: [UInt64], pid: Int32, flags: UInt8 = 0, flavour: TraceFlavour) -> [UInt8] {
    precondition(values.count == fields.count, "\(name) has \(fields.count) fields")
    let layout = layout(kernelLongBytes: flavour.kernelLongBytes)
    var page = PageStorage(count: layout.bytes, byteOrder: flavour.byteOrder)
    page.store(UInt64(id), size: 2, at: 0)
    page.store(UInt64(flags), size: 1, at: 2)
    page.store(UInt64(UInt32(bitPattern: pid)), size: 4, at: 4)
    for (value, place) in zip(values, layout.fields) {
      page.store(value, size: place.size, at: place.offset)
    }
    return page.bytes
  }
}
