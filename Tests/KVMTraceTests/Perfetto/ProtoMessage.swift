/// A message of Protocol Buffers, as a test wants it: fields in the order in which they are added, right or wrong.
struct ProtoMessage {
  private(set) var bytes: [UInt8] = []

  init() {}

  /// A varint as it is stored.
  static func varint(_ value: UInt64) -> [UInt8] {
    var (left, bytes) = (value, [UInt8]())
    while left > 0x7f {
      bytes.append(UInt8(truncatingIfNeeded: left) | 0x80)
      left >>= 7
    }
    return bytes + [UInt8(left)]
  }

  /// A number; one below 0 takes ten bytes, as the official writers make it.
  func adding(_ number: UInt64, _ value: Int) -> ProtoMessage {
    adding(number, UInt64(bitPattern: Int64(value)))
  }

  func adding(_ number: UInt64, _ value: UInt64) -> ProtoMessage {
    appending(Self.varint(number << 3) + Self.varint(value))
  }

  func adding(_ number: UInt64, _ message: ProtoMessage) -> ProtoMessage { adding(number, message.bytes) }

  func adding(_ number: UInt64, _ text: String) -> ProtoMessage { adding(number, Array(text.utf8)) }

  func adding(_ number: UInt64, _ bytes: [UInt8]) -> ProtoMessage {
    appending(Self.varint(number << 3 | 2) + Self.varint(UInt64(bytes.count)) + bytes)
  }

  func adding(_ number: UInt64, eachOf messages: [ProtoMessage]) -> ProtoMessage {
    messages.reduce(self) { $0.adding(number, $1) }
  }

  /// Bytes that need be no field.
  func appending(_ more: [UInt8]) -> ProtoMessage {
    var copy = self
    copy.bytes += more
    return copy
  }
}

/// Parts of a Perfetto trace.
enum PerfettoParts {
  /// A trace of these packets.
  static func trace(_ packets: ProtoMessage...) -> [UInt8] { trace(packets) }

  static func trace(_ packets: [ProtoMessage]) -> [UInt8] { ProtoMessage().adding(1, eachOf: packets).bytes }

  /// A packet with a bundle. It is the first of its writer, if it says that some are lost.
  static func packet(
    _ bundle: ProtoMessage, sequence: Int = 2, isBehindLoss: Bool = false, isFirst: Bool = false
  ) -> ProtoMessage {
    var packet = ProtoMessage().adding(1, bundle).adding(10, sequence)
    if isBehindLoss { packet = packet.adding(42, 1) }
    return isFirst ? packet.adding(87, 1) : packet
  }

  static func bundle(cpu: Int = 0, isBehindLoss: Bool = false, _ events: [ProtoMessage]) -> ProtoMessage {
    var bundle = ProtoMessage().adding(1, cpu)
    if isBehindLoss { bundle = bundle.adding(3, 1) }
    return bundle.adding(2, eachOf: events)
  }

  /// An event with its message in the field `number`.
  static func event(_ time: UInt64, pid: Int = 7, _ number: UInt64, _ message: ProtoMessage) -> ProtoMessage {
    ProtoMessage().adding(1, time).adding(2, pid).adding(number, message)
  }

  /// A `kvm_entry`.
  static func entry(_ time: UInt64, pc: UInt64 = 0) -> ProtoMessage {
    event(time, 376, ProtoMessage().adding(1, pc))
  }

  /// A bundle of `kvm_entry` at each of `times`.
  ///
  /// - Parameter previousEnd: the last stamp of the CPU's bundle before.
  static func entries(
    cpu: Int = 0, isBehindLoss: Bool = false, _ times: [UInt64], behind previousEnd: Int? = nil
  ) -> ProtoMessage {
    let bundle = bundle(cpu: cpu, isBehindLoss: isBehindLoss, times.map { entry($0) })
    return previousEnd.map { bundle.adding(10, $0) } ?? bundle
  }

  /// A GenericEventDescriptor; fields are a name and a type of FieldDescriptorProto each.
  static func descriptor(
    _ id: Int, _ group: String, _ name: String, _ fields: [(String, Int)]
  ) -> ProtoMessage {
    let parts = fields.enumerated().map { position, field in
      ProtoMessage().adding(1, field.0).adding(3, position + 1).adding(5, field.1)
    }
    return ProtoMessage().adding(1, id).adding(2, ProtoMessage().adding(1, name).adding(2, eachOf: parts))
      .adding(3, group)
  }

  /// A ClockSnapshot with CLOCK_MONOTONIC_RAW and CLOCK_BOOTTIME.
  static func clocks(raw: UInt64, boot: UInt64) -> ProtoMessage {
    ProtoMessage().adding(
      6,
      ProtoMessage().adding(1, ProtoMessage().adding(1, 6).adding(2, boot))
        .adding(1, ProtoMessage().adding(1, 5).adding(2, raw)))
  }

  /// FtraceStats of the beginning or the end, with the overruns of each CPU.
  static func statistics(phase: Int, _ overruns: [Int], sequence: Int = 2) -> ProtoMessage {
    let cpus = overruns.enumerated().map { ProtoMessage().adding(1, $0).adding(3, $1) }
    return ProtoMessage().adding(34, ProtoMessage().adding(1, phase).adding(2, eachOf: cpus)).adding(
      10, sequence)
  }

  /// SystemInfo with the version of the recorder.
  static func system(version: String) -> ProtoMessage {
    ProtoMessage().adding(45, ProtoMessage().adding(4, version))
  }
}
