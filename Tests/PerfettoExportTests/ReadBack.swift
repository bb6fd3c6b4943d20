@testable import PerfettoExport

/// The fields of a message, read without the writer's help.
struct ReadMessage {
  enum Value: Equatable {
    case number(UInt64)
    case bytes([UInt8])
  }

  private(set) var fields: [(number: UInt32, value: Value)] = []

  init(_ bytes: [UInt8]) {
    var position = 0
    func varint() -> UInt64 {
      var (value, shift) = (UInt64(0), UInt64(0))
      while true {
        let byte = bytes[position]
        position += 1
        value |= UInt64(byte & 0x7f) << shift
        shift += 7
        if byte < 0x80 { return value }
      }
    }
    while position < bytes.count {
      let tag = varint()
      switch tag & 7 {
      case 0: fields.append((UInt32(tag >> 3), .number(varint())))
      case 1:
        let value = bytes[position..<position + 8].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        position += 8
        fields.append((UInt32(tag >> 3), .number(value)))
      default:
        let length = Int(varint())
        fields.append((UInt32(tag >> 3), .bytes(Array(bytes[position..<position + length]))))
        position += length
      }
    }
  }

  func numbers(_ field: UInt32) -> [UInt64] {
    fields.compactMap { if $0.number == field, case .number(let value) = $0.value { value } else { nil } }
  }

  func number(_ field: UInt32) -> UInt64? { numbers(field).first }

  func messages(_ field: UInt32) -> [ReadMessage] {
    fields.compactMap {
      if $0.number == field, case .bytes(let bytes) = $0.value { ReadMessage(bytes) } else { nil }
    }
  }

  func text(_ field: UInt32) -> String? {
    for entry in fields where entry.number == field {
      if case .bytes(let bytes) = entry.value { return String(decoding: bytes, as: UTF8.self) }
    }
    return nil
  }
}

/// A file of tracks, as the UI takes it: events by stamp, and of equal ones in the order of the file.
struct ReadTracks {
  struct Slice: Equatable {
    var track: UInt64
    var begin: UInt64
    var end: UInt64
    var name: UInt64
    var arguments: Set<UInt64>
    var flows: [UInt64]
  }

  struct Instant: Equatable {
    var track: UInt64
    var time: UInt64
    var name: UInt64
    var flows: [UInt64]
  }

  private(set) var slices: [Slice] = []
  private(set) var instants: [Instant] = []
  private(set) var counters: [UInt64: [(time: UInt64, value: UInt64)]] = [:]
  /// The names of tracks, processes and threads, by the track's number.
  private(set) var names: [UInt64: String] = [:]
  private(set) var categories: [UInt64: Int] = [:]
  /// What breaks the rules of the UI.
  private(set) var problems: [String] = []
  let packets: [ReadMessage]

  init(_ bytes: [UInt8]) {
    packets = ReadMessage(bytes).messages(TraceField.packet)
    var events: [(time: UInt64, event: ReadMessage)] = []
    for packet in packets {
      for track in packet.messages(PacketField.trackDescriptor) {
        names[track.number(TrackField.uuid)!] =
          track.text(TrackField.name) ?? track.messages(TrackField.process).first?.text(
            ProcessField.processName)
          ?? track.messages(TrackField.thread).first?.text(ThreadField.threadName)
      }
      guard let event = packet.messages(PacketField.trackEvent).first else { continue }
      if names[event.number(EventField.trackUUID)!] == nil { problems.append("an event before its track") }
      events.append((packet.number(PacketField.timestamp)!, event))
    }
    for entry in events.enumerated().sorted(by: { ($0.1.time, $0.0) < ($1.1.time, $1.0) }) {
      take(entry.element.event, at: entry.element.time)
    }
    if !open.isEmpty { problems.append("\(open.count) slices without an end") }
  }

  private var open: [UInt64: Slice] = [:]

  private mutating func take(_ event: ReadMessage, at time: UInt64) {
    let track = event.number(EventField.trackUUID)!
    let arguments = Set(
      event.messages(EventField.debugAnnotations).map { $0.number(AnnotationField.nameIID) ?? 0 })
    let flows = event.numbers(EventField.flowIDs)
    let name = event.number(EventField.nameIID) ?? 0
    if let category = event.number(EventField.categoryIIDs) { categories[category, default: 0] += 1 }
    switch EventType(rawValue: event.number(EventField.type)!)! {
    case .sliceBegin:
      if open[track] != nil { problems.append("a slice in another one at \(time)") }
      open[track] = Slice(
        track: track, begin: time, end: 0, name: name, arguments: arguments, flows: flows)
    case .sliceEnd:
      guard var slice = open.removeValue(forKey: track) else {
        problems.append("an end without a begin at \(time)")
        return
      }
      slice.end = time
      slice.arguments.formUnion(arguments)
      slices.append(slice)
    case .instant: instants.append(Instant(track: track, time: time, name: name, flows: flows))
    case .counter:
      let value = event.number(EventField.counterValue) ?? event.number(EventField.doubleCounterValue)!
      counters[track, default: []].append((time, value))
    }
  }
}
