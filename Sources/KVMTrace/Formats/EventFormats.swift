internal import CTraceEvent

/// The event formats of one trace.
///
/// libtraceevent is asked for names, offsets, sizes and signs while a trace is opened, of those kinds of event that have arrays or
/// texts (`FormatSource`); records are then loaded without it. It is asked again only to print an event the way the kernel would
/// (`PrintFormats`). A handle of libtraceevent is not thread-safe, and neither is this class.
public final class EventFormats {
  /// The formats, in the order of their numbers.
  public let formats: [EventFormat]
  /// What every record begins with.
  let common: CommonFields
  /// Which of the texts do not even say which event they are of, by their position.
  let unparsed: [Int]
  /// Which of the texts name an event but not its fields, by their position.
  let withoutFields: [Int]
  /// Which of the texts name all fields of their event's kind, of which one is no number, by their position.
  let withoutNumbers: [Int]

  /// The byte order of the records.
  let isBigEndian: Bool
  private let kernelLongSize: Int
  private let unreadable: Set<UInt16>
  private let prints: PrintFormats
  private let indexByID: [UInt16: Int]

  /// Parses the texts of `events`, pairs of a system and the content of its `format` file.
  init(_ events: [(system: String, format: UnsafeRawBufferPointer)], bigEndian: Bool, kernelLongSize: Int) {
    isBigEndian = bigEndian
    self.kernelLongSize = kernelLongSize
    let parser = FormatParser(bigEndian: bigEndian, kernelLongSize: kernelLongSize)
    var unparsed: [Int] = []
    var withoutFields: [Int] = []
    var unreadable: Set<UInt16> = []
    var sources: [UInt16: FormatSource] = [:]
    var parsed: [EventFormat] = []
    var common = CommonFields.Survey()
    var withoutNumbers: [Int] = []
    for (position, (system, format)) in events.enumerated() {
      guard let source = FormatSource(system: system, text: format) else {
        unparsed.append(position)
        continue
      }
      let id = source.id
      guard let fields = source.scalars ?? parser.fields(of: source) else {
        withoutFields.append(position)
        guard sources[id] == nil else { continue }
        sources[id] = source
        unreadable.insert(id)
        parsed.append(EventFormat(id: id, system: system, name: source.name, fields: []))
        continue
      }
      // Of two with one number, which no kernel has, the first counts.
      guard sources[id] == nil else { continue }
      sources[id] = source
      common.note(fields.common, at: position)
      let event = EventFormat(id: id, system: system, name: source.name, fields: fields.own)
      if event.lacksNumbers { withoutNumbers.append(position) }
      parsed.append(event)
    }
    parsed.sort { $0.id < $1.id }
    formats = parsed
    self.unparsed = unparsed
    self.withoutFields = withoutFields
    self.unreadable = unreadable
    self.withoutNumbers = withoutNumbers
    self.common = common.settled(bigEndian: bigEndian)
    prints = PrintFormats(sources, bigEndian: bigEndian, kernelLongSize: kernelLongSize)
    indexByID = Dictionary(uniqueKeysWithValues: parsed.enumerated().map { ($1.id, $0) })
  }

  /// The format of the events numbered `id`.
  public func format(id: UInt16) -> EventFormat? { indexByID[id].map { formats[$0] } }

  /// Whether the format's text tells no fields because it could not be read.
  func isWithoutFields(_ format: EventFormat) -> Bool { unreadable.contains(format.id) }

  /// The position in `formats` of the events numbered `id`.
  func index(id: UInt16) -> Int? { indexByID[id] }

  /// Makes a thread's command known, for events that print one.
  func register(command: String, tid: Int32) { prints.register(command: command, tid: tid) }

  /// Makes the format string of a `trace_printk` known, by the kernel's address of it.
  func register(printFormat: String, address: UInt64) {
    prints.register(printFormat: printFormat, address: address)
  }

  /// Makes the kernel's symbols known, which are read when they are first needed.
  func register(symbols: KernelSymbols) { prints.register(symbols: symbols) }

  /// The symbol at or before an address of the traced kernel, as `name+0x10`; nil where none is near.
  public func symbol(at address: UInt64) -> String? { prints.symbol(at: address) }

  /// What the kernel's own print format makes of an event's data: the text behind the event's name. Where the
  /// format cannot be used, the fields with their values.
  public func text(of payload: UnsafeRawBufferPointer, time: UInt64, cpu: Int) -> String {
    guard payload.count >= common.type.end else { return "" }
    let id = UInt16(
      truncatingIfNeeded: integer(payload, common.typePlace.offset, common.typePlace.size))
    guard let format = format(id: id) else { return "" }
    if let text = stackTrace(format, payload) { return text }
    if let text = prints.text(format, commonFields: common.names, of: payload, time: time, cpu: cpu) {
      return text
    }
    return format.fields.map { "\($0.name)=\(value(of: $0, in: payload))" }.joined(separator: " ")
  }

  /// The functions of a stack trace (`ftrace:kernel_stack`), whose print format knows but eight of them; nil for
  /// every other event.
  private func stackTrace(_ format: EventFormat, _ payload: UnsafeRawBufferPointer) -> String? {
    guard format.system == "ftrace", format.name == "kernel_stack",
      let size = format.fields.first(where: { $0.name == "size" }),
      let callers = format.fields.first(where: { $0.name == "caller" }),
      case .signed(let count) = value(of: size, in: payload)
    else { return nil }
    var place = callers.offset
    var text = "<stack trace>"
    for _ in 0..<max(0, min(count, 1024)) where place + kernelLongSize <= payload.count {
      let address = integer(payload, place, kernelLongSize)
      text += " => " + (symbol(at: address) ?? "0x" + String(address, radix: 16))
      place += kernelLongSize
    }
    return text
  }

  /// A new handle of libtraceevent for one trace.
  static func handle(bigEndian: Bool, kernelLongSize: Int) -> OpaquePointer {
    tep_set_loglevel(TEP_LOG_NONE)
    let tep = tep_alloc()!
    tep_set_file_bigendian(tep, bigEndian ? TEP_BIG_ENDIAN : TEP_LITTLE_ENDIAN)
    tep_set_local_bigendian(tep, TEP_LITTLE_ENDIAN)
    tep_set_long_size(tep, Int32(kernelLongSize))
    return tep
  }
}
