public import KVMTrace
internal import KVMTypes

/// Writes single events as text, CSV or JSON lines.
public struct EventPrinter {
  /// The forms that events can be written in.
  public enum Format: String, CaseIterable, Sendable {
    /// A line as `trace-cmd report -N` prints it.
    case text
    /// One row an event; a column for every field that an event of the trace has.
    case csv
    /// One JSON object an event.
    case jsonl
  }

  private let format: Format
  private let trace: TraceFile
  /// The CSV columns behind the common ones, and for each format number the column of each of its fields.
  private let columns: [String]
  private let columnsOfFormat: [UInt16: [Int]]
  private let formatByID: [UInt16: EventFormat]

  /// A printer for the events of `trace`, of which only those with a name in `names` will come, if given.
  public init(_ format: Format, trace: TraceFile, names: Set<String>?) {
    self.format = format
    self.trace = trace
    var columns: [String] = []
    var position: [String: Int] = [:]
    var columnsOfFormat: [UInt16: [Int]] = [:]
    for event in trace.formats.formats where names?.contains(event.name) ?? true {
      columnsOfFormat[event.id] = event.fields.map { field in
        if let known = position[field.name] { return known }
        position[field.name] = columns.count
        columns.append(field.name)
        return columns.count - 1
      }
    }
    self.columns = columns
    self.columnsOfFormat = columnsOfFormat
    formatByID = Dictionary(
      trace.formats.formats.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
  }

  /// The line that precedes all events, if the form has one.
  public var header: String? {
    format == .csv ? (["timeNs", "cpu", "tid", "command", "event"] + columns).joined(separator: ",") : nil
  }

  /// The line of one event.
  public func line(_ record: TraceRecord, _ payload: UnsafeRawBufferPointer) -> String {
    let event = formatByID[record.formatID]
    let name = record.kind == .lost ? "lost_events" : event?.name ?? "unknown_\(record.formatID)"
    let command =
      record.kind == .lost
      ? nil : trace.command(of: record.tid) ?? (record.tid.rawValue == 0 ? "<idle>" : nil)
    switch format {
    case .text: return textLine(record, payload, name: name, command: command)
    case .csv: return csvLine(record, payload, event: event, name: name, command: command)
    case .jsonl: return jsonLine(record, payload, event: event, name: name, command: command)
    }
  }

  private func textLine(
    _ record: TraceRecord, _ payload: UnsafeRawBufferPointer, name: String, command: String?
  ) -> String {
    let nanoseconds = record.time.rawValue
    let fraction = String(nanoseconds % 1_000_000_000)
    let cpu = String(record.cpu.rawValue)
    var line = padLeft("\(command ?? "<...>")-\(record.tid.rawValue)", 22)
    line += " [" + String(repeating: "0", count: max(0, 3 - cpu.count)) + cpu + "] "
    line += padLeft(String(nanoseconds / 1_000_000_000), 5) + "."
    line += String(repeating: "0", count: 9 - fraction.count) + fraction + ": "
    if record.kind == .lost {
      return line + (record.lostCount.map { "[\($0) EVENTS LOST]" } ?? "[EVENTS LOST, number unknown]")
    }
    line += name + ": " + String(repeating: " ", count: max(0, 20 - name.count))
    let text = trace.formats.text(of: payload, time: nanoseconds, cpu: Int(record.cpu.rawValue))
    // Some print formats have several lines; an event has one.
    line += text.split(separator: "\n").joined(separator: " ")
    if record.kind == .guestFault { line += "  [\(Self.describe(record.guestFault.esr))]" }
    return line
  }

  /// What a fault's syndrome says, in words.
  static func describe(_ esr: ESR) -> String {
    let access = esr.isExec ? "exec" : esr.isWrite ? "write" : "read"
    let kind =
      switch esr.faultKind {
      case .translation: "translation"
      case .permission: "permission"
      case .accessFlag: "access flag"
      case .addressSize: "address size"
      case .externalAbort: "external abort"
      case .exclusiveOrAtomic: "exclusive or atomic"
      case .other: "status \(esr.faultStatusCode)"
      }
    let level = esr.level.map { ", level \($0.rawValue)" } ?? ""
    return "\(access) \(kind)\(level)\(esr.isStage1Walk ? ", stage-1 walk" : "")"
  }

  private func csvLine(
    _ record: TraceRecord, _ payload: UnsafeRawBufferPointer, event: EventFormat?, name: String,
    command: String?
  ) -> String {
    var cells = [String](repeating: "", count: columns.count)
    if let event, let places = columnsOfFormat[event.id] {
      for (field, place) in zip(event.fields, places) {
        cells[place] = csv(trace.formats.value(of: field, in: payload).description)
      }
    }
    return
      ([
        String(record.time.rawValue), String(record.cpu.rawValue), String(record.tid.rawValue),
        csv(command ?? ""),
        name,
      ] + cells).joined(separator: ",")
  }

  private func jsonLine(
    _ record: TraceRecord, _ payload: UnsafeRawBufferPointer, event: EventFormat?, name: String,
    command: String?
  ) -> String {
    var line =
      "{\"timeNs\":\(record.time.rawValue),\"cpu\":\(record.cpu.rawValue),\"tid\":\(record.tid.rawValue)"
    if let command { line += ",\"command\":\(json(command))" }
    line += ",\"event\":\(json(name))"
    if record.kind == .lost {
      return line + ",\"count\":\(record.lostCount.map(String.init) ?? "null")}"
    }
    if let event {
      line += ",\"system\":\(json(event.system)),\"fields\":{"
      line += event.fields.map { field in
        let value = trace.formats.value(of: field, in: payload)
        switch value {
        case .signed, .unsigned: return "\(json(field.name)):\(value.description)"
        case .text, .missing: return "\(json(field.name)):\(json(value.description))"
        }
      }.joined(separator: ",")
      line += "}"
    }
    return line + "}"
  }

  private func padLeft(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.count)) + text
  }

  private func csv(_ text: String) -> String {
    guard text.contains(where: { $0 == "," || $0 == "\"" || $0 == "\n" }) else { return text }
    return "\"" + text.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"")
      + "\""
  }

  private func json(_ text: String) -> String {
    var quoted = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": quoted += "\\\""
      case "\\": quoted += "\\\\"
      case _ where scalar.value < 0x20:
        let hex = String(scalar.value, radix: 16)
        quoted += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
      default: quoted.unicodeScalars.append(scalar)
      }
    }
    return quoted + "\""
  }
}
