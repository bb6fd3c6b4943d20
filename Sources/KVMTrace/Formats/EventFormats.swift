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
  /// What is wrong with their texts.
  let faults: FormatFaults
  /// Which of the texts each of `formats` is, by its position.
  let positions: [Int]

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
    var faults = FormatFaults()
    var sources: [UInt16: FormatSource] = [:]
    var parsed: [Parsed] = []
    var common = CommonFields.Survey()
    var renumbered: Set<UInt16> = []
    for (position, (system, format)) in events.enumerated() {
      guard let source = FormatSource(system: system, text: format) else {
        faults.unparsed.append(position)
        continue
      }
      let fields = source.scalars ?? parser.fields(of: source)
      if fields == nil { faults.withoutFields.append(position) }
      if let other = sources[source.id] {
        // Of two with one number, which no kernel has, nobody knows which it is of.
        guard other.name != source.name || other.system != system else { continue }
        faults.renumbered.append(position)
        renumbered.insert(source.id)
        continue
      }
      sources[source.id] = source
      if let fields { common.note(fields.common, at: position) }
      let event = EventFormat(id: source.id, system: system, name: source.name, fields: fields?.own ?? [])
      if event.lacksNumbers { faults.withoutNumbers.append(position) }
      parsed.append(
        Parsed(format: event, position: position, layout: source.layout, common: fields?.common))
    }
    parsed.sort { $0.format.id < $1.format.id }
    let settled = common.settled(bigEndian: bigEndian)
    self.common = settled
    let long = Self.longSize(parsed)
    for index in parsed.indices {
      guard let own = parsed[index].common else { continue }
      let layout = parsed[index].layout
      let misfit = layout.misfit(long: long) ?? layout.misfit(behind: settled.end(of: own))
      if let misfit { faults.misplaced.append((parsed[index].position, misfit)) }
      if misfit != nil || renumbered.contains(parsed[index].format.id) { parsed[index].forgetFields() }
    }
    formats = parsed.map(\.format)
    positions = parsed.map(\.position)
    unreadable = Set(parsed.lazy.filter { $0.common == nil }.map(\.format.id))
    self.faults = faults
    prints = PrintFormats(sources, bigEndian: bigEndian, kernelLongSize: kernelLongSize)
    indexByID = Dictionary(uniqueKeysWithValues: parsed.enumerated().map { ($1.format.id, $0) })
  }

  /// A format while those of a trace are read.
  private struct Parsed {
    var format: EventFormat
    let position: Int
    let layout: FieldLayout
    /// What all events begin with, as it says; nil where its fields cannot be read.
    var common: [EventFormat.Field]?

    /// What it says of its fields is wrong.
    mutating func forgetFields() { (format.fields, common) = ([], nil) }
  }

  /// How long a long is by what most fields of its size have, which is not what a damaged one says.
  private static func longSize(_ parsed: [Parsed]) -> Int {
    let (four, eight) = parsed.reduce((0, 0)) { ($0.0 + $1.layout.longs.four, $0.1 + $1.layout.longs.eight) }
    return four > eight ? 4 : 8
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
