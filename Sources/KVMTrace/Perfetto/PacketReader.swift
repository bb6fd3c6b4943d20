internal import Glibc

/// The packets of a file, one after another: a trace is a row of `Trace.packet` fields, each a tag, a length and a message.
///
/// A packet whose fields do not fill it is damaged. Reading goes on behind it if a packet begins there; else its length is damaged,
/// and the next place is looked for at which two packets follow one another.
struct PacketReader: ~Copyable {
  struct Packet {
    /// Where its message begins in the file.
    let offset: Int
    /// Its message, valid until the next call, with `WireCursor.slackBytes` behind it.
    let bytes: UnsafeRawBufferPointer
    /// Whether its last field may run past its end: the file ends inside it, or it is damaged.
    let isCut: Bool
    /// Whether its fields do not fill it.
    var isDamaged = false
  }

  /// The longest packet that is believed, in bytes. Perfetto's hold about a hundred kilobytes.
  static let packetBytesMax = 64 << 20
  /// How much is read at once.
  private static let pieceBytes = 1 << 20
  /// So many damaged places are kept.
  private static let problemsMax = 256
  /// The tag of `Trace.packet`.
  static let tag: UInt8 = 1 << 3 | UInt8(WireType.bytes)
  /// A tag and a length are no longer.
  private static let headBytesMax = 11

  private let file: FileBytes
  private var window: PaddedWindow
  private var probe: PacketProbe
  private var position = 0
  /// Damaged places that were not asked for.
  private var problems: [Damage] = []

  init(_ file: FileBytes) {
    self.file = file
    window = PaddedWindow(file, pieceBytes: Self.pieceBytes)
    probe = PacketProbe(file)
  }

  /// The damaged places since the last call.
  mutating func takeProblems() -> [Damage] {
    defer { problems = [] }
    return problems
  }

  /// The next packet, nil at the end.
  mutating func next() -> Packet? {
    while position < file.count {
      let start = position
      guard let head = head(at: start), head.isPlain || isPacket(behind: head, at: start) else {
        position = findPacket(from: start + 1) ?? file.count
        report(at: start, "no packet begins here; \(position - start) bytes are left out")
        continue
      }
      let begin = start + head.headBytes
      let isBelievable = head.count <= UInt64(min(file.count - begin, Self.packetBytesMax))
      var end = begin + (isBelievable ? Int(head.count) : 0)
      if isBelievable {
        // The file tells why it cannot be read.
        guard let bytes = window.bytes(at: begin, atLeast: end - begin) else { return nil }
        let message = UnsafeRawBufferPointer(rebasing: bytes[..<(end - begin)])
        if PacketProbe.isWhole(message) {
          if !head.isPlain { report(at: start, "the tag of a packet is damaged; the packet is read") }
          position = end
          return Packet(offset: begin, bytes: message, isCut: false)
        }
      }
      var isLast = false
      if !isBelievable || end == file.count || !probe.beginsPacket(at: end) {
        // The length is damaged if other packets follow elsewhere.
        let found = findPacket(from: start + 1)
        isLast = found == nil && head.count > UInt64(file.count - begin)
        end = found ?? file.count
      }
      position = end
      if let packet = damagedPacket(from: start, begin..<max(begin, end), isLast: isLast) { return packet }
    }
    return nil
  }

  /// A packet of which the file has not all, or whose fields do not fill it; nil where nothing can be read of it.
  private mutating func damagedPacket(from start: Int, _ place: Range<Int>, isLast: Bool) -> Packet? {
    report(
      at: start,
      isLast ? "the file ends inside a packet" : "a packet is damaged; of what it holds only events are used")
    guard place.count <= Self.packetBytesMax,
      let bytes = window.bytes(at: place.lowerBound, atLeast: place.count)
    else { return nil }
    return Packet(
      offset: place.lowerBound, bytes: UnsafeRawBufferPointer(rebasing: bytes[..<place.count]), isCut: true,
      isDamaged: !isLast)
  }

  /// What stands before a packet's message.
  private struct Head {
    /// How long it is.
    let headBytes: Int
    /// How long the message is.
    let count: UInt64
    /// Whether the tag is a packet's; else one bit of it is another.
    let isPlain: Bool
  }

  /// A tag and a length at `offset`; nil where there is no such thing.
  private mutating func head(at offset: Int) -> Head? {
    let wanted = min(Self.headBytesMax, file.count - offset)
    guard let bytes = window.bytes(at: offset, atLeast: wanted) else { return nil }
    let wrong = bytes[0] ^ Self.tag
    guard wrong & (wrong &- 1) == 0 else { return nil }
    var cursor = WireCursor(UnsafeRawBufferPointer(rebasing: bytes[1...]))
    guard let count = cursor.varint() else {
      // The file may end inside the length.
      return wanted < Self.headBytesMax ? Head(headBytes: wanted, count: 1, isPlain: wrong == 0) : nil
    }
    return Head(headBytes: cursor.position - bytes.baseAddress!, count: count, isPlain: wrong == 0)
  }

  /// Whether a packet's message follows `head`, and another packet or the file's end that.
  private mutating func isPacket(behind head: Head, at offset: Int) -> Bool {
    let begin = offset + head.headBytes
    guard head.count > 0, head.count <= UInt64(min(file.count - begin, Self.packetBytesMax)),
      let bytes = window.bytes(at: begin, atLeast: Int(head.count))
    else { return false }
    let end = begin + Int(head.count)
    return PacketProbe.isWhole(UnsafeRawBufferPointer(rebasing: bytes[..<Int(head.count)]))
      && (end == file.count || probe.beginsPacket(at: end))
  }

  private mutating func report(at offset: Int, _ what: String) {
    // Else the file tells why it ends here.
    guard file.isWhole else { return }
    if problems.count < Self.problemsMax { problems.append(Damage(offset: offset, what: what)) }
  }

  /// The next place where packets begin; nil where there is none.
  private mutating func findPacket(from offset: Int) -> Int? {
    var start = offset
    while start < file.count, let bytes = window.bytes(at: start, atLeast: 1) {
      var place = 0
      while place < bytes.count,
        let found = memchr(bytes.baseAddress! + place, Int32(Self.tag), bytes.count - place)
      {
        place = UnsafeRawPointer(found) - bytes.baseAddress!
        if probe.beginsPackets(at: start + place) { return start + place }
        guard !probe.isExhausted else { return nil }
        place += 1
      }
      start += bytes.count
    }
    return nil
  }
}
