public import KVMTrace
public import KVMTypes

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
  private let tellsVM: Bool
  /// What times are called in CSV and JSON lines.
  private let timeName: String
  /// What stamps are.
  private let unit: StampUnit
  /// What times count from, nil for the trace's clock.
  private var origin: Nanoseconds?

  /// A printer for the events of `trace`, of which only those with a number in `ids` will come, if given. Where nobody
  /// chose, a table has the fields of KVM's events: those of all others would make hundreds of columns.
  public init(
    _ format: Format, trace: TraceFile, ids: Set<UInt16>?, tellsVM: Bool = false, isRelative: Bool = false
  ) {
    self.format = format
    unit = StampUnit(trace.clock)
    timeName = (isRelative ? "relative" : "time") + (unit == .ticks ? "Ticks" : "Ns")
    self.trace = trace
    self.tellsVM = tellsVM
    let hasKVM = trace.formats.formats.contains { $0.system == "kvm" }
    var columns: [String] = []
    var position: [String: Int] = [:]
    var columnsOfFormat: [UInt16: [Int]] = [:]
    for event in trace.formats.formats where ids?.contains(event.id) ?? (!hasKVM || event.system == "kvm") {
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
    guard format == .csv else { return nil }
    return
      ([timeName, "cpu", "tid", "command", "event"] + (tellsVM ? ["vm"] : []) + columns
      + ["lost"]).map(Safe.cell)
      .joined(separator: ",")
  }

  /// Makes times count from `origin`.
  public mutating func count(from origin: Nanoseconds) { self.origin = origin }

  /// Whether `filter` lets an event through.
  public func accepts(
    _ filter: EventFilter, _ record: TraceRecord, _ payload: UnsafeRawBufferPointer, vms: [Int]
  ) -> Bool {
    filter.accepts(
      EventField.Subject(
        record: record, payload: payload, format: formatByID[record.formatID], command: command(record),
        vms: vms))
  }

  private func command(_ record: TraceRecord) -> String? {
    trace.command(of: record.tid) ?? (record.tid.rawValue == 0 ? "<idle>" : nil)
  }

  /// The line of one event, which is about the VMs `vms` as far as that is known.
  public func line(_ record: TraceRecord, _ payload: UnsafeRawBufferPointer, vms: [Int] = []) -> String {
    var record = record
    // A clock may run backwards: what was before the first event has no time since it.
    if let origin { record.time = Nanoseconds(record.time.rawValue - min(origin, record.time).rawValue) }
    let event = formatByID[record.formatID]
    let name = record.kind == .lost ? "lost_events" : event?.name ?? "unknown_\(record.formatID)"
    let command = record.kind == .lost ? nil : command(record)
    switch format {
    case .text: return Safe.line(textLine(record, payload, name: name, command: command, vms))
    case .csv: return csvLine(record, payload, event: event, name: name, command: command, vms)
    case .jsonl: return jsonLine(record, payload, event: event, name: name, command: command, vms)
    }
  }

  private func textLine(
    _ record: TraceRecord, _ payload: UnsafeRawBufferPointer, name: String, command: String?,
    _ vms: [Int]
  ) -> String {
    let time = record.time.rawValue
    let cpu = String(record.cpu.rawValue)
    var line = padLeft("\(command ?? "<...>")-\(record.tid.rawValue)", 22)
    if tellsVM { line += " " + padLeft(vms.isEmpty ? "-" : vms.map { "vm\($0)" }.joined(separator: ","), 4) }
    line += " [" + String(repeating: "0", count: max(0, 3 - cpu.count)) + cpu + "] "
    // The widths of trace-cmd.
    line += padLeft(unit.moment(time), unit == .ticks ? 12 : 15) + ": "
    if record.kind == .lost {
      return line + (record.lostCount.map { "[\($0) EVENTS LOST]" } ?? "[EVENTS LOST, number unknown]")
    }
    line += name + ": " + String(repeating: " ", count: max(0, 20 - name.count))
    let text = trace.formats.text(of: payload, time: time, cpu: Int(record.cpu.rawValue))
    // Some print formats have several lines; an event has one.
    line += text.split(separator: "\n").joined(separator: " ")
    if record.kind == .guestFault { line += "  [\(Self.describe(record.guestFault.esr))]" }
    if record.kind == .contentionBegin || record.kind == .contentionEnd,
      let lock = trace.formats.symbol(at: record.contendedLock.rawValue)
    {
      line += "  [\(lock)]"
    }
    return line
  }

  /// What a fault's syndrome says, in words.
  static func describe(_ esr: ESR) -> String {
    let access = esr.isExec ? "exec" : esr.isWrite ? "write" : "read"
    let kind = describe(esr.faultKind, esr)
    guard let level = esr.level else {
      return "\(access) \(kind)" + (esr.isStage1Walk ? ", stage-1 walk" : "")
    }
    // Where the walk of stage 2 stopped is not known then: emulators have the level of the guest's own table there.
    return "\(access) \(kind), "
      + (esr.isStage1Walk ? "stage-1 walk, syndrome's level \(level.rawValue)" : "level \(level.rawValue)")
  }

  static func describe(_ kind: FaultKind, _ esr: ESR) -> String {
    switch kind {
    case .translation: "translation"
    case .permission: "permission"
    case .accessFlag: "access flag"
    case .addressSize: "address size"
    case .externalAbort: "external abort"
    case .exclusiveOrAtomic: "exclusive or atomic"
    case .other: "status \(esr.faultStatusCode)"
    }
  }

  private func csvLine(
    _ record: TraceRecord, _ payload: UnsafeRawBufferPointer, event: EventFormat?, name: String,
    command: String?, _ vms: [Int]
  ) -> String {
    var cells = [String](repeating: "", count: columns.count)
    if let event, let places = columnsOfFormat[event.id] {
      for (field, place) in zip(event.fields, places) {
        let value = trace.formats.value(of: field, in: payload)
        if case .text(let text) = value {
          cells[place] = Safe.cell(text)
        } else {
          cells[place] = value.description
        }
      }
    }
    return
      ([
        String(record.time.rawValue), String(record.cpu.rawValue), String(record.tid.rawValue),
        Safe.cell(command ?? ""), Safe.cell(name),
      ] + (tellsVM ? [vms.map(String.init).joined(separator: " ")] : []) + cells
      + [record.kind == .lost ? record.lostCount.map(String.init) ?? "" : ""]).joined(separator: ",")
  }

  private func jsonLine(
    _ record: TraceRecord, _ payload: UnsafeRawBufferPointer, event: EventFormat?, name: String,
    command: String?, _ vms: [Int]
  ) -> String {
    var line =
      "{\"\(timeName)\":\(number(.unsigned(record.time.rawValue))),\"cpu\":\(record.cpu.rawValue),\"tid\":\(record.tid.rawValue)"
    if let command { line += ",\"command\":\(Safe.json(command))" }
    line += ",\"event\":\(Safe.json(name))"
    if tellsVM { line += ",\"vms\":[\(vms.map(String.init).joined(separator: ","))]" }
    if record.kind == .lost {
      return line + ",\"count\":\(record.lostCount.map(String.init) ?? "null")}"
    }
    if let event {
      line += ",\"system\":\(Safe.json(event.system)),\"fields\":{"
      line += event.fields.map { field in
        let value = trace.formats.value(of: field, in: payload)
        switch value {
        case .signed, .unsigned: return "\(Safe.json(field.name)):\(number(value))"
        case .text, .missing: return "\(Safe.json(field.name)):\(Safe.json(value.description))"
        }
      }.joined(separator: ",")
      line += "}"
    }
    return line + "}"
  }

  private func padLeft(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.count)) + text
  }

  /// A number in JSON: beyond 2^53, where readers round, as a string.
  private func number(_ value: FieldValue) -> String {
    switch value {
    case .unsigned(let number) where number > 1 << 53: "\"\(number)\""
    case .signed(let number) where number.magnitude > 1 << 53: "\"\(number)\""
    default: value.description
    }
  }
}
