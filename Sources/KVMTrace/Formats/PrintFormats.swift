internal import CTraceEvent
internal import CTraceEventShims

/// Prints events the way the kernel would, by the print formats of one trace.
///
/// libtraceevent parses a print format when the first event of its kind is printed, and only if `PrintFormatSyntax`
/// finds it well-formed; events whose print format is not are printed as their fields. Its plugins are never loaded:
/// the one for kvm knows x86 alone and garbles arm64 events.
///
/// Invariants: `tep` is a live handle until deinit. `scratch` holds `scratchBytes` bytes, of which all behind
/// `scratchUsed` are zero: libtraceevent follows offsets of 16 bits that an event itself states, for 16 bits of
/// length, and must find memory there.
final class PrintFormats {
  private enum State {
    case parsed
    case refused
  }

  private static let scratchBytes = 4 * FormatSource.payloadBytesMax

  private let tep: OpaquePointer
  private let sources: [UInt16: FormatSource]
  private var states: [UInt16: State] = [:]
  private let scratch: UnsafeMutableRawBufferPointer
  private var scratchUsed = 0

  /// Print formats by the numbers of their events, for the byte order and long size of one trace.
  init(_ sources: [UInt16: FormatSource], bigEndian: Bool, kernelLongSize: Int) {
    self.sources = sources
    tep = EventFormats.handle(bigEndian: bigEndian, kernelLongSize: kernelLongSize)
    scratch = .allocate(byteCount: Self.scratchBytes, alignment: 16)
    scratch.initializeMemory(as: UInt8.self, repeating: 0)
  }

  deinit {
    tep_free(tep)
    scratch.deallocate()
  }

  func register(command: String, tid: Int32) { tep_register_comm(tep, command, tid) }

  func register(printFormat: String, address: UInt64) {
    tep_register_print_string(tep, printFormat, address)
  }

  /// The text of an event of `format`, nil where its print format cannot be used.
  func text(
    _ format: EventFormat, commonFields: Set<String>, of payload: UnsafeRawBufferPointer, time: UInt64,
    cpu: Int
  ) -> String? {
    guard state(format, commonFields: commonFields) == .parsed, payload.count <= FormatSource.payloadBytesMax
    else { return nil }
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
    ptes_print_info(tep, &sequence, &record)
    trace_seq_terminate(&sequence)
    return sequence.buffer.map { String(cString: $0) }
  }

  private func state(_ format: EventFormat, commonFields: Set<String>) -> State {
    if let known = states[format.id] { return known }
    var state = State.refused
    let names = commonFields.union(format.fields.map(\.name))
    if var text = sources[format.id]?.textWithPrintFormat(fieldNames: names) {
      let status = text.withUTF8 { utf8 in
        utf8.withMemoryRebound(to: CChar.self) {
          tep_parse_event(tep, $0.baseAddress, UInt($0.count), format.system)
        }
      }
      if status.rawValue == 0 { state = .parsed }
    }
    states[format.id] = state
    return state
  }
}
