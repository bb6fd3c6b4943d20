internal import KVMTypes

/// What the passes over a text share: how its lines are read.
struct TextContents {
  /// nil where no line is an event.
  let style: LineStyle?
  /// How the stamps of nearly all lines are written.
  let form: StampForm
  let events: TextEvents
  let firstCPU: UInt16
  /// How many events of every CPU are missing before its first one, 0 for an unknown number; nil for none.
  let lostBefore: UInt64?
  /// Whether the lines are those of perf script.
  let isOfPerf: Bool
  /// How many lines say what the one before them says, and are of the same event.
  let repetitions: Int
}

/// The records of a text's lines, in the order of the lines.
struct TextRecords: ~Copyable {
  /// Lines that are inside another one, whose end is lost.
  struct LinesInside {
    /// Where that one begins, in bytes.
    var offset: Int
    /// How many there are.
    var count: Int
  }

  /// Of so many lines it is kept how many others are inside them.
  private static let linesInsideMax = 1 << 12

  private var lines: LineReader
  private var heads: LineHeadParser
  private let events: TextEvents
  private let recent = RecentNames()
  private let form: StampForm
  let stamps: LastStamps
  private var repeated: RepeatedLines?
  private var losses: TextLosses
  /// Whether an event may be missing before the next line.
  private var isBehindGap = false
  private var hasEvent = false
  /// The lines that are left out because others are inside them.
  private(set) var linesInside: [LinesInside] = []

  init(_ file: FileBytes, _ contents: TextContents) {
    lines = LineReader(file)
    heads = LineHeadParser(contents.style ?? .bracket)
    events = contents.events
    form = contents.form
    stamps = LastStamps(contents.form)
    repeated = contents.repetitions > 0 ? RepeatedLines() : nil
    losses = TextLosses(before: contents.lostBefore)
  }

  /// Fills `window`; false where the text ends.
  mutating func fill(_ window: inout ReorderWindow, _ damage: inout DamageLog) -> Bool {
    while !window.isFull {
      guard let line = lines.next() else {
        losses.report(to: &damage)
        if isBehindGap { damage.missEnd() }
        return false
      }
      guard !line.isCut, let head = heads.head(of: line.text) else {
        note(line, &damage)
        continue
      }
      guard head.form == form else {
        isBehindGap = true
        damage.reportGap(
          at: line.offset, "the stamp of a line is not written as nearly all are; the line is left out")
        continue
      }
      if repeated != nil, repeated!.takes(line.text, head) { continue }
      if let found = recent.find(head.event) {
        take(head, found.position, found.text, at: line.offset, &window, &damage)
      } else if let event = TextLine(head) {
        take(event, at: line.offset, &window, &damage)
      } else {
        note(line, &damage)
      }
    }
    return true
  }

  /// Takes in an event whose name no line had lately.
  private mutating func take(
    _ line: TextLine, at offset: Int, _ window: inout ReorderWindow, _ damage: inout DamageLog
  ) {
    hasEvent = true
    guard let entry = events.entry(of: line.name) else {
      reportUnreadable(line.head, at: offset, &damage)
      return
    }
    recent.note(line.head.event, entry)
    take(line.head, entry.position, line.text, at: offset, &window, &damage)
  }

  /// Takes in the event at `position` of `events`.
  @inline(__always)
  private mutating func take(
    _ head: LineHead, _ position: Int, _ text: TextCursor, at offset: Int, _ window: inout ReorderWindow,
    _ damage: inout DamageLog
  ) {
    hasEvent = true
    var slot = RecordSlot(base: window.room)
    guard events[position].pointee.read(text, tid: head.tid, into: &slot),
      !events[position].pointee.isOpen || !heads.isLine(inside: text, of: head)
    else {
      reportUnreadable(head, at: offset, &damage)
      return
    }
    if slot.isCut { reportLong(head, at: offset, &damage) }
    // What the window does not put in order, the stream of its pages tells.
    if let before = stamps.note(head.stamp, of: head.cpu),
      head.stamp.addingSaturated(stamps.jitter) >= window.lastTaken
    {
      damage.reportStepBack(
        of: head.cpu, at: offset, from: Nanoseconds(before), to: Nanoseconds(head.stamp),
        isOfTicks: form == .ticks)
    }
    window.append(
      ReorderWindow.Entry(
        stamp: head.stamp, line: offset, begin: 0, count: UInt32(truncatingIfNeeded: slot.count),
        cpu: head.cpu, isBehindGap: isBehindGap, lost: losses.take(head.cpu)))
    isBehindGap = false
  }

  private mutating func reportUnreadable(_ head: LineHead, at offset: Int, _ damage: inout DamageLog) {
    isBehindGap = true
    noteLines(inside: head, at: offset)
    let name = TextLine(head)?.name.text ?? ""
    damage.reportGap(at: offset, "the text of an event \(name) cannot be read; it is left out")
  }

  /// Takes in a damaged line of which there may be more than one.
  private mutating func noteLines(inside head: LineHead, at offset: Int) {
    let count = heads.lines(inside: head.event, of: head)
    if count > 0, linesInside.count < Self.linesInsideMax {
      linesInside.append(LinesInside(offset: offset, count: count))
    }
  }

  @inline(never)
  private func reportLong(_ head: LineHead, at offset: Int, _ damage: inout DamageLog) {
    let name = TextLine(head)?.name.text ?? ""
    damage.reportOmission(
      at: offset,
      "a text of an event \(name) is longer than \(RecordSlot.textBytesMax) bytes; the rest is left out")
  }

  /// Takes in a line that is no event.
  private mutating func note(_ line: LineReader.Line, _ damage: inout DamageLog) {
    if line.isCut {
      if !line.text.isAtEnd || line.isTooLong {
        isBehindGap = true
        damage.reportGap(at: line.offset, "the last line is cut; it is left out")
      }
      return
    }
    if line.isTooLong {
      isBehindGap = true
      damage.reportGap(
        at: line.offset, "a line is longer than \(LineReader.lineBytesMax) bytes; it is left out")
      return
    }
    switch TextNote(line.text) {
    case .silent: break
    case .lost(let cpu, let count): losses.note(cpu, count, at: line.offset)
    case .begins(let cpu): losses.note(beginOf: cpu, at: line.offset)
    case .overwritten: if hasEvent { losses.note(overwrittenAt: line.offset) }
    case .unknown: noteForeign(line, &damage)
    }
  }

  /// Takes in a line that is neither an event nor a remark.
  private mutating func noteForeign(_ line: LineReader.Line, _ damage: inout DamageLog) {
    let head = heads.head(of: line.text)
    if let head, TextLine.isPerfRecord(head.event) {
      if let count = TextLine.lost(head.event) { losses.note(head.cpu, count, at: line.offset) }
      return
    }
    if !hasEvent {
      var facts = TextFacts()
      if facts.note(line.text) { return }
      if line.offset == lines.firstOffset {
        // That something is missing before the first event says no more than that the text begins there.
        damage.reportGap(
          at: line.offset, "the first line is no event, or its beginning is cut off; it is left out")
        return
      }
    }
    isBehindGap = true
    if let head { noteLines(inside: head, at: line.offset) }
    let what = head == nil ? "thread, CPU, stamp and event" : "name of an event"
    damage.reportGap(at: line.offset, "a line has no \(what); it is left out")
  }
}
