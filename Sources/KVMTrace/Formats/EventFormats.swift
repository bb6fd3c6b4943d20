internal import CTraceEvent
internal import CTraceEventShims

/// The event formats of one trace, parsed by libtraceevent.
///
/// libtraceevent is asked once per kind of event, while a trace is opened, for names, offsets, sizes and signs;
/// records are then loaded without it. It is asked again only to print an event the way the kernel would.
/// Its plugins are never loaded: the one for kvm knows x86 alone and garbles arm64 events.
///
/// Invariant: `tep` is a live handle until deinit. A handle is not thread-safe, and neither is this class.
public final class EventFormats {
  /// The formats, in the order of their numbers.
  public let formats: [EventFormat]
  /// Where and how wide the event's number is in every record.
  let commonType: ScalarLoad
  /// Where the thread is recorded, nil in traces of the hypervisor, which record none.
  let commonPID: ScalarLoad?
  /// How many formats were there that libtraceevent could not parse.
  let unparsedCount: Int

  /// The byte order of the records.
  let isBigEndian: Bool
  private let tep: OpaquePointer
  private let indexByID: [UInt16: Int]

  /// Parses the texts of `events`, pairs of a system and the content of its `format` file.
  init(_ events: [(system: String, format: UnsafeRawBufferPointer)], bigEndian: Bool, kernelLongSize: Int) {
    isBigEndian = bigEndian
    tep_set_loglevel(TEP_LOG_NONE)
    let tep = tep_alloc()!
    self.tep = tep
    tep_set_file_bigendian(tep, bigEndian ? TEP_BIG_ENDIAN : TEP_LITTLE_ENDIAN)
    tep_set_local_bigendian(tep, TEP_LITTLE_ENDIAN)
    tep_set_long_size(tep, Int32(kernelLongSize))
    var unparsed = 0
    for (system, format) in events {
      let status = format.withMemoryRebound(to: CChar.self) { text in
        tep_parse_event(tep, text.baseAddress, UInt(text.count), system)
      }
      // A print format that cannot be parsed is no matter: the fields are there all the same.
      if status.rawValue != 0 { unparsed += 1 }
    }
    unparsedCount = unparsed

    var parsed: [EventFormat] = []
    var type = ScalarLoad(offset: 0, size: 2, isSigned: false, bigEndian: bigEndian)
    var pid: ScalarLoad?
    let count = Int(tep_get_events_count(tep))
    if let list = tep_list_events(tep, TEP_EVENT_SORT_ID) {
      for index in 0..<count {
        guard let event = list[index] else { break }
        for field in Self.fields(event.pointee.format.common_fields) where field.isScalar {
          let load = ScalarLoad(
            offset: field.offset, size: field.size, isSigned: field.isSigned, bigEndian: bigEndian)
          if field.name == "common_type" { type = load }
          if field.name == "common_pid" { pid = load }
        }
        guard let id = UInt16(exactly: event.pointee.id) else { continue }
        parsed.append(
          EventFormat(
            id: id, system: String(cString: event.pointee.system), name: String(cString: event.pointee.name),
            fields: Self.fields(event.pointee.format.fields)))
      }
    }
    formats = parsed
    commonType = type
    commonPID = pid
    indexByID = Dictionary(parsed.enumerated().map { ($1.id, $0) }, uniquingKeysWith: { first, _ in first })
  }

  deinit { tep_free(tep) }

  /// The format of the events numbered `id`.
  public func format(id: UInt16) -> EventFormat? { indexByID[id].map { formats[$0] } }

  /// The position in `formats` of the events numbered `id`.
  func index(id: UInt16) -> Int? { indexByID[id] }

  /// Makes a thread's command known, for events that print one.
  func register(command: String, tid: Int32) { tep_register_comm(tep, command, tid) }

  /// Makes the format string of a `trace_printk` known, by the kernel's address of it.
  func register(printFormat: String, address: UInt64) {
    tep_register_print_string(tep, printFormat, address)
  }

  /// What the kernel's own print format makes of an event's data: the text behind the event's name.
  public func text(of payload: UnsafeRawBufferPointer, time: UInt64, cpu: Int) -> String {
    var sequence = trace_seq()
    trace_seq_init(&sequence)
    defer { trace_seq_destroy(&sequence) }
    var record = tep_record()
    record.ts = time
    record.cpu = Int32(cpu)
    record.size = Int32(payload.count)
    record.data = UnsafeMutableRawPointer(mutating: payload.baseAddress)
    ptes_print_info(tep, &sequence, &record)
    trace_seq_terminate(&sequence)
    return sequence.buffer.map { String(cString: $0) } ?? ""
  }

  private static func fields(_ first: UnsafeMutablePointer<tep_format_field>?) -> [EventFormat.Field] {
    var fields: [EventFormat.Field] = []
    var next = first
    while let field = next?.pointee {
      let flags = field.flags
      func has(_ flag: tep_format_flags) -> Bool { flags & UInt(flag.rawValue) != 0 }
      let composite = has(TEP_FIELD_IS_ARRAY) || has(TEP_FIELD_IS_STRING) || has(TEP_FIELD_IS_DYNAMIC)
      fields.append(
        EventFormat.Field(
          name: String(cString: field.name), offset: Int(field.offset), size: Int(field.size),
          isSigned: has(TEP_FIELD_IS_SIGNED),
          isScalar: !composite && [1, 2, 4, 8].contains(field.size) && field.offset >= 0,
          isString: has(TEP_FIELD_IS_STRING), isDynamic: has(TEP_FIELD_IS_DYNAMIC),
          isRelative: has(TEP_FIELD_IS_RELATIVE)))
      next = field.next
    }
    return fields
  }
}
