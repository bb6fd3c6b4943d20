/// The layout of one kind of event in one trace, as its format file states it.
public struct EventFormat: Hashable, Sendable {
  /// The number that the trace's records carry (`common_type`).
  public var id: UInt16
  /// The event's system, such as "kvm".
  public var system: String
  /// The event's name, such as "kvm_guest_fault".
  public var name: String
  /// The fields that only this event has.
  public var fields: [Field]

  /// One field of an event's data.
  public struct Field: Hashable, Sendable {
    /// The field's name.
    public var name: String
    /// Where it begins, in bytes from the start of the event's data.
    public var offset: Int
    /// Its size in bytes.
    public var size: Int
    /// Whether the value is signed.
    public var isSigned: Bool
    /// Whether the field is one integer or pointer, which `EventFormats` can read as a number.
    public var isScalar: Bool
    /// Whether it is declared as a pointer: an address of the kernel.
    public var isPointer: Bool
    /// Whether it is declared as the number of a thread or process (`pid_t`).
    public var isThread = false
    /// Whether the field is text or an array of characters.
    public var isString: Bool
    /// Whether offset and length of the content stand in the field (`__data_loc`).
    public var isDynamic: Bool
    /// Whether that offset counts from the field's end (`__rel_loc`).
    public var isRelative: Bool
  }
}

extension EventFormat.Field {
  /// A field whose content is a number or a pointer.
  init(
    scalar name: String, offset: Int, size: Int, isSigned: Bool, isPointer: Bool, isThread: Bool = false
  ) {
    self.init(
      name: name, offset: offset, size: size, isSigned: isSigned, isScalar: [1, 2, 4, 8].contains(size),
      isPointer: isPointer, isThread: isThread, isString: false, isDynamic: false, isRelative: false)
  }
}

extension EventFormat {
  /// What its events mean, `.other` for those that nobody here knows, or that have not the fields of their kind.
  package var kind: EventKind {
    schema?.kind ?? .other
  }

  /// Of a probe the fields that something here is read from, none where nobody knows it: whoever set it chose what it holds. Nil for an
  /// event of the kernel's own.
  package var fieldsOfProbe: Set<String>? {
    if let schema { return schema.system == nil ? Set(schema.fields.map { $0.name.description }) : nil }
    let isProbe = Self.probeSystems.contains(system) || fields.contains { $0.name.hasPrefix("__probe_") }
    return isProbe ? [] : nil
  }

  /// The systems of probes whose group nobody chose (Documentation/trace: kprobetrace, eprobetrace, fprobetrace, histogram's synthetic
  /// events, user_events), and of what a text does not tell the system of.
  private static let probeSystems: Set<String> = [
    "kprobes", "uprobes", "eprobes", "fprobes", "synthetic", "user_events", "user_events_multi", "probes",
  ]

  /// What is read of its events: of fields that are numbers alone.
  var schema: EventSchema? { schema(of: \.isScalar) }

  /// Whether it is that of an event of the kernel's own with a meaning here, and names all fields which that has, but one of them is no
  /// number: no kernel has such a one.
  var lacksNumbers: Bool {
    guard schema == nil, let named = schema(of: { _ in true }) else { return false }
    return named.system != nil
  }

  private func schema(of isRead: (Field) -> Bool) -> EventSchema? {
    EventSchema.schema(
      system: system, name: name, fieldNames: Set(fields.filter(isRead).map(\.name)))
  }
}
