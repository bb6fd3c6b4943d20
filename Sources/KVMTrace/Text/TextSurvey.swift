/// The first pass over a text: how its lines begin, which kinds of event, threads and CPUs it has.
///
/// Texts have no list of these, and formats have to be known before the first event is decoded, so that all lines are looked at.
struct TextSurvey: ~Copyable {
  /// How many lines that are no events a text may begin with, remarks apart.
  private static let foreignLinesMax = 1000
  /// Within how many bytes the first event must come.
  private static let foreignBytesMax = 16 << 20

  let events = TextEvents()
  private(set) var facts = TextFacts()
  private(set) var threads = ThreadTable()
  /// nil where no line is an event.
  private(set) var style: LineStyle?
  /// The highest CPU, plus one.
  private(set) var cpuCount = 0
  private(set) var firstCPU: UInt16 = 0
  /// Whether all events are of one CPU.
  private var isOfOneCPU = true
  private var eventCount: UInt64 = 0
  private(set) var entries = TextEntries()
  private(set) var stamps = StampSurvey()
  private var suspicion = TextSuspicion()
  private var repeated = RepeatedLines()

  /// Looks at all lines of `file`.
  init(_ file: FileBytes) throws(IngestError) {
    var lines = LineReader(file)
    lines.limit = Self.foreignBytesMax
    guard let first = findStyle(&lines) else {
      let isTrace = facts.writer != .unknown
      if !isTrace || suspicion.hasLines { throw suspicion.refusal(of: file, isTrace: isTrace) }
      entries.finish()
      return
    }
    lines.limit = .max
    var heads = first.heads
    style = heads.style
    firstCPU = first.line.head.cpu
    let storage = UnsafeMutableRawPointer.allocate(byteCount: RecordSlot.bytesMax, alignment: 8)
    defer { storage.deallocate() }
    var slot = RecordSlot(base: storage)
    let recent = RecentNames()
    let mayRepeat = isOfPerf
    if mayRepeat { _ = repeated.takes(first.text, first.line.head) }
    entries.note(first.line.head)
    note(first.line, heads, recent, &slot)
    while let line = lines.next() {
      guard !line.isCut, let head = heads.head(of: line.text) else {
        entries.note(line)
        continue
      }
      entries.note(head)
      if mayRepeat { _ = repeated.takes(line.text, head) }
      if let found = recent.find(head.event) {
        note(head)
        if events.isOpen(found.position), heads.isLine(inside: found.text, of: head) { continue }
        events.survey(found.position, found.text, &slot)
      } else if let event = TextLine(head) {
        note(event, heads, recent, &slot)
      }
    }
    entries.finish()
    events.settle()
  }

  /// How many events of every CPU are missing before its first one, because others were written over them; 0 for an unknown number,
  /// nil for none.
  var lostBefore: UInt64? {
    if facts.overwritten == 0 { return nil }
    // The numbers are those of all CPUs, also in the file of one: only where no other has events are they its own.
    return isOfOneCPU && eventCount == facts.held ? facts.overwritten : 0
  }

  /// How many lines say what the one before them says, and are of the same event: none where two events may have one stamp.
  var repetitions: Int {
    stamps.form == .nanoseconds && !repeated.isCoarse ? repeated.repetitions : 0
  }

  /// How many events are missing before the first one, of CPUs that nobody tells.
  var lostSomewhere: UInt64 {
    // Of the file of one CPU among several the number says nothing.
    lostBefore == 0 && (!isOfOneCPU || facts.cpuCount == 1) ? facts.overwritten : 0
  }

  /// Whether perf script wrote the text, as the lines above the events say, or their heads.
  var isOfPerf: Bool { facts.writer == .perf || style?.isOfPerf == true }

  private mutating func note(
    _ line: TextLine, _ heads: LineHeadParser, _ recent: borrowing RecentNames, _ slot: inout RecordSlot
  ) {
    note(line.head)
    // The fields of a line that is inside another one are not those of the event before.
    if heads.isLine(inside: line.text, of: line.head) { return }
    guard events.survey(line.name, line.text, &slot), let entry = events.entry(of: line.name) else { return }
    recent.note(line.head.event, entry)
  }

  @inline(__always)
  private mutating func note(_ head: LineHead) {
    eventCount += 1
    threads.note(head)
    if Int(head.cpu) >= cpuCount { cpuCount = Int(head.cpu) + 1 }
    if head.cpu != firstCPU { isOfOneCPU = false }
    stamps.note(head)
  }

  /// The first line that is an event, what read its head, and all of it; nil where there is none among so many as one may look at.
  private mutating func findStyle(
    _ lines: inout LineReader
  ) -> (heads: LineHeadParser, line: TextLine, text: TextCursor)? {
    var foreign = 0
    while foreign < Self.foreignLinesMax, let line = lines.next() {
      if !line.isCut, !facts.note(line.text), !line.text.isAtEnd {
        if let found = Self.findStyle(of: line.text) { return (found.heads, found.line, line.text) }
        suspicion.note(line.text)
        foreign += 1
      }
      entries.note(line)
    }
    return nil
  }

  /// What reads the head of a line, and the event that the line is; nil where it is none in any style.
  static func findStyle(of line: TextCursor) -> (heads: LineHeadParser, line: TextLine)? {
    for style in LineStyle.allCases {
      var heads = LineHeadParser(style)
      if let head = heads.head(of: line), let event = TextLine(head), fits(event, style) {
        return (heads, event)
      }
    }
    return nil
  }

  /// Whether a line is not taken for one of perf by chance: perf names the system of an event.
  private static func fits(_ event: TextLine, _ style: LineStyle) -> Bool {
    guard style.isOfPerf else { return true }
    var name = event.name
    return name.skip(behind: UInt8(ascii: ":")) && TextCursor.isWord(name.byte) && event.head.hasCommand
  }
}
