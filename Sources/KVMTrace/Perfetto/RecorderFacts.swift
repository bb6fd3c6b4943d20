/// What the packets of a trace say of how it was recorded: which events were asked for, and what was lost.
struct RecorderFacts {
  /// FtraceStats of one CPU, by one writer: how many events the kernel had overwritten.
  private struct Overruns {
    var begin: UInt64?
    var end: UInt64?
  }

  private struct Writer: Hashable {
    let sequence: UInt32
    let cpu: UInt64
  }

  /// So many numbers are kept of anything.
  private static let countMax = 1 << 16

  private var overruns: [Writer: Overruns] = [:]
  /// The buffer of the service that each writer wrote to.
  private var buffers: [UInt32: UInt64] = [:]
  /// How many chunks the service threw away, by buffer.
  private var discarded: [UInt64] = []

  /// How many events of a CPU the kernel overwrote while the trace was recorded; nil where that is not known.
  func overruns(ofCPU cpu: UInt16, sequence: UInt32) -> UInt64? {
    guard let known = overruns[Writer(sequence: sequence, cpu: UInt64(cpu))], let begin = known.begin,
      let end = known.end, end >= begin
    else { return nil }
    return end - begin
  }

  /// Whether the service's buffer was full, so that what the writer wrote last is missing.
  func isBufferFull(ofSequence sequence: UInt32) -> Bool {
    guard let buffer = discarded.count == 1 ? 0 : buffers[sequence], buffer < UInt64(discarded.count) else {
      return false
    }
    return discarded[Int(buffer)] > 0
  }

  /// Takes in an FtraceStats.
  mutating func take(ftraceStats message: WireMessage, sequence: UInt32, _ events: PerfettoEvents) {
    // Phase.
    let (begins, ends): (UInt64, UInt64) = (1, 2)
    var message = message
    var phase: UInt64 = 0
    while let field = message.next() {
      switch field.number {
      case 1: phase = field.value
      case 2:
        let (cpu, overrun) = Self.overrun(field.message)
        let writer = Writer(sequence: sequence, cpu: cpu)
        guard overruns.count < Self.countMax || overruns[writer] != nil else { continue }
        if phase == begins { overruns[writer, default: Overruns()].begin = overrun }
        if phase == ends { overruns[writer, default: Overruns()].end = overrun }
      case 6, 7: events.refuse(String(decoding: field.bytes.prefix(256), as: UTF8.self))
      default: break
      }
    }
  }

  /// Reads an FtraceCpuStats.
  private static func overrun(_ message: WireMessage) -> (cpu: UInt64, overrun: UInt64) {
    var message = message
    var (cpu, overrun) = (UInt64(0), UInt64(0))
    while let field = message.next() {
      if field.number == 1 { cpu = field.value }
      if field.number == 3 { overrun = field.value }
    }
    return (cpu, overrun)
  }

  /// Takes in a TraceStats.
  mutating func take(traceStats message: WireMessage) {
    var message = message
    discarded = []
    while let field = message.next() {
      if field.number == 1, discarded.count < Self.countMax {
        discarded.append(Self.number(18, of: field.message) ?? 0)
      }
      if field.number == 18, buffers.count < Self.countMax,
        let sequence = Self.number(1, of: field.message).flatMap({ UInt32(exactly: $0) })
      {
        buffers[sequence] = Self.number(4, of: field.message) ?? 0
      }
    }
  }

  private static func number(_ number: UInt64, of message: WireMessage) -> UInt64? {
    var message = message
    while let field = message.next() {
      if field.number == number { return field.value }
    }
    return nil
  }

  /// Takes in a TraceConfig: the events that every data source of the name `linux.ftrace` was asked for.
  func take(traceConfig message: WireMessage, _ events: PerfettoEvents) {
    for source in Self.messages([2, 1, 100], in: message) {
      var config = source
      while let field = config.next() {
        if field.number == 1 { events.want(String(decoding: field.bytes.prefix(256), as: UTF8.self)) }
      }
    }
  }

  /// The messages that a path of field numbers leads to.
  private static func messages(_ path: [UInt64], in message: WireMessage) -> [WireMessage] {
    guard let first = path.first else { return [message] }
    var message = message
    var found: [WireMessage] = []
    while let field = message.next(), found.count < countMax {
      if field.number == first { found += messages(Array(path.dropFirst()), in: field.message) }
    }
    return found
  }
}
