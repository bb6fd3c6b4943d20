import FoundationEssentials

/// A recording that is long enough to measure: a short one of perf or Perfetto, many times over, each time later than before.
///
/// Of the repetitions only the events are kept. It knows as much of the two formats as recordings of this package have: samples of one
/// kind in a perf.data, plain packets in a Perfetto trace.
struct LongerRecording {
  private let bytes: [UInt8]
  private let times: UInt64
  private var result: [UInt8] = []

  /// Repeats the recording at `path`, which must be of one of the two formats.
  static func make(_ times: UInt64, of path: String, at target: String) throws {
    var recording = LongerRecording(
      bytes: Array(try Data(contentsOf: URL(fileURLWithPath: path))), times: times)
    if recording.bytes.starts(with: Array("PERFILE2".utf8)) {
      recording.repeatPerfData()
    } else {
      recording.repeatPerfetto()
    }
    try Data(recording.result).write(to: URL(fileURLWithPath: target))
  }

  private init(bytes: [UInt8], times: UInt64) { (self.bytes, self.times) = (bytes, times) }

  private func word(_ offset: Int, _ count: Int = 8) -> UInt64 {
    (0..<count).reduce(0) { $0 | UInt64(bytes[offset + $1]) << UInt64(8 * $1) }
  }

  // MARK: perf.data

  /// The header has the place and length of the attributes at 24 and 32, of the records at 40 and 48. Behind the attributes and the
  /// records lies what else is there; it moves.
  private mutating func repeatPerfData() {
    let (begin, end) = (Int(word(40)), Int(word(40) + word(48)))
    let samples = records(in: begin..<end).filter { word($0.lowerBound, 4) == 9 }
    let place = timePlace(sampleType: word(Int(word(24)) + 24))
    let stamps = samples.map { word($0.lowerBound + place) }
    let span = stamps.max()! - stamps.min()! + 1
    result = Array(bytes[..<end])
    result.reserveCapacity(bytes.count * Int(times))
    shortenAttributes()
    for round in 1..<times {
      for sample in samples {
        let start = result.count
        result += bytes[sample]
        store(word(sample.lowerBound + place) + round * span, at: start + place)
      }
    }
    let moved = UInt64(result.count - end)
    store(word(48) + moved, at: 48)
    // The table of the header's features stands behind the records: for each a place and a length.
    let features = result.count
    result += bytes[end...]
    let count = (72..<104).reduce(0) { $0 + bytes[$1].nonzeroBitCount }
    for feature in 0..<count {
      store(word(end + 16 * feature) + moved, at: features + 16 * feature)
    }
  }

  /// Older perfs refuse attributes that are longer than theirs, even where what is longer is not used. Each is followed by the place and
  /// length of its numbers.
  private mutating func shortenAttributes() {
    let (attributeBytes, placeBytes) = (128, 16)
    let entryBytes = Int(word(16))
    guard entryBytes > attributeBytes + placeBytes else { return }
    let (begin, count) = (Int(word(24)), Int(word(32)) / entryBytes)
    var shorter: [UInt8] = []
    for entry in (0..<count).map({ begin + $0 * entryBytes }) {
      shorter += bytes[entry..<(entry + 4)] + [UInt8(attributeBytes), 0, 0, 0]
      shorter += bytes[(entry + 8)..<(entry + attributeBytes)]
      shorter += bytes[(entry + entryBytes - placeBytes)..<(entry + entryBytes)]
    }
    result.replaceSubrange(begin..<(begin + shorter.count), with: shorter)
    store(UInt64(attributeBytes + placeBytes), at: 16)
    store(UInt64(shorter.count), at: 32)
  }

  private func records(in section: Range<Int>) -> [Range<Int>] {
    var result: [Range<Int>] = []
    var place = section.lowerBound
    while place < section.upperBound {
      let size = Int(word(place + 6, 2))
      result.append(place..<(place + size))
      place += size
    }
    return result
  }

  /// Where the time stands in a sample: behind its head and those of identifier, ip and thread that it has.
  private func timePlace(sampleType: UInt64) -> Int {
    8 + 8 * [1 << 16, 1, 2].count { sampleType & $0 != 0 }
  }

  private mutating func store(_ value: UInt64, at offset: Int) {
    for byte in 0..<8 { result[offset + byte] = UInt8(truncatingIfNeeded: value >> UInt64(8 * byte)) }
  }

  // MARK: Perfetto

  private typealias Field = (tag: UInt64, whole: Range<Int>, content: Range<Int>, value: UInt64)

  /// Packets are fields 1 of the trace, bundles fields 1 of a packet, events fields 2 of a bundle, stamps fields 1 of an event.
  private mutating func repeatPerfetto() {
    let packets = fields(in: 0..<bytes.count)
    let bundles = packets.filter { packet in fields(in: packet.content).contains { $0.tag == 0x0a } }
    let stamps = bundles.flatMap { events(ofPacket: $0) }.map(\.value)
    let span = stamps.max()! - stamps.min()! + 1
    result = bytes
    result.reserveCapacity(bytes.count * Int(times))
    for round in 1..<times {
      for bundle in bundles { result += packet(bundle, later: round * span) }
    }
  }

  private func events(ofPacket packet: Field) -> [Field] {
    fields(in: packet.content).filter { $0.tag == 0x0a }.flatMap { fields(in: $0.content) }
      .filter { $0.tag == 0x12 }
      .flatMap { fields(in: $0.content).filter { $0.tag == 0x08 } }
  }

  private func packet(_ field: Field, later shift: UInt64) -> [UInt8] {
    rewritten(field) { inPacket in
      guard inPacket.tag == 0x0a else { return Array(bytes[inPacket.whole]) }
      return rewritten(inPacket) { inBundle in
        guard inBundle.tag == 0x12 else { return Array(bytes[inBundle.whole]) }
        return rewritten(inBundle) { inEvent in
          inEvent.tag == 0x08
            ? [0x08] + Self.varint(inEvent.value + shift) : Array(bytes[inEvent.whole])
        }
      }
    }
  }

  /// A field of bytes with its own fields made anew.
  private func rewritten(_ field: Field, _ make: (Field) -> [UInt8]) -> [UInt8] {
    let content = fields(in: field.content).flatMap(make)
    return Self.varint(field.tag) + Self.varint(UInt64(content.count)) + content
  }

  private func fields(in range: Range<Int>) -> [Field] {
    var result: [Field] = []
    var place = range.lowerBound
    while place < range.upperBound {
      let begin = place
      let tag = varint(&place)
      var (content, value) = (place..<place, UInt64(0))
      switch tag & 7 {
      case 0: value = varint(&place)
      case 1: place += 8
      case 5: place += 4
      default:
        let count = Int(varint(&place))
        content = place..<(place + count)
        place += count
      }
      result.append((tag, begin..<place, content, value))
    }
    return result
  }

  private func varint(_ place: inout Int) -> UInt64 {
    var (value, shift) = (UInt64(0), UInt64(0))
    repeat {
      value |= UInt64(bytes[place] & 0x7f) << shift
      (place, shift) = (place + 1, shift + 7)
    } while bytes[place - 1] & 0x80 != 0
    return value
  }

  private static func varint(_ value: UInt64) -> [UInt8] {
    var (rest, result) = (value, [UInt8]())
    while rest > 0x7f {
      result.append(UInt8(rest & 0x7f) | 0x80)
      rest >>= 7
    }
    return result + [UInt8(rest)]
  }
}
