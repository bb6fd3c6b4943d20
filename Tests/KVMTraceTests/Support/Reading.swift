@testable import KVMTrace
import KVMTypes
import TraceSynth
import UnnamedFiles

/// A trace read to its end: all records with copies of their data, and what the reader says of itself.
struct Reading {
  struct Event {
    var record: TraceRecord
    var payload: [UInt8]
    var buffer: Int

    var time: UInt64 { record.time.rawValue }
    var cpu: UInt16 { record.cpu.rawValue }
    var tid: Int32 { record.tid.rawValue }
    var kind: EventKind { record.kind }
  }

  let trace: TraceFile
  private(set) var events: [Event] = []
  private(set) var statistics = EventStatistics()

  init(path: String, _ selection: EventSelection = .all) throws(IngestError) {
    trace = try TraceFile(path: path)
    var reader = trace.events(selection)
    while let run = reader.nextRun() {
      for position in 0..<run.count {
        events.append(
          Event(record: run[position], payload: Array(run.payload(position)), buffer: run.bufferIndex))
      }
    }
    statistics = reader.statistics
  }

  init(_ bytes: [UInt8], _ selection: EventSelection = .all) throws {
    // The file stays mapped when its name is gone.
    let file = try UnnamedFile(bytes)
    try self.init(path: file.path, selection)
  }

  /// Metadata and pages together.
  var damage: [Damage] { trace.damage + statistics.damage }

  /// The fields of an event that are numbers, by name, as `EventFormats.value` reads them.
  func values(_ event: Event) -> [String: FieldValue] {
    let format = trace.formats.format(id: event.record.formatID)
    return event.payload.withUnsafeBytes { payload in
      Dictionary(
        (format?.fields ?? []).map { ($0.name, trace.formats.value(of: $0, in: payload)) },
        uniquingKeysWith: { first, _ in first })
    }
  }
}
