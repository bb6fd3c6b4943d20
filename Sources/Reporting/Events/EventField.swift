internal import KVMTrace
internal import KVMTypes

/// What a filter can ask of an event: a field of its format, or what every event has, or what a syndrome says.
enum EventField: Sendable, Equatable {
  case cpu
  case tid
  case command
  case event
  case system
  /// Seconds of the trace's clock, compared in nanoseconds.
  case time
  case vm
  case syndrome(SyndromePart)
  case field(String)

  enum SyndromePart: String, CaseIterable, Sendable {
    case `class`
    case level
    case write
    case exec
    case kind
    case s1ptw
  }

  /// The value of a field.
  enum Value: Equatable {
    case number(Int128)
    case text(String)
  }

  /// An event with all that a filter may ask for.
  struct Subject {
    var record: TraceRecord
    var payload: UnsafeRawBufferPointer
    var format: EventFormat?
    var command: String?
    /// The VMs that it is about.
    var vms: [Int]
  }

  /// The names of what is no field of a format.
  static let commonNames =
    ["cpu", "tid", "pid", "comm", "command", "event", "system", "time", "vm"]
    + SyndromePart.allCases.map { "esr.\($0.rawValue)" }

  /// What `name` stands for; a field of the event's own is preferred.
  init(_ name: String, isOwn: Bool) {
    if isOwn {
      self = .field(name)
      return
    }
    switch name {
    case "cpu": self = .cpu
    case "tid", "pid", "common_pid": self = .tid
    case "comm", "command": self = .command
    case "event": self = .event
    case "system": self = .system
    case "time": self = .time
    case "vm": self = .vm
    case _ where name.hasPrefix("esr."):
      self = SyndromePart(rawValue: String(name.dropFirst(4))).map { .syndrome($0) } ?? .field(name)
    default: self = .field(name)
    }
  }

  /// Whether the value is text; nil where that depends on the format.
  var isText: Bool? {
    switch self {
    case .command, .event, .system, .syndrome(.kind): true
    case .field: nil
    default: false
    }
  }

  /// The texts that the field can have in events of `formats`, nil where anything can be. What is no fault of these kinds is
  /// "status" and a number.
  func possibleTexts(among formats: [EventFormat]) -> [String]? {
    switch self {
    case .event: Set(formats.map(\.name)).sorted()
    case .system: Set(formats.map(\.system)).sorted()
    case .syndrome(.kind):
      ["translation", "permission", "access flag", "address size", "external abort", "exclusive or atomic"]
    default: nil
    }
  }

  /// The value for an event, nil where it has none.
  func value(of subject: Subject, _ formats: EventFormats) -> Value? {
    let record = subject.record
    switch self {
    case .cpu: return .number(Int128(record.cpu.rawValue))
    case .tid: return .number(Int128(record.tid.rawValue))
    case .time: return .number(Int128(record.time.rawValue))
    case .command: return subject.command.map { .text($0) }
    case .event: return subject.format.map { .text($0.name) }
    case .system: return subject.format.map { .text($0.system) }
    case .vm: return subject.vms.first.map { .number(Int128($0)) }
    case .syndrome(let part): return Self.syndrome(of: record).flatMap { Self.value(of: part, $0) }
    case .field(let name):
      guard let field = subject.format?.fields.first(where: { $0.name == name }) else {
        let common = EventField(name, isOwn: false)
        return common == self ? nil : common.value(of: subject, formats)
      }
      switch formats.value(of: field, in: subject.payload) {
      case .signed(let value): return .number(Int128(value))
      case .unsigned(let value): return .number(Int128(value))
      case .text(let text): return .text(text)
      case .missing: return nil
      }
    }
  }

  private static func syndrome(of record: TraceRecord) -> ESR? {
    switch record.kind {
    case .guestFault: record.guestFault.esr
    case .mmioNISV: record.mmioNISV.esr
    case .exit: ESR(UInt64(record.vcpuExit.exceptionClass) << 26)
    default: nil
    }
  }

  private static func value(of part: SyndromePart, _ esr: ESR) -> Value? {
    switch part {
    case .class: return .number(Int128(esr.exceptionClass))
    // Of an exit only the class is recorded.
    case _ where !esr.isDataAbort && !esr.isInstructionAbort || esr.rawValue & 0x3ff_ffff == 0: return nil
    case .level: return esr.level.map { .number(Int128($0.rawValue)) }
    case .write: return .number(esr.isWrite ? 1 : 0)
    case .exec: return .number(esr.isExec ? 1 : 0)
    case .s1ptw: return .number(esr.isStage1Walk ? 1 : 0)
    case .kind: return .text(EventPrinter.describe(esr.faultKind, esr))
    }
  }
}
