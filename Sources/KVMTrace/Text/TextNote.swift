/// What a line is that is no event.
enum TextNote {
  /// Events of a CPU were lost before its next one: how many, 0 where the line does not tell.
  case lost(cpu: UInt16, count: UInt64)
  /// The buffer of a CPU begins here; what the CPU recorded before was overwritten.
  case begins(cpu: UInt16)
  /// The header of a text begins here whose buffers do not hold all that was recorded.
  case overwritten
  /// A remark, a line of a stack, an empty line: nothing is missing here.
  case silent
  /// None of these.
  case unknown

  init(_ line: TextCursor) {
    var cursor = line
    cursor.skipSpaces()
    switch cursor.byte {
    // No recorder writes a line of blanks: they stand where something else was.
    case 0 where cursor.isAtEnd: self = line.isAtEnd ? .silent : .unknown
    case UInt8(ascii: "#"): self = Self.remark(cursor)
    case UInt8(ascii: "="): self = cursor.begins(with: "=>") ? .silent : .unknown
    default: self = Self.loss(cursor) ?? (Self.isFrame(line) ? .silent : .unknown)
    }
  }

  /// `##### CPU 1 buffer started ####`, or any other remark.
  private static func remark(_ line: TextCursor) -> TextNote {
    var cursor = line
    while cursor.take(UInt8(ascii: "#")) {}
    if cursor.take(" CPU "), let cpu = cpu(&cursor), cursor.take(" buffer started") {
      return .begins(cpu: cpu)
    }
    var facts = TextFacts()
    return facts.note(line) && facts.overwritten > 0 ? .overwritten : .silent
  }

  /// `CPU:1 [LOST 12 EVENTS]` and `CPU:1 [LOST EVENTS]` of the kernel, `CPU:1 [12 EVENTS DROPPED]` and `CPU:1 [EVENTS DROPPED]` of
  /// trace-cmd, which may write the name of a buffer before it.
  private static func loss(_ line: TextCursor) -> TextNote? {
    var cursor = line
    while !cursor.begins(with: "CPU:") {
      guard cursor.skip(behind: UInt8(ascii: ":")) else { return nil }
      cursor.skipSpaces()
    }
    guard cursor.take("CPU:"), let cpu = cpu(&cursor), cursor.take(" [") else { return nil }
    _ = cursor.take("LOST ")
    let count = cursor.decimal() ?? 0
    cursor.skipSpaces()
    guard cursor.take("EVENTS") else { return nil }
    return .lost(cpu: cpu, count: count)
  }

  private static func cpu(_ cursor: inout TextCursor) -> UInt16? {
    guard let cpu = cursor.decimal(), cpu < UInt64(LineHeadParser.cpuCountMax) else { return nil }
    return UInt16(truncatingIfNeeded: cpu)
  }

  /// A frame of a call chain of perf script: an indented address, a symbol, and in brackets what holds it.
  private static func isFrame(_ line: TextCursor) -> Bool {
    var cursor = line
    cursor.skipSpaces()
    guard cursor.place > line.place else { return false }
    let begin = cursor.place
    guard cursor.hexadecimal() != nil else { return false }
    // A short one is an address of nothing, and not a command such as dd.
    let isLong = cursor.place - begin >= 4
    return isLong ? cursor.byte == UInt8(ascii: " ") : cursor.begins(with: " [unknown]")
  }
}
