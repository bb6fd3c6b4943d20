import Glibc

/// The lines of a report of trace-cmd, one after another, taken apart in place.
///
///     demand_paging_t-131   [000]    12.191869920: kvm_guest_fault:       vcpu_pc=0x407ebc hsr=0x93d88047
///
/// Works on pointers with C's string functions: half a million lines are read in a debug build.
///
/// Invariant: the report's bytes outlive this.
struct ReportLines {
  /// A piece of the report.
  struct Text {
    var start: UnsafePointer<UInt8>
    var end: UnsafePointer<UInt8>

    var count: Int { end - start }
    var string: String { String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self) }

    func equals(_ bytes: [UInt8]) -> Bool { count == bytes.count && memcmp(start, bytes, count) == 0 }

    /// Where `bytes` stands first, nil where it does not.
    func find(_ bytes: [UInt8]) -> UnsafePointer<UInt8>? {
      var from = start
      while end - from >= bytes.count, let found = memchr(from, Int32(bytes[0]), end - from - bytes.count + 1)
      {
        if memcmp(found, bytes, bytes.count) == 0 {
          return UnsafePointer(found.assumingMemoryBound(to: UInt8.self))
        }
        from = UnsafePointer(found.assumingMemoryBound(to: UInt8.self)) + 1
      }
      return nil
    }

    /// Behind `bytes`, up to the next blank or the end.
    func word(behind bytes: [UInt8]) -> Text? {
      guard let found = find(bytes) else { return nil }
      let begin = found + bytes.count
      let blank = memchr(begin, 0x20, end - begin)
      return Text(
        start: begin, end: blank.map { UnsafePointer($0.assumingMemoryBound(to: UInt8.self)) } ?? end)
    }
  }

  /// A line about an event.
  struct Event {
    var tid: Int32
    var cpu: UInt16
    var nanoseconds: UInt64
    var name: Text
    var fields: Text
  }

  enum Line {
    case event(Event)
    /// A line about lost events: the CPU, and how many, where it says so.
    case lost(cpu: UInt16, count: UInt64?)
  }

  private var position: UnsafePointer<UInt8>
  private let end: UnsafePointer<UInt8>

  init(_ report: UnsafeRawBufferPointer) {
    position = report.baseAddress!.assumingMemoryBound(to: UInt8.self)
    end = position + report.count
  }

  /// The next line about an event or a loss; any other line is left out.
  mutating func next() -> Line? {
    while position < end {
      let newline = memchr(position, 0x0a, end - position)
      let stop = newline.map { UnsafePointer($0.assumingMemoryBound(to: UInt8.self)) } ?? end
      let line = Text(start: position, end: stop)
      position = newline == nil ? end : stop + 1
      if let event = Self.event(line) { return .event(event) }
      if let loss = Self.loss(line) { return loss }
    }
    return nil
  }

  private static func event(_ line: Text) -> Event? {
    // A command may contain brackets itself: the right one is that which a CPU's digits follow.
    var from = line.start
    while from < line.end, let found = memchr(from, 0x5b, line.end - from) {
      let open = UnsafePointer(found.assumingMemoryBound(to: UInt8.self))
      from = open + 1
      var at = open + 1
      guard let cpu = number(&at, line.end), at < line.end, at.pointee == 0x5d else { continue }
      at += 1
      while at < line.end, at.pointee == 0x20 { at += 1 }
      guard let nanoseconds = stamp(&at, line.end), let tid = threadID(before: open, from: line.start)
      else { continue }
      while at < line.end, at.pointee == 0x20 { at += 1 }
      guard let colon = memchr(at, 0x3a, line.end - at) else { continue }
      let name = Text(start: at, end: UnsafePointer(colon.assumingMemoryBound(to: UInt8.self)))
      // The blank before the first field stays, so that every field has one.
      return Event(
        tid: tid, cpu: UInt16(cpu), nanoseconds: nanoseconds, name: name,
        fields: Text(start: name.end + 1, end: line.end))
    }
    return nil
  }

  /// `12.191869920:`, or `12191869920:` where trace-cmd does not take the clock for one that counts nanoseconds.
  ///
  /// It may also fail to where the file gives the clock's name a length of 0: trace-cmd 3.1 then reads what lies behind
  /// its own buffer of no bytes, and once in some hundred runs finds something there that looks like a name.
  private static func stamp(_ at: inout UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>) -> UInt64? {
    guard var nanoseconds = number(&at, end), at < end else { return nil }
    if at.pointee == 0x2e {
      at += 1
      let fraction = at
      guard let rest = number(&at, end), at - fraction == 9, at < end else { return nil }
      nanoseconds = nanoseconds * 1_000_000_000 + rest
    }
    guard at.pointee == 0x3a else { return nil }
    at += 1
    return nanoseconds
  }

  /// `CPU:1 [12 EVENTS DROPPED]`, or without a number.
  private static func loss(_ line: Text) -> Line? {
    guard line.find(Array("EVENTS DROPPED".utf8)) != nil, let cpuText = line.word(behind: Array("CPU:".utf8)),
      let cpu = UInt16(cpuText.string)
    else { return nil }
    return .lost(cpu: cpu, count: line.word(behind: Array("[".utf8)).flatMap { UInt64($0.string) })
  }

  private static func number(_ at: inout UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>) -> UInt64? {
    let begin = at
    var value: UInt64 = 0
    while at < end, at.pointee &- 0x30 < 10 {
      value = value &* 10 &+ UInt64(at.pointee &- 0x30)
      at += 1
    }
    return at == begin ? nil : value
  }

  /// The number behind the dash that ends a command's name: `NAME-TID  [`.
  private static func threadID(
    before bracket: UnsafePointer<UInt8>, from start: UnsafePointer<UInt8>
  ) -> Int32? {
    var at = bracket - 1
    while at > start, at.pointee == 0x20 { at -= 1 }
    var value: Int32 = 0
    var scale: Int32 = 1
    while at > start, at.pointee &- 0x30 < 10 {
      value &+= scale &* Int32(at.pointee &- 0x30)
      scale = scale &* 10
      at -= 1
    }
    return at.pointee == 0x2d ? value : nil
  }
}
