import KVMTypes
import UnnamedFiles

@testable import KVMTrace

/// A text read to its end.
struct TextReading {
  struct Event {
    var name: String
    var record: TraceRecord
    var values: [String: FieldValue]
    /// What the print format makes of it.
    var text: String

    var time: UInt64 { record.time.rawValue }
    var cpu: UInt16 { record.cpu.rawValue }
    var tid: Int32 { record.tid.rawValue }
    var kind: EventKind { record.kind }

    /// A field that is a number.
    subscript(field: String) -> UInt64? {
      switch values[field] {
      case .unsigned(let value): value
      case .signed(let value): UInt64(bitPattern: value)
      default: nil
      }
    }
  }

  /// A loss, or pages missing, before the event at `index` of `events`.
  struct Gap: Hashable {
    var index: Int
    var cpu: UInt16
    /// How many events, 0 for an unknown number; nil where a line could not be read.
    var lost: UInt64?
  }

  let trace: TextTrace
  let formats: EventFormats
  private(set) var events: [Event] = []
  private(set) var gaps: [Gap] = []
  private(set) var damage: [Damage] = []
  private(set) var pageCount = 0

  /// Reads `text`, printing each event where that is asked for.
  init(_ text: some Sequence<UInt8>, printing: Bool = false) throws {
    let file = try UnnamedFile(text)
    try self.init(FileBytes(path: file.path), printing: printing)
  }

  init(_ text: String, printing: Bool = false) throws { try self.init(text.utf8, printing: printing) }

  init(_ file: FileBytes, printing: Bool = false) throws(IngestError) {
    trace = try TextTrace(file)
    formats = Self.formats(trace)
    let plan = DecodePlan(formats, selection: .all, bigEndian: false)
    let counts = UnsafeMutablePointer<UInt64>.allocate(capacity: formats.formats.count + 1)
    counts.initialize(repeating: 0, count: formats.formats.count + 1)
    let records = UnsafeMutablePointer<TraceRecord>.allocate(
      capacity: PageDecoder.recordsMax(pageBytes: 1 << 16))
    defer {
      counts.deallocate()
      records.deallocate()
    }
    let pages = trace.pages(ofStream: 0)
    while let page = pages.next() {
      let decoder = PageDecoder(
        bigEndian: false, headerBytes: 16, time: TimeConversion(), cpu: .init(pages.cpu))
      pageCount += 1
      let outcome = decoder.decode(page, plan: plan, into: records, counts: counts)
      if let lost = outcome.lost { gaps.append(Gap(index: events.count, cpu: pages.cpu, lost: lost)) }
      if pages.isBehindGap { gaps.append(Gap(index: events.count, cpu: pages.cpu, lost: nil)) }
      precondition(outcome.damage == nil && outcome.short == nil)
      for index in 0..<outcome.recordCount where records[index].kind != .lost {
        events.append(event(records[index], page, printing: printing))
      }
    }
    damage = trace.damage + pages.damage.places
  }

  private func event(_ record: TraceRecord, _ page: UnsafeRawBufferPointer, printing: Bool) -> Event {
    let begin = Int(record.payloadOffset)
    let payload = UnsafeRawBufferPointer(rebasing: page[begin..<(begin + Int(record.payloadLength))])
    let format = formats.format(id: record.formatID)!
    var values: [String: FieldValue] = [:]
    for field in format.fields { values[field.name] = formats.value(of: field, in: payload) }
    return Event(
      name: "\(format.system):\(format.name)", record: record, values: values,
      text: printing
        ? formats.text(of: payload, time: record.time.rawValue, cpu: Int(record.cpu.rawValue)) : "")
  }

  private static func formats(_ trace: TextTrace) -> EventFormats {
    // The formats keep copies of what they need.
    let buffers = trace.formatTexts.map { system, text in
      let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: text.utf8.count, alignment: 1)
      copy.copyBytes(from: text.utf8)
      return (system: system, format: UnsafeRawBufferPointer(copy))
    }
    defer { for buffer in buffers { buffer.format.deallocate() } }
    return EventFormats(buffers, bigEndian: false, kernelLongSize: 8)
  }

  /// How many events there are of each kind.
  var counts: [String: Int] { events.reduce(into: [:]) { $0[$1.name, default: 0] += 1 } }
}
