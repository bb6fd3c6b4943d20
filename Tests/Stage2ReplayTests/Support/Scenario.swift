import Foundation
import KVMTrace
import KVMTypes
import Stage2Model
import Stage2Replay
import Testing
import TraceSynth
import UnnamedFiles

/// A short story of a host, event by event, that becomes a trace.dat and is replayed.
///
///     let story = Scenario()
///     story.createSlot()
///     story.enter(.vcpu0)
///     story.fault(.vcpu0, story.memory)
///     story.enter(.vcpu0)
///     #expect(try story.replay().operations == ["map 40000000+1000 = 0, derived"])
///
/// Time advances by a microsecond with each event, whatever the CPU, so events are merged in the order of the story.
final class Scenario {
  /// A thread and the CPU it runs on.
  struct Thread {
    var tid: Int32
    var cpu: Int
    /// Whose events are recorded where: 1 is a second buffer beside the top one.
    var buffer = 0

    /// The thread of the VMM that sets the VM up, two vCPUs of its, and a thread of the host's own.
    static let vmm = Thread(tid: 1000, cpu: 3)
    static let vcpu0 = Thread(tid: 1001, cpu: 0)
    static let vcpu1 = Thread(tid: 1002, cpu: 1)
    static let kswapd = Thread(tid: 60, cpu: 2)
  }

  /// What the guest did when it faulted.
  enum Access {
    case read, write, exec
    /// The CPU walked the guest's stage-1 table.
    case stage1Walk
  }

  static let cpus = 4
  let pageSize: PageSize
  /// What is known of the host: pKVM, 40 bits, and no hardware access flag, so that answers are certain.
  var profile = Profile(path: .pkvm, era: .v7_3)
  /// In place of that, what a story about profiles leaves to the trace.
  var request: ProfileRequest?
  var options = ReplayOptions()
  /// What the recording says of its host (`uname -a`), nil for nothing.
  var uname: String?
  /// Where slots lie unless the story says otherwise.
  let memory: UInt64 = 0x4000_0000
  private let formats: [TraceSynth.EventFormat]
  private let flavour: TraceFlavour
  /// By buffer and CPU.
  private var events: [[[Event]]] = Array(repeating: Array(repeating: [], count: cpus), count: 2)
  private(set) var now: UInt64 = 1_000_000

  private struct Event {
    var time: UInt64
    /// Nil where events were lost.
    var payload: [UInt8]?
  }

  init(
    _ pageSize: PageSize = .size4K, subBuffers: Int? = nil,
    formats: [TraceSynth.EventFormat] = KVMEventFormats.all
  ) {
    self.pageSize = pageSize
    self.formats = formats
    flavour = TraceFlavour(pageBytes: subBuffers ?? Int(pageSize.bytes))
    profile.pageSize = pageSize
    profile.ipaBits = 40
    profile.hasHardwareAF = false
  }

  var page: UInt64 { pageSize.bytes }
  var block: UInt64 { pageSize.pmdBytes }
  /// Host memory whose addresses are congruent with `memory`, so that blocks can be mapped, and such that are not.
  var congruentHVA: UInt64 { 0xff00_4000_0000 }
  var crookedHVA: UInt64 { congruentHVA + page }

  /// An event of any format, with the values of its fields.
  func emit(_ format: TraceSynth.EventFormat, _ thread: Thread, _ values: [UInt64]) {
    emit(format.payload(values, pid: thread.tid, flavour: flavour), thread)
  }

  /// Text that a thread writes to trace_marker.
  func print(_ text: String, _ thread: Thread = .vmm) {
    emit(MarkerFormat.payload(text, pid: thread.tid, flavour: flavour), thread)
  }

  private func emit(_ payload: [UInt8], _ thread: Thread) {
    now += 1000
    events[thread.buffer][thread.cpu].append(Event(time: now, payload: payload))
  }

  /// Time passes.
  func wait(microseconds: UInt64) { now += microseconds * 1000 }

  /// Events of a CPU are lost.
  func loseEvents(cpu: Int, buffer: Int = 0) { events[buffer][cpu].append(Event(time: now, payload: nil)) }

  // MARK: The trace

  /// The trace as bytes.
  func bytes() throws -> [UInt8] {
    let cpus = (0..<Self.cpus).map(UInt32.init)
    let hasSecond = events[1].contains { !$0.isEmpty }
    var description = TraceDescription(
      flavour, formats: formats,
      buffers: [TraceBuffer(cpus: cpus)] + (hasSecond ? [TraceBuffer(name: "second", cpus: cpus)] : []))
    if let uname { description.options.append(.uname(uname)) }
    let writer = TraceDatWriter(description)
    for (buffer, events) in events.enumerated() {
      for (cpu, events) in events.enumerated() {
        try pages(of: events) { try writer.append($0, cpu: UInt32(cpu), buffer: buffer) }
      }
    }
    return try writer.bytes()
  }

  /// Makes pages of events.
  private func pages(of events: [Event], _ write: ([UInt8]) throws -> Void) throws {
    var page = SubBufferPageBuilder(flavour, timestamp: 0)
    func close() throws {
      if page.events > 0 { try write(page.finish()) }
    }
    for event in events {
      guard let payload = event.payload else {
        try close()
        page.reset(timestamp: event.time)
        page.missed = .unknown
        continue
      }
      if !page.append(payload, at: event.time) {
        try close()
        page.reset(timestamp: event.time)
        precondition(page.append(payload, at: event.time), "an event fits into an empty page")
      }
    }
    try close()
  }

  /// What a replay of the trace found.
  func replay() throws -> Replayed {
    let file = try UnnamedFile(bytes())
    var operations: [Stage2Operation] = []
    var known = ProfileRequest()
    known.profile = profile
    let trace = try TraceFile(path: file.path)
    // A story may leave out what a recording must have.
    let (result, _) = try Replay.run(over: trace, profile: request ?? known, options: options) {
      operations.append($0)
    }
    return Replayed(all: operations, result: result)
  }
}

/// Replays a story and compares the causes of its divergences with `expected`, in the order of the report.
func expect(
  _ story: Scenario, _ expected: [String], sourceLocation: SourceLocation = #_sourceLocation
) throws {
  let found = try story.replay().divergences
  #expect(found == expected, sourceLocation: sourceLocation)
}

/// The outcome of a story.
struct Replayed {
  let all: [Stage2Operation]
  let result: ReplayResult

  /// Every operation as one line: name, address and size in hexadecimal, result, basis.
  var operations: [String] { all.map(\.line) }
  /// Those of one kind.
  func operations(_ kind: OperationKind) -> [String] { all.filter { $0.kind == kind }.map(\.line) }
  /// Those of one VM.
  func operations(vm: Int) -> [String] { all.filter { $0.vm == vm }.map(\.line) }
  /// The causes of divergences, each as one line: rule, verdict, exception, and the count where there are several.
  var divergences: [String] {
    result.divergences.items.map { item in
      ([item.rule.id, item.verdict.name] + (item.exception.map { [$0.id] } ?? [])
        + (item.count > 1 ? ["x\(item.count)"] : [])).joined(separator: " ")
    }
  }
  /// How often a fault of the first VM came to nothing, by reason.
  var nothing: [NoOperationReason: Int] { result.vms.first?.faultsWithoutOperation ?? [:] }
}

extension Stage2Operation {
  var line: String {
    func hex(_ value: UInt64) -> String { String(value, radix: 16) }
    let extent = size > 0 ? "\(hex(address.rawValue))+\(hex(size))" : hex(address.rawValue)
    let answer = result.map { " = \($0)" } ?? ""
    return "\(kind.name) \(extent)\(answer), \(basis.name)"
  }
}
