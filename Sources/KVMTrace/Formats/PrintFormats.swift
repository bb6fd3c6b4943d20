internal import CTraceEvent
internal import CTraceEventShims
internal import Glibc

/// Prints events the way the kernel would, by the print formats of one trace.
///
/// libtraceevent parses a print format when the first event of its kind is printed, and only if `PrintFormatSyntax`
/// finds it well-formed; events whose print format is not are printed as their fields. Its plugins are never loaded:
/// the one for kvm knows x86 alone and garbles arm64 events.
///
/// Most passes over a trace print nothing, so that commands and format strings wait until something is printed.
///
/// Invariants: `tep` is a live handle until deinit, nil until it is needed. `scratch` holds `scratchBytes` bytes, or none before
/// the first event is printed, of which all behind `scratchUsed` are zero: libtraceevent follows offsets of 16 bits that an event
/// itself states, for 16 bits of length, and must find memory there.
final class PrintFormats {
  private enum State {
    case parsed(PrintLengths)
    case refused
  }

  private static let scratchBytes = 4 * FormatSource.payloadBytesMax
  /// A format of `trace_printk` with more conversions could lead libtraceevent out of `scratch`.
  private static let printkBytesMax = 8192
  /// libtraceevent looks at the last three bytes behind the quotation mark that it begins with, whether there are so many or not.
  private static let printkBytesMin = 3
  /// What is farther away from a symbol is not part of it.
  private static let symbolBytesMax: UInt64 = 1 << 20

  private let sources: [UInt16: FormatSource]
  private let bigEndian: Bool
  private let kernelLongSize: Int
  private var tep: OpaquePointer?
  private var commands: [(tid: Int32, command: String)] = []
  private var printFormats: [(address: UInt64, text: String)] = []
  private var states: [UInt16: State] = [:]
  private var scratch = UnsafeMutableRawBufferPointer(start: nil, count: 0)
  private var scratchUsed = 0
  /// The symbols of the traced kernel, until the first event is printed: there are a hundred thousand of them.
  private var symbols: KernelSymbols?

  /// Print formats by the numbers of their events, for the byte order and long size of one trace.
  init(_ sources: [UInt16: FormatSource], bigEndian: Bool, kernelLongSize: Int) {
    self.sources = sources
    self.bigEndian = bigEndian
    self.kernelLongSize = kernelLongSize
  }

  deinit {
    states = [:]
    if let tep { tep_free(tep) }
    scratch.deallocate()
  }

  func register(command: String, tid: Int32) {
    if let tep { tep_register_comm(tep, command, tid) } else { commands.append((tid, command)) }
  }

  func register(symbols: KernelSymbols) { self.symbols = symbols }

  /// Formats that could print for ever are left out, as they are of events. For libtraceevent a text ends at its first zero.
  func register(printFormat text: String, address: UInt64) {
    let printFormat = String(decoding: text.utf8.prefix { $0 != 0 }, as: UTF8.self)
    let quoteBytes = printFormat.utf8.first == UInt8(ascii: "\"") ? 1 : 0
    guard printFormat.utf8.count - quoteBytes >= Self.printkBytesMin,
      printFormat.utf8.count <= Self.printkBytesMax, PrintFormatSyntax.areConversionsHarmless(printFormat)
    else { return }
    if let tep {
      tep_register_print_string(tep, printFormat, address)
    } else {
      printFormats.append((address, printFormat))
    }
  }

  /// The handle of libtraceevent, which knows what was registered.
  private var handle: OpaquePointer {
    if let tep { return tep }
    let made = EventFormats.handle(bigEndian: bigEndian, kernelLongSize: kernelLongSize)
    tep = made
    for (tid, command) in commands { tep_register_comm(made, command, tid) }
    for (address, text) in printFormats { tep_register_print_string(made, text, address) }
    (commands, printFormats) = ([], [])
    return made
  }

  /// The function at `address`, with the distance from its beginning; nil where no symbol is near.
  func symbol(at address: UInt64) -> String? {
    let tep = handle
    loadSymbols()
    guard address != 0, let name = tep_find_function(tep, address) else { return nil }
    let start = tep_find_function_address(tep, address)
    guard address >= start, address - start < Self.symbolBytesMax else { return nil }
    let distance = address - start
    return String(decoding: UnsafeRawBufferPointer(start: name, count: strlen(name)), as: UTF8.self)
      + (distance == 0 ? "" : "+0x" + String(distance, radix: 16))
  }

  private func loadSymbols() {
    guard let symbols else { return }
    self.symbols = nil
    let tep = handle
    symbols.forEach { address, name in
      name.withCString { _ = tep_register_function(tep, UnsafeMutablePointer(mutating: $0), address, nil) }
    }
  }

  /// The text of an event of `format`, nil where its print format cannot be used.
  func text(
    _ format: EventFormat, commonFields: Set<String>, of payload: UnsafeRawBufferPointer, time: UInt64,
    cpu: Int
  ) -> String? {
    guard case .parsed(let lengths) = state(format, commonFields: commonFields),
      payload.count <= FormatSource.payloadBytesMax, let cuts = lengths.bound(to: payload)
    else { return nil }
    loadSymbols()
    if scratch.isEmpty {
      scratch = .allocate(byteCount: Self.scratchBytes, alignment: 16)
      scratch.initializeMemory(as: UInt8.self, repeating: 0)
    }
    if scratchUsed > payload.count {
      UnsafeMutableRawBufferPointer(rebasing: scratch[payload.count..<scratchUsed])
        .initializeMemory(as: UInt8.self, repeating: 0)
    }
    scratch.copyMemory(from: payload)
    scratchUsed = payload.count

    var sequence = trace_seq()
    trace_seq_init(&sequence)
    defer { trace_seq_destroy(&sequence) }
    var record = tep_record()
    record.ts = time
    record.cpu = Int32(cpu)
    record.size = Int32(payload.count)
    record.data = scratch.baseAddress
    ptes_print_info(handle, &sequence, &record)
    trace_seq_terminate(&sequence)
    guard let buffer = sequence.buffer else { return nil }
    return cuts.reduce(String(cString: buffer)) { text, cut in
      text + " [a length of \(cut.asked) is cut to \(cut.given), the end of its array]"
    }
  }

  private func state(_ format: EventFormat, commonFields: Set<String>) -> State {
    if let known = states[format.id] { return known }
    var state = State.refused
    let tep = handle
    let names = commonFields.union(format.fields.map(\.name))
    if var text = sources[format.id]?.textWithPrintFormat(fieldNames: names) {
      let status = text.withUTF8 { utf8 in
        utf8.withMemoryRebound(to: CChar.self) {
          tep_parse_event(tep, $0.baseAddress, UInt($0.count), format.system)
        }
      }
      if status.rawValue == 0, let event = tep_find_event(tep, Int32(format.id)),
        UInt32(bitPattern: event.pointee.flags) & UInt32(TEP_EVENT_FL_FAILED) == 0,
        let lengths = PrintLengths(event)
      {
        state = .parsed(lengths)
      }
    }
    states[format.id] = state
    return state
  }
}
