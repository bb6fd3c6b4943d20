import KVMTypes
import Testing

@testable import KVMTrace
import UnnamedFiles

/// A Perfetto trace read to its end, page by page.
struct PerfettoReading {
  struct Event: Equatable {
    let time: UInt64
    let cpu: UInt16
    let tid: Int32
    /// "system:name"; "" where the record has no format.
    let name: String
    let fields: [String: FieldValue]
    /// What the kernel's print format makes of it.
    let text: String
  }

  struct Loss: Equatable {
    let cpu: UInt16
    /// 0 for an unknown number; nil for a gap that damage left.
    let count: UInt64?
    /// The event behind it.
    let before: UInt64?
  }

  let trace: PerfettoTrace
  private(set) var events: [Event] = []
  private(set) var losses: [Loss] = []
  private(set) var damage: [Damage]
  private(set) var pageCount = 0
  /// The pages that tell of what is missing before them and nowhere else.
  private(set) var lossCount = 0

  init(_ bytes: [UInt8], withFields: Bool = true) throws {
    let unnamed = try UnnamedFile(bytes)
    try self.init(path: unnamed.path, withFields: withFields)
  }

  static func open(_ bytes: [UInt8], spoolLimit: UInt64? = nil) throws -> PerfettoTrace {
    let unnamed = try UnnamedFile(bytes)
    return try PerfettoTrace(try FileBytes(path: unnamed.path), spoolLimit: spoolLimit)
  }

  init(path: String, withFields: Bool = true) throws {
    trace = try PerfettoTrace(try FileBytes(path: path))
    damage = trace.damage
    let texts = trace.formatTexts.map { (system: $0.system, bytes: SectionBytes(text: $0.text)) }
    let formats = EventFormats(
      texts.map { ($0.system, UnsafeRawBufferPointer($0.bytes.bytes)) }, bigEndian: false, kernelLongSize: 8)
    try withExtendedLifetime(texts) {
      for stream in 0..<trace.streamCount { try read(stream, formats, withFields) }
    }
  }

  private mutating func read(_ stream: Int, _ formats: EventFormats, _ withFields: Bool) throws {
    let supply = trace.pages(ofStream: stream)
    let decoder = PageDecoder(
      bigEndian: false, headerBytes: PageWriter.headerBytes, time: TimeConversion(), cpu: CPUIndex(supply.cpu)
    )
    let plan = DecodePlan(formats, selection: .all, bigEndian: false)
    let counts = [UInt64](repeating: 0, count: formats.formats.count + 1)
    while let page = supply.next() {
      pageCount += 1
      let capacity = PageDecoder.recordsMax(pageBytes: page.count)
      let records = UnsafeMutablePointer<TraceRecord>.allocate(capacity: capacity)
      defer { records.deallocate() }
      var pageCounts = counts
      let outcome = pageCounts.withUnsafeMutableBufferPointer {
        decoder.decode(page, plan: plan, into: records, counts: $0.baseAddress!)
      }
      #expect(outcome.damage == nil)
      if supply.isBehindGap || outcome.lost != nil { lossCount += supply.repeatsLoss ? 0 : 1 }
      if supply.isBehindGap {
        losses.append(Loss(cpu: supply.cpu, count: nil, before: outcome.first?.rawValue))
      }
      if let lost = outcome.lost {
        losses.append(Loss(cpu: supply.cpu, count: lost, before: outcome.first?.rawValue))
      }
      for position in 0..<outcome.recordCount where records[position].kind != .lost {
        events.append(Self.event(records[position], page, formats, withFields))
      }
    }
    #expect(supply.next() == nil)
    damage += supply.damage.places
  }

  private static func event(
    _ record: TraceRecord, _ page: UnsafeRawBufferPointer, _ formats: EventFormats, _ withFields: Bool
  ) -> Event {
    let begin = Int(record.payloadOffset)
    let payload = UnsafeRawBufferPointer(rebasing: page[begin..<(begin + Int(record.payloadLength))])
    let format = formats.format(id: record.formatID)
    var fields: [String: FieldValue] = [:]
    for field in withFields ? format?.fields ?? [] : [] {
      fields[field.name] = formats.value(of: field, in: payload)
    }
    return Event(
      time: record.time.rawValue, cpu: record.cpu.rawValue, tid: record.tid.rawValue,
      name: format.map { "\($0.system):\($0.name)" } ?? "", fields: fields,
      text: withFields ? formats.text(of: payload, time: record.time.rawValue, cpu: 0) : "")
  }

  /// How many events there are of each kind.
  var counts: [String: Int] { Dictionary(grouping: events, by: \.name).mapValues(\.count) }
  var times: [UInt64] { events.map(\.time) }
}

extension SectionBytes {
  convenience init(text: String) {
    self.init(count: text.utf8.count)
    bytes.copyBytes(from: text.utf8)
  }
}
