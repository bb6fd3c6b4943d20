/// What stands before the name of an event: who, where and when.
///
/// Fields are in such an order, and so wide, that no bytes between them are unused. Those would be copied in pieces that overlap what was
/// stored just before, and a processor waits for that.
struct LineHead: BitwiseCopyable {
  /// The thread.
  var tid: Int32 = 0
  /// Its process, 0 where the line does not tell.
  var process: Int32 = 0
  var cpu: UInt16 = 0
  /// How the stamp is written; six digits behind a point in most texts.
  var form = StampForm.seconds(digits: 6)
  /// In which column the point stands, where it was not where it was expected; else 0.
  var pointColumn: UInt32 = 0
  /// In nanoseconds, or ticks of a clock that has no others.
  var stamp: UInt64 = 0
  /// The thread's command, with the spaces before it; empty where the line has none.
  var command: TextCursor
  /// What follows: the event's name and text.
  var event: TextCursor

  /// Whether there is more than spaces.
  var hasCommand: Bool {
    var command = command
    command.skipSpaces()
    return !command.isAtEnd
  }
}

/// How the lines of a text begin.
///
///     bracket   COMM-PID (TGID) [CPU] FLAGS TIME: NAME: TEXT      trace, trace_pipe, trace-cmd report
///     latency   COMM-PID CPU FLAGS TIME: NAME: TEXT               the same with latency-format, trace-cmd report -l
///     verbose   COMM PID CPU FLAGS COUNT INDEX [TIME] ...: NAME: TEXT    trace with latency-format and verbose
///     spaced    COMM PID/TID [CPU] TIME: SYSTEM:NAME: TEXT        perf script
///     cpuless   COMM PID/TID TIME: SYSTEM:NAME: TEXT              perf script without the field cpu
enum LineStyle: UInt8, CaseIterable {
  case bracket
  case latency
  case verbose
  case spaced
  case cpuless

  /// Whether perf script writes such lines.
  var isOfPerf: Bool { self == .spaced || self == .cpuless }

  /// The byte that a head is found by: the bracket of the CPU, or what stands before the first digit of the thread.
  @inline(__always) var mark: UInt8 {
    switch self {
    case .bracket, .spaced: UInt8(ascii: "[")
    case .latency: UInt8(ascii: "-")
    case .verbose, .cpuless: UInt8(ascii: " ")
    }
  }
}

/// Reads the heads of lines of one style.
///
/// Commands may hold anything, so that a head is found by what stands behind them: the first place counts from which all of it can be
/// read. Lines of one text have it in the same column nearly always; that one is tried first.
///
/// Invariant: all loads are inside a line, which `TextCursor` has the bounds of.
struct LineHeadParser {
  /// The highest CPU that is believed, plus one.
  static let cpuCountMax = HostLimits.cpusMax
  /// How far into a line its head is looked for, in bytes.
  private static let headBytesMax = 256
  /// How wide a command is printed: 15 characters at most, and one that is never there.
  private static let commandColumns = 16
  /// And where a line has the columns of latency-format: what is longer is cut. Before it may stand a buffer's name.
  private static let latencyCommandColumns = 8

  let style: LineStyle
  /// Where the mark of the last line stood, and the point of its time.
  private var column = 0
  private var pointColumn = 0
  private var recent = RecentThreads()

  init(_ style: LineStyle) { self.style = style }

  /// The head of a line; nil where the line has none.
  @inline(__always)
  mutating func head(of line: TextCursor) -> LineHead? {
    guard column < line.count, var head = head(of: line, at: column) else { return search(line) }
    if head.pointColumn > 0 { pointColumn = Int(head.pointColumn) }
    if style.isOfPerf { head.event.leaveOutSymbol() }
    return head
  }

  @inline(never)
  private mutating func search(_ line: TextCursor) -> LineHead? {
    // What lies between a mark and a point that is taken for known is not looked at.
    pointColumn = 0
    for candidate in 0..<min(line.count, Self.headBytesMax) {
      if var head = head(of: line, at: candidate) {
        column = candidate
        if head.pointColumn > 0 { pointColumn = Int(head.pointColumn) }
        if style.isOfPerf { head.event.leaveOutSymbol() }
        return head
      }
    }
    return nil
  }

  /// Whether a further event's line begins inside the text of the event with `outer`: the end of that one's line is lost.
  func isLine(inside text: TextCursor, of outer: LineHead) -> Bool {
    lines(inside: text, of: outer, max: 1) > 0
  }

  /// How many further events' lines begin inside the text of the event with `outer`, so many at most. They are not older, as lines are
  /// that somebody quotes from a trace.
  ///
  /// A text may have a mark in each of its bytes, so that only so much is looked at around one as a head is long.
  @inline(never)
  func lines(inside text: TextCursor, of outer: LineHead, max: Int = .max) -> Int {
    var count = 0
    // One of its own: this one's column and threads are those of whole lines.
    var parser = LineHeadParser(style)
    var rest = text
    while count < max, rest.skip(behind: style.mark) {
      let mark = rest.place - 1
      let around = TextCursor(
        place: mark - min(mark - text.place, Self.headBytesMax),
        end: mark + min(text.end - mark, Self.headBytesMax))
      if let head = parser.head(of: around, at: mark - around.place), head.hasCommand,
        head.stamp >= outer.stamp, TextLine(head) != nil
      {
        count += 1
      }
    }
    return count
  }

  /// The head whose mark is at `column`.
  @inline(__always)
  private mutating func head(of line: TextCursor, at column: Int) -> LineHead? {
    let mark = line.place + column
    guard mark.pointee == style.mark else { return nil }
    switch style {
    case .bracket: return bracketed(line, mark, separator: UInt8(ascii: "-"))
    case .spaced: return bracketed(line, mark, separator: UInt8(ascii: " "))
    case .latency: return Self.latency(line, mark)
    case .verbose: return Self.verbose(line, mark)
    case .cpuless: return Self.cpuless(line, mark)
    }
  }
}

extension LineHeadParser {
  /// A head with its CPU in brackets, `[` at `mark`.
  @inline(__always)
  private mutating func bracketed(
    _ line: TextCursor, _ mark: UnsafePointer<UInt8>, separator: UInt8
  ) -> LineHead? {
    var behind = TextCursor(place: mark + 1, end: line.end)
    guard let cpu = behind.decimal(), cpu < UInt64(Self.cpuCountMax), behind.take(UInt8(ascii: "]")) else {
      return nil
    }
    var head = LineHead(command: TextCursor(place: line.place, end: line.place), event: behind)
    head.cpu = UInt16(truncatingIfNeeded: cpu)
    guard takeThread(&head, line.place, before: mark, separator: separator) else { return nil }
    behind.skipSpaces()
    // Kernels from 4.13 to 5.9 print the process here.
    if behind.byte == UInt8(ascii: "("), let process = Self.process(&behind) {
      head.process = process
      behind.skipSpaces()
    }
    if let time = Self.time(line, from: behind.place, pointColumn) {
      (head.stamp, head.event) = time
      return head
    }
    return Self.takeTime(&head, behind, of: line) ? head : nil
  }

  /// Takes the command and the thread that stand before `mark`, from behind.
  @inline(__always)
  private mutating func takeThread(
    _ head: inout LineHead, _ begin: UnsafePointer<UInt8>, before mark: UnsafePointer<UInt8>, separator: UInt8
  ) -> Bool {
    let isPadded = separator == UInt8(ascii: "-")
    let canRecall = mark - begin >= RecentThreads.bytes
    if canRecall, let thread = recent.find(before: mark) {
      (head.tid, head.process) = (thread.tid, thread.process)
      head.command = Self.command(begin, upTo: mark - thread.distance, isPadded: isPadded)
      return true
    }
    var place = mark
    Self.skipSpaces(&place, downTo: begin)
    if place > begin, place[-1] == UInt8(ascii: ")") {
      guard let process = Self.process(before: &place, downTo: begin) else { return false }
      head.process = process
      Self.skipSpaces(&place, downTo: begin)
    }
    guard let tid = Self.thread(&place, downTo: begin), place > begin else { return false }
    head.tid = tid
    if place[-1] == UInt8(ascii: "/"), separator == UInt8(ascii: " ") {
      place -= 1
      guard let process = Self.thread(&place, downTo: begin), place > begin else { return false }
      head.process = process
    }
    guard place[-1] == separator else { return false }
    if canRecall { recent.note(head, distance: mark - (place - 1), before: mark) }
    head.command = Self.command(begin, upTo: place - 1, isPadded: isPadded)
    return true
  }

  /// A head that begins with `COMM-PID`, `-` at `mark`, and has the CPU and flags behind that.
  private static func latency(_ line: TextCursor, _ mark: UnsafePointer<UInt8>) -> LineHead? {
    var behind = TextCursor(place: mark + 1, end: line.end)
    guard let tid = behind.decimal(), tid <= Int32.max else { return nil }
    behind.skipSpaces()
    guard let cpu = behind.decimal(), cpu < UInt64(Self.cpuCountMax), behind.byte != UInt8(ascii: " "),
      behind.byte != UInt8(ascii: ":")
    else { return nil }
    behind.skipWord()
    behind.skipSpaces()
    var head = LineHead(
      command: Self.command(max(line.place, mark - latencyCommandColumns), upTo: mark, isPadded: false),
      event: behind)
    head.tid = Int32(truncatingIfNeeded: tid)
    head.cpu = UInt16(truncatingIfNeeded: cpu)
    return Self.takeTime(&head, behind, of: line) ? head : nil
  }

  /// A head `COMM PID/TID TIME`, the space before the first digit at `mark`.
  private static func cpuless(_ line: TextCursor, _ mark: UnsafePointer<UInt8>) -> LineHead? {
    var behind = TextCursor(place: mark + 1, end: line.end)
    guard let first = behind.decimal(), first <= Int32.max else { return nil }
    var head = LineHead(
      command: Self.command(line.place, upTo: mark, isPadded: false), event: behind)
    head.tid = Int32(truncatingIfNeeded: first)
    if behind.take(UInt8(ascii: "/")) {
      guard let tid = behind.decimal(), tid <= Int32.max else { return nil }
      (head.process, head.tid) = (head.tid, Int32(truncatingIfNeeded: tid))
    }
    guard head.hasCommand, behind.byte == UInt8(ascii: " ") else { return nil }
    behind.skipSpaces()
    return Self.takeTime(&head, behind, of: line) ? head : nil
  }

  /// A head in which everything is a number, the space before the thread at `mark`.
  private static func verbose(_ line: TextCursor, _ mark: UnsafePointer<UInt8>) -> LineHead? {
    var behind = TextCursor(place: mark, end: line.end)
    behind.skipSpaces()
    guard let tid = behind.decimal(), tid <= Int32.max, behind.byte == UInt8(ascii: " ") else { return nil }
    behind.skipSpaces()
    guard let cpu = behind.decimal(), cpu < UInt64(cpuCountMax) else { return nil }
    for _ in 0..<3 {
      guard behind.take(UInt8(ascii: " ")), behind.hexadecimal() != nil else { return nil }
    }
    guard behind.take(" ["), let time = behind.hexadecimal(), behind.take("] ") else { return nil }
    var head = LineHead(command: command(line.place, upTo: mark, isPadded: true), event: behind)
    head.tid = Int32(truncatingIfNeeded: tid)
    head.cpu = UInt16(truncatingIfNeeded: cpu)
    return takeVerboseTime(&head, time, behind) ? head : nil
  }

  /// The command that ends before `end`: what stands in its columns. Of a line whose beginning is cut off it is empty.
  @inline(__always)
  private static func command(
    _ begin: UnsafePointer<UInt8>, upTo end: UnsafePointer<UInt8>, isPadded: Bool
  ) -> TextCursor {
    if end - begin < commandColumns, isPadded { return TextCursor(place: end, end: end) }
    var end = end
    skipSpaces(&end, downTo: begin)
    return TextCursor(place: max(begin, end - commandColumns), end: end)
  }

  /// Takes `(TGID)`, 0 where the kernel did not know it; nil where something else stands there.
  private static func process(_ cursor: inout TextCursor) -> Int32? {
    var group = cursor
    guard group.take(UInt8(ascii: "(")) else { return nil }
    group.skipSpaces()
    var process: Int32 = 0
    if group.byte == UInt8(ascii: "-") {
      while group.take(UInt8(ascii: "-")) {}
    } else {
      guard let number = group.decimal(), number <= Int32.max else { return nil }
      process = Int32(truncatingIfNeeded: number)
    }
    guard group.take(UInt8(ascii: ")")) else { return nil }
    cursor = group
    return process
  }

  /// The process in the brackets that end before `place`, which moves before them; 0 where the kernel did not know it.
  @inline(__always)
  private static func process(
    before place: inout UnsafePointer<UInt8>, downTo begin: UnsafePointer<UInt8>
  ) -> Int32? {
    var start = place - 1
    var process: Int32? = 0
    if start > begin, start[-1] == UInt8(ascii: "-") {
      while start > begin, start[-1] == UInt8(ascii: "-") { start -= 1 }
    } else {
      process = thread(&start, downTo: begin)
      skipSpaces(&start, downTo: begin)
    }
    guard start > begin, start[-1] == UInt8(ascii: "(") else { return nil }
    place = start - 1
    return process
  }

  @inline(__always)
  private static func skipSpaces(_ place: inout UnsafePointer<UInt8>, downTo begin: UnsafePointer<UInt8>) {
    while place > begin, place[-1] == UInt8(ascii: " ") { place -= 1 }
  }

  /// The number that ends before `place`, which moves to its first digit.
  @inline(__always)
  private static func thread(
    _ place: inout UnsafePointer<UInt8>, downTo begin: UnsafePointer<UInt8>
  ) -> Int32? {
    var (number, weight) = (UInt64(0), UInt64(1))
    let end = place
    while place > begin, TextCursor.isDigit(place[-1]), end - place < 10 {
      place -= 1
      number &+= UInt64(place.pointee &- UInt8(ascii: "0")) &* weight
      weight &*= 10
    }
    guard place < end, number <= Int32.max else { return nil }
    return Int32(truncatingIfNeeded: number)
  }
}
