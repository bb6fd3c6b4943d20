@testable import KVMTrace
import KVMTypes
import UnnamedFiles

/// A perf.data read to its end: the events of each stream, and what its pages say of losses.
struct PerfReading {
  struct Event: Equatable {
    var time: UInt64
    var cpu: UInt16
    var tid: Int32
    var name: String
    /// The first word of the record.
    var first: UInt64
  }

  /// What stands before an event, or at the end of a stream where that is nil.
  struct Loss: Equatable {
    var stream: Int
    var before: UInt64?
    /// How many events are missing, nil behind damage.
    var count: UInt64?
  }

  let trace: PerfData
  private(set) var streams: [[Event]] = []
  private(set) var losses: [Loss] = []
  private(set) var damage: [Damage]

  init(_ bytes: [UInt8]) throws { try self.init(path: UnnamedFile(bytes)) }

  private init(path file: UnnamedFile) throws { try self.init(FileBytes(path: file.path)) }

  init(_ file: FileBytes) throws(IngestError) {
    trace = try PerfData(file)
    damage = trace.damage
    let texts = trace.formatTexts.map { (system: $0.system, bytes: Array($0.text.utf8)) }
    let held = texts.map { text in
      let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: text.bytes.count, alignment: 1)
      bytes.copyBytes(from: text.bytes)
      return (text.system, UnsafeRawBufferPointer(bytes))
    }
    defer { for (_, bytes) in held { bytes.deallocate() } }
    let formats = EventFormats(held, bigEndian: false, kernelLongSize: 8)
    let plan = DecodePlan(formats, selection: .all, bigEndian: false)
    let counts = UnsafeMutablePointer<UInt64>.allocate(capacity: formats.formats.count + 1)
    defer { counts.deallocate() }
    counts.initialize(repeating: 0, count: formats.formats.count + 1)
    for stream in 0..<trace.streamCount { read(stream, formats, plan, counts) }
  }

  private mutating func read(
    _ stream: Int, _ formats: EventFormats, _ plan: borrowing DecodePlan,
    _ counts: UnsafeMutablePointer<UInt64>
  ) {
    let supply = trace.pages(ofStream: stream)
    var events: [Event] = []
    while let page = supply.next() {
      let decoder = PageDecoder(
        bigEndian: false, headerBytes: PageWriter.headerBytes, time: TimeConversion(),
        cpu: CPUIndex(supply.cpu))
      let records = UnsafeMutablePointer<TraceRecord>.allocate(
        capacity: PageDecoder.recordsMax(pageBytes: page.count))
      defer { records.deallocate() }
      let outcome = decoder.decode(page, plan: plan, into: records, counts: counts)
      precondition(outcome.damage == nil, "\(outcome.damage!)")
      let first = outcome.least?.rawValue
      if supply.isBehindGap { losses.append(Loss(stream: stream, before: first, count: nil)) }
      if let lost = outcome.lost { losses.append(Loss(stream: stream, before: first, count: lost)) }
      for index in 0..<outcome.recordCount where records[index].kind != .lost {
        let record = records[index]
        let payload = page.baseAddress! + Int(record.payloadOffset)
        let name = formats.format(id: record.formatID)?.name ?? "\(record.formatID)"
        let word =
          record.payloadLength >= 16 ? payload.loadUnaligned(fromByteOffset: 8, as: UInt64.self) : 0
        events.append(
          Event(
            time: record.time.rawValue, cpu: supply.cpu, tid: record.tid.rawValue, name: name, first: word))
      }
    }
    streams.append(events)
    damage += supply.damage.places
  }

  /// All events in the order of time.
  var events: [Event] { streams.joined().sorted { $0.time < $1.time } }
  var times: [UInt64] { events.map(\.time) }

  /// How many events there are of each name.
  var counts: [String: Int] { Dictionary(events.map { ($0.name, 1) }, uniquingKeysWith: +) }
}
