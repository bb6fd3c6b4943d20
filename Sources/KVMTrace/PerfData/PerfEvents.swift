/// The events of a perf.data, and which of them a sample is of.
///
/// Each event has one instance for each CPU or thread, with a number of its own. Where all that have samples are tracepoints of one
/// layout, no sample need be asked for it.
///
/// Invariant: `slots` holds `slotCount` entries, a power of two of which half are free at least, until deinit.
final class PerfEvents {
  /// An instance and the position of its event; -1 for a free entry.
  private struct Slot {
    var id: UInt64 = 0
    var event = -1
  }

  /// The most events that are believed, and the most instances of all of them.
  static let eventsMax = 1 << 16
  static let instancesMax = 1 << 20
  /// So many entries are looked at for an instance: numbers that were chosen to collide cost no more.
  private static let probesMax = 128

  /// One of several attributes of the same tracepoint: each hit leaves a sample of each of them.
  struct Asking {
    let config: UInt64
    /// Which of them it is, and all of them; 0 where it is the only one, or one too many.
    var bit: UInt64 = 0
    var all: UInt64 = 0
  }

  let attributes: [PerfAttribute]
  /// Which asking each attribute is; none is where `mayRepeat` is false.
  let askings: [Asking]
  /// Whether `perf record` was asked more than once for a tracepoint, as by `-e 'kvm:*' -e kvm:kvm_exit`: it then records each event
  /// more than once.
  let mayRepeat: Bool
  /// The layout of every sample, nil where it depends on the event, or where that has to be known.
  let common: PerfSampleLayout?
  /// Where the number of the instance stands in every sample, 0 where it does not.
  private let idPlace: Int
  private let slots: UnsafeMutablePointer<Slot>
  private let slotCount: Int

  /// - Parameter instances: the number of each instance, with the position of its event.
  init(_ attributes: [PerfAttribute], instances: [(id: UInt64, event: Int)]) {
    self.attributes = attributes
    let sampled = attributes.filter(\.hasSamples)
    let layouts = Set(sampled.map(\.layout))
    let places = Set(attributes.map(\.layout.id))
    idPlace = places.count == 1 ? places.first! : 0
    let readable = attributes.filter(\.isReadable)
    mayRepeat = idPlace > 0 && Set(readable.map(\.config)).count < readable.count
    askings = mayRepeat ? Self.askings(attributes) : []
    let isCommon = layouts.count == 1 && readable.count == sampled.count && !mayRepeat
    common = isCommon ? layouts.first : nil
    var count = 4
    while count < 2 * instances.count { count *= 2 }
    slotCount = count
    slots = .allocate(capacity: count)
    slots.initialize(repeating: Slot(), count: count)
    for (id, event) in instances {
      var (place, probes) = (first(id), 1)
      while slots[place].event >= 0, slots[place].id != id, probes < Self.probesMax {
        (place, probes) = ((place + 1) & (count - 1), probes + 1)
      }
      if slots[place].event < 0 { slots[place] = Slot(id: id, event: event) }
    }
  }

  deinit { slots.deallocate() }

  private static func askings(_ attributes: [PerfAttribute]) -> [Asking] {
    var masks: [UInt64: UInt64] = [:]
    var askings = attributes.map { attribute in
      let before = masks[attribute.config, default: 0]
      // With the 65th the bits are used up: its samples stay.
      let bit = attribute.isReadable ? ~before & (before &+ 1) : 0
      masks[attribute.config] = before | bit
      return Asking(config: attribute.config, bit: bit)
    }
    for index in askings.indices {
      let all = masks[askings[index].config] ?? 0
      if all.nonzeroBitCount < 2 { askings[index].bit = 0 }
      askings[index].all = all
    }
    return askings
  }

  /// Numbers follow one another; a multiplication spreads those that do not.
  @inline(__always)
  private func first(_ id: UInt64) -> Int {
    Int(truncatingIfNeeded: (id &* 0x9e37_79b9_7f4a_7c15) >> 40) & (slotCount &- 1)
  }

  /// The position of the event with an instance of that number.
  @inline(__always)
  func event(id: UInt64) -> Int? {
    var place = first(id)
    for _ in 0..<Self.probesMax {
      if slots[place].event < 0 { return nil }
      if slots[place].id == id { return slots[place].event }
      place = (place &+ 1) & (slotCount &- 1)
    }
    return nil
  }

  /// Whether the newest sample of a ring comes first.
  var isBackward: Bool { attributes.contains { $0.isTracepoint && $0.isBackward } }

  /// The event of a sample; nil where it cannot be told.
  func event(of sample: PerfRecord) -> Int? {
    guard attributes.count > 1 else { return attributes.isEmpty ? nil : 0 }
    guard idPlace > 0, sample.size >= idPlace + 8 else { return nil }
    return event(id: sample.word64(idPlace))
  }

  /// The layout of a sample with raw data of the kernel's; nil for every other one.
  @inline(__always)
  func layout(of sample: PerfRecord) -> PerfSampleLayout? {
    if let common { return common }
    return ownLayout(of: sample)
  }

  @inline(never)
  private func ownLayout(of sample: PerfRecord) -> PerfSampleLayout? {
    guard let event = event(of: sample), attributes[event].isReadable else { return nil }
    return attributes[event].layout
  }

  /// What stands at the end of a record that is no sample, by the event that it names itself.
  func trailer(of record: PerfRecord) -> PerfSampleLayout.Trailer? {
    guard let first = attributes.first?.layout.trailer else { return nil }
    guard first.idFromEnd > 0, record.size >= PerfRecord.headerBytes + first.bytes,
      let event = event(id: record.word64(record.size - first.idFromEnd))
    else { return first.bytes > 0 && record.size >= PerfRecord.headerBytes + first.bytes ? first : nil }
    let own = attributes[event].layout.trailer
    return own.bytes > 0 && record.size >= PerfRecord.headerBytes + own.bytes ? own : nil
  }
}
