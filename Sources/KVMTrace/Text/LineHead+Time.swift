extension LineHeadParser {
  /// The last whole second that has nanoseconds in 64 bits.
  private static let secondsMax: UInt64 = 18_446_744_072
  /// The most characters of flags: those of the kernel are five, those of a realtime kernel were seven.
  private static let flagsMax = 8

  /// Takes flags, where there are some, the time and what follows up to the name of the event.
  @inline(__always)
  static func takeTime(_ head: inout LineHead, _ cursor: TextCursor, of line: TextCursor) -> Bool {
    var cursor = cursor
    if !TextCursor.isDigit(cursor.byte) {
      let flags = cursor.place
      cursor.skipWord(atMost: flagsMax + 1)
      // With a bracket it is a damaged number of a CPU, and no line without one, as perf script writes them if asked to.
      guard cursor.place - flags <= flagsMax, cursor.place == flags || flags.pointee != UInt8(ascii: "["),
        cursor.place[-1] != UInt8(ascii: "]")
      else { return false }
      cursor.skipSpaces()
    }
    guard let whole = cursor.decimal() else { return false }
    switch cursor.byte {
    case UInt8(ascii: "."):
      head.pointColumn = UInt32(truncatingIfNeeded: cursor.place - line.place)
      cursor.place += 1
      let begin = cursor.place
      guard whole <= secondsMax, let fraction = cursor.decimal(), cursor.place - begin <= 9 else {
        return false
      }
      head.form = .seconds(digits: cursor.place - begin)
      head.stamp = whole &* 1_000_000_000 &+ fraction &* weight(of: cursor.place - begin)
    case UInt8(ascii: "u"):
      // latency-format: microseconds since the trace began, and a mark of how long it is to the next event.
      guard cursor.take("us"), whole <= UInt64.max / 1000 else { return false }
      head.stamp = whole &* 1000
      head.form = .microseconds
      if cursor.byte != UInt8(ascii: ":"), !cursor.isAtEnd { cursor.place += 1 }
    default:
      head.stamp = whole
      head.form = .ticks
    }
    guard cursor.take(UInt8(ascii: ":")), cursor.isAtEnd || cursor.byte == UInt8(ascii: " ") else {
      return false
    }
    head.event = event(behind: cursor)
    return true
  }

  /// The time, and what follows, where the point stands in the column `pointColumn` of `line`, six digits behind it: in most lines, and
  /// found so in a few steps. nil where it does not, which does not say that there is no time.
  @inline(__always)
  static func time(
    _ line: TextCursor, from begin: UnsafePointer<UInt8>, _ pointColumn: Int
  ) -> (stamp: UInt64, event: TextCursor)? {
    let point = line.place + min(pointColumn, line.count)
    guard point > begin, line.end - point >= 9, point.pointee == UInt8(ascii: ".") else { return nil }
    let word = TextCursor.word(point + 1)
    guard word >> 48 == 0x203a, let fraction = sixDigits(word) else { return nil }
    var (whole, weight, place) = (UInt64(0), UInt64(1), point)
    while place > begin, TextCursor.isDigit(place[-1]), point - place < 10 {
      place -= 1
      whole &+= UInt64(place.pointee &- UInt8(ascii: "0")) &* weight
      weight &*= 10
    }
    guard place < point, place[-1] == UInt8(ascii: " ") else { return nil }
    let event = event(behind: TextCursor(place: point + 8, end: line.end))
    return (whole &* 1_000_000_000 &+ fraction &* 1000, event)
  }

  /// Takes `28246258.982ms (+2.724ms): ` behind a stamp of microseconds, `2826589 (+0): ` behind one that is no time.
  static func takeVerboseTime(_ head: inout LineHead, _ stamp: UInt64, _ behind: TextCursor) -> Bool {
    var cursor = behind
    cursor.skipWord()
    let isTicks = cursor.place[-1] != UInt8(ascii: "s")
    let (nanoseconds, overflow) = stamp.multipliedReportingOverflow(by: 1000)
    guard isTicks || !overflow, cursor.take(" (+"), cursor.skip(behind: UInt8(ascii: ":")) else {
      return false
    }
    (head.form, head.stamp) = isTicks ? (.ticks, stamp) : (.milliseconds, nanoseconds)
    head.event = event(behind: cursor)
    return true
  }

  /// The number whose digits are the first six bytes of `word`; nil where they are none.
  @inline(__always)
  private static func sixDigits(_ word: UInt64) -> UInt64? {
    let digits = word & 0xffff_ffff_ffff
    // Of a digit the upper half is 3, and still is with 6 more.
    let high: UInt64 = 0xf0f0_f0f0_f0f0
    guard digits & high == 0x3030_3030_3030, (digits &+ 0x0606_0606_0606) & high == 0x3030_3030_3030 else {
      return nil
    }
    // As eight digits with two zeros before them: pairs, then fours, then all.
    var value = (digits & 0x0f0f_0f0f_0f0f) << 16
    value = (value &* 2561) >> 8 & 0x00ff_00ff_00ff_00ff
    value = (value &* 6_553_601) >> 16 & 0x0000_ffff_0000_ffff
    return (value &* 42_949_672_960_001) >> 32
  }

  /// The event, behind what may stand between the time and its name.
  @inline(__always)
  private static func event(behind: TextCursor) -> TextCursor {
    var cursor = behind
    cursor.skipPadding()
    // trace-cmd report --ts-diff: (+12).
    if cursor.byte == UInt8(ascii: "("), cursor.byte(after: 1) == UInt8(ascii: "+") {
      cursor.skipWord()
      cursor.skipSpaces()
    }
    // perf script -F +period: a number of events.
    if TextCursor.isDigit(cursor.byte) {
      cursor.skipWord()
      cursor.skipSpaces()
    }
    return cursor
  }

  /// What the last of so many digits behind the point of a second stands for, in nanoseconds.
  @inline(__always)
  static func weight(of digits: Int) -> UInt64 {
    switch digits {
    case 6: 1000
    case 9: 1
    case 1: 100_000_000
    case 2: 10_000_000
    case 3: 1_000_000
    case 4: 100_000
    case 5: 10_000
    case 7: 100
    case 8: 10
    default: 1_000_000_000
    }
  }
}
