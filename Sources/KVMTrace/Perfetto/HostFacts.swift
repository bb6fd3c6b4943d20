/// What the packets of a trace say of the host that it was recorded on.
struct HostFacts {
  /// So many commands are kept.
  private static let commandsMax = 1 << 18
  /// A kernel's command is 15 bytes long at most (TASK_COMM_LEN).
  private static let commandBytesMax = 15

  private(set) var release = ""
  private(set) var version = ""
  private(set) var machine = ""
  private(set) var sysname = ""
  private(set) var pageBytes: Int?
  private(set) var cpuCount = 0
  private(set) var commands: [Int32: String] = [:]
  /// The number of the service's version, nil where it is not known.
  private(set) var serviceVersion: Int?
  /// What CLOCK_BOOTTIME is ahead of CLOCK_MONOTONIC_RAW, in nanoseconds.
  private(set) var bootAheadOfRaw: UInt64?

  /// As `uname -a` has it, without the host's name, which is not recorded.
  var uname: String {
    [sysname, release, version, machine].allSatisfy(\.isEmpty)
      ? ""
      : [sysname.isEmpty ? "Linux" : sysname, "-", release, version, machine].filter { !$0.isEmpty }.joined(
        separator: " ")
  }

  /// There is a processor of this number.
  mutating func noteCPU(_ cpu: UInt64) {
    if cpu < UInt64(HostLimits.cpusMax) { cpuCount = max(cpuCount, Int(cpu) + 1) }
  }

  /// Takes in a SystemInfo.
  mutating func take(systemInfo message: WireMessage) {
    var message = message
    while let field = message.next() {
      switch field.number {
      case 1: take(utsname: field.message)
      case 4: serviceVersion = Self.version(field.bytes)
      case 6:
        if (1 << 9...1 << 20).contains(field.value) { pageBytes = Int(field.value) }
      case 8:
        if field.value > 0 { noteCPU(field.value - 1) }
      default: break
      }
    }
  }

  private mutating func take(utsname message: WireMessage) {
    var message = message
    while let field = message.next() {
      switch field.number {
      case 1: sysname = Self.shortText(field.bytes)
      case 2: version = Self.shortText(field.bytes)
      case 3: release = Self.shortText(field.bytes)
      case 4: machine = Self.shortText(field.bytes)
      default: break
      }
    }
  }

  /// The number in "Perfetto v56.0 (N/A)".
  private static func version(_ bytes: UnsafeRawBufferPointer) -> Int? {
    let text = shortText(bytes)
    guard let mark = text.firstIndex(of: "v") else { return nil }
    return Int(text[text.index(after: mark)...].prefix { $0.isASCII && $0.isNumber })
  }

  private static func shortText(_ bytes: UnsafeRawBufferPointer) -> String {
    String(decoding: bytes.prefix(256), as: UTF8.self)
  }

  /// Takes in a ClockSnapshot: what several clocks say at one moment.
  mutating func take(clockSnapshot message: WireMessage) {
    // BuiltinClock.
    let (rawClock, bootClock): (UInt64, UInt64) = (5, 6)
    var message = message
    var (raw, boot) = (UInt64?.none, UInt64?.none)
    while bootAheadOfRaw == nil, let field = message.next() {
      guard field.number == 1 else { continue }
      var (clock, time) = (UInt64(0), UInt64(0))
      var parts = field.message
      while let part = parts.next() {
        if part.number == 1 { clock = part.value }
        if part.number == 2 { time = part.value }
      }
      if clock == rawClock { raw = time }
      if clock == bootClock { boot = time }
    }
    if let raw, let boot, bootAheadOfRaw == nil { bootAheadOfRaw = boot &- raw }
  }

  /// Takes in a CpuInfo: a row of processors.
  mutating func take(cpuInfo message: WireMessage) {
    var message = message
    var count: UInt64 = 0
    while let field = message.next() { count += field.number == 1 ? 1 : 0 }
    if count > 0 { noteCPU(count - 1) }
  }
}

// The names of processes and threads.
extension HostFacts {
  /// Takes in a ProcessTree. Of a thread that is there again the last name counts.
  mutating func take(processTree message: WireMessage) {
    var message = message
    while let field = message.next() {
      // A process: pid, cmdline. A thread: tid, name.
      if field.number == 1 { take(field.message, id: 1, name: 3, isPath: true) }
      if field.number == 2 { take(field.message, id: 1, name: 2) }
    }
  }

  /// Takes in a ProcessDescriptor.
  mutating func take(processDescriptor message: WireMessage) { take(message, id: 1, name: 6, isPath: true) }

  /// Takes in a ThreadDescriptor.
  mutating func take(threadDescriptor message: WireMessage) { take(message, id: 2, name: 5) }

  /// Takes in a TrackDescriptor, as far as it is a thread's or a process's.
  mutating func take(trackDescriptor message: WireMessage) {
    var message = message
    while let field = message.next() {
      if field.number == 3 { take(processDescriptor: field.message) }
      if field.number == 4 { take(threadDescriptor: field.message) }
    }
  }

  /// Takes in a thread and its name, which are in the fields `id` and `name`. Of a command line only the first word is looked at, and
  /// of that the part behind the last `/`: what the thread's command was when it began.
  private mutating func take(
    _ message: WireMessage, id: UInt64, name: UInt64, isPath: Bool = false
  ) {
    var message = message
    var (tid, text) = (Int32?.none, "")
    while let field = message.next() {
      if field.number == id { tid = Int32(exactly: field.signed) }
      guard field.number == name, text.isEmpty else { continue }
      var bytes = field.bytes[...]
      if isPath, bytes.first == UInt8(ascii: "/"), let slash = bytes.lastIndex(of: UInt8(ascii: "/")) {
        bytes = bytes[(slash + 1)...]
      }
      text = String(decoding: bytes.prefix(Self.commandBytesMax), as: UTF8.self)
    }
    guard let tid, tid >= 0, !text.isEmpty else { return }
    if commands.count < Self.commandsMax || commands[tid] != nil { commands[tid] = text }
  }
}
