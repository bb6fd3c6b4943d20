/// What the lines above the events say of the recording.
struct TextFacts {
  /// Who wrote the text, as far as that shows.
  enum Writer { case unknown, kernel, traceCmd, perf }

  private(set) var writer = Writer.unknown
  /// 0 where nobody tells.
  private(set) var cpuCount = 0
  /// How many events the buffers hold that the text was made of, of all CPUs, also where it is that of one; nil where nobody tells.
  private(set) var held: UInt64?
  /// How many events were recorded that they do not hold any more, because others were written over them.
  private(set) var overwritten: UInt64 = 0
  /// A whole uname.
  private var line = ""
  private var host = ""
  private var release = ""
  private var machine = ""

  /// What `uname` said: `Linux HOST RELEASE MACHINE`, with `(none)` for a host without a name.
  var uname: String {
    if !line.isEmpty { return line }
    if release.isEmpty { return "" }
    return "Linux \(host.isEmpty ? "(none)" : host) \(release)" + (machine.isEmpty ? "" : " \(machine)")
  }

  /// Takes in a line; false where it says nothing that is known here.
  mutating func note(_ text: TextCursor) -> Bool {
    var cursor = Self.behindFileName(text)
    if cursor.take("# tracer:") {
      writer = .kernel
    } else if cursor.take("cpus=") {
      writer = .traceCmd
      note(cpuCount: cursor)
    } else if cursor.begins(with: "version = ") || Self.isEmptyCPU(cursor) {
      // trace-cmd of old: "version = 6", "CPU 0 is empty".
      writer = .traceCmd
    } else if cursor.begins(with: "Linux ") {
      line = cursor.text
    } else if cursor.take("# ") {
      noteRemark(cursor)
    } else {
      return cursor.byte == UInt8(ascii: "#")
    }
    return true
  }

  /// What stands behind `host.dat: `, which trace-cmd writes before what it says of one of several files.
  private static func behindFileName(_ text: TextCursor) -> TextCursor {
    var cursor = text
    guard cursor.skip(behind: UInt8(ascii: ":")), cursor.take(UInt8(ascii: " ")) else { return text }
    cursor.skipSpaces()
    return cursor.begins(with: "cpus=") || cursor.begins(with: "version = ") || isEmptyCPU(cursor)
      ? cursor : text
  }

  /// `CPU 0 is empty`; so begin threads of vCPUs, too.
  private static func isEmptyCPU(_ text: TextCursor) -> Bool {
    var cursor = text
    return cursor.take("CPU ") && cursor.decimal() != nil && cursor.begins(with: " is empty")
  }

  private mutating func noteRemark(_ text: TextCursor) {
    var cursor = text
    if cursor.take("entries-in-buffer/entries-written: ") {
      note(entries: &cursor)
      note(processors: cursor)
    } else if cursor.take("latency: ") {
      guard cursor.skip(behind: UInt8(ascii: "#")) else { return }
      note(entries: &cursor)
      note(processors: cursor)
    } else if let value = Self.value(of: "hostname", text) {
      (writer, host) = (.perf, value)
    } else if let value = Self.value(of: "os release", text) {
      release = value
    } else if let value = Self.value(of: "arch", text) {
      machine = value
    } else if cursor.take("nrcpus online : ") {
      note(cpuCount: cursor)
    } else {
      noteRelease(text)
    }
  }

  /// `# nop latency trace v1.1.5 on 7.3.4`.
  private mutating func noteRelease(_ text: TextCursor) {
    var cursor = text
    cursor.skipWord()
    guard cursor.take(" latency trace v") else { return }
    cursor.skipWord()
    if cursor.take(" on ") { release = cursor.text }
  }

  /// `IN-BUFFER/WRITTEN`.
  private mutating func note(entries cursor: inout TextCursor) {
    guard let held = cursor.decimal(), cursor.take(UInt8(ascii: "/")), let written = cursor.decimal() else {
      return
    }
    self.held = held
    overwritten = written > held ? written - held : 0
  }

  /// `#P:2`, somewhere.
  private mutating func note(processors text: TextCursor) {
    var cursor = text
    while cursor.skip(behind: UInt8(ascii: "#")) {
      if cursor.take("P:") { note(cpuCount: cursor) }
    }
  }

  private mutating func note(cpuCount text: TextCursor) {
    var cursor = text
    if let count = cursor.decimal(), count <= UInt64(LineHeadParser.cpuCountMax) { cpuCount = Int(count) }
  }

  /// What stands behind `NAME : ` of a header of perf.
  private static func value(of name: StaticString, _ text: TextCursor) -> String? {
    var cursor = text
    guard cursor.take(name), cursor.take(" : ") else { return nil }
    return cursor.text
  }
}
