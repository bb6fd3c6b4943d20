@testable import TraceSynth

/// Writes perf.data files of every shape, as perf does: to a file, or to a pipe.
struct PerfDataBuilder {
  /// The bits of `sample_type`.
  enum SampleType {
    static let ip: UInt64 = 1 << 0
    static let tid: UInt64 = 1 << 1
    static let time: UInt64 = 1 << 2
    static let address: UInt64 = 1 << 3
    static let read: UInt64 = 1 << 4
    static let callchain: UInt64 = 1 << 5
    static let id: UInt64 = 1 << 6
    static let cpu: UInt64 = 1 << 7
    static let period: UInt64 = 1 << 8
    static let streamID: UInt64 = 1 << 9
    static let raw: UInt64 = 1 << 10
    static let identifier: UInt64 = 1 << 16
    /// What `perf record -e TRACEPOINT -a` asks for.
    static let tracepoint = identifier | ip | tid | time | cpu | period | raw
  }

  /// An event: its attribute, and the numbers of its instances.
  struct Event {
    var type: UInt32 = 2
    var config: UInt64
    var name = "kvm:kvm_entry"
    var sampleType = SampleType.tracepoint
    var readFormat: UInt64 = 0
    /// `sample_id_all`.
    var flags: UInt64 = 1 << 18
    var clockID: Int32 = 0
    var ids: [UInt64]
  }

  /// The values of a sample that are not raw data.
  struct Place {
    var time: UInt64
    var cpu: UInt32 = 0
    var tid: UInt32 = 7
    var callers: [UInt64] = []
    var counters: [UInt64] = []
  }

  var byteOrder = TraceFlavour.ByteOrder.little
  /// How long an attribute is: 64 in the first form, 144 in that of a 7.3 kernel.
  var attributeBytes = 136
  var events: [Event] = [Event(config: UInt64(KVMEventFormats.entry.id), ids: [11, 12])]
  var formats: [EventFormat] = [KVMEventFormats.entry, KVMEventFormats.exit, KVMEventFormats.guestFault]
  /// The texts of features, by their bits.
  var texts: [Int: String] = [3: "host", 4: "7.3.4", 6: "aarch64"]
  var commandLines = ""
  private(set) var records: [UInt8] = []

  private var flavour: TraceFlavour { TraceFlavour(byteOrder: byteOrder) }

  /// Appends a record.
  mutating func append(_ type: UInt32, misc: UInt16 = 0, _ body: (inout TraceBytes) -> Void) {
    records += record(type, misc: misc, body)
  }

  mutating func append(raw bytes: [UInt8]) { records += bytes }

  func record(_ type: UInt32, misc: UInt16 = 0, _ body: (inout TraceBytes) -> Void) -> [UInt8] {
    var content = TraceBytes(byteOrder)
    body(&content)
    var bytes = TraceBytes(byteOrder)
    bytes.u32(type)
    bytes.u16(misc)
    bytes.u16(UInt16(8 + content.count))
    bytes.raw(content.bytes)
    return bytes.bytes
  }

  /// A sample of `event` with the kernel's record `payload`.
  func sample(
    _ place: Place, _ payload: [UInt8], event: Int = 0, id: UInt64? = nil, misc: UInt16 = 1
  ) -> [UInt8] {
    let attribute = events[event]
    let type = attribute.sampleType
    let number = id ?? attribute.ids.first ?? 0
    func has(_ bit: UInt64) -> Bool { type & bit != 0 }
    return record(9, misc: misc) { out in
      if has(SampleType.identifier) { out.u64(number) }
      if has(SampleType.ip) { out.u64(0xffff_8000_0000_1000) }
      if has(SampleType.tid) {
        out.u32(place.tid)
        out.u32(place.tid)
      }
      if has(SampleType.time) { out.u64(place.time) }
      if has(SampleType.address) { out.u64(0) }
      if has(SampleType.id) { out.u64(number) }
      if has(SampleType.streamID) { out.u64(number) }
      if has(SampleType.cpu) {
        out.u32(place.cpu)
        out.u32(0)
      }
      if has(SampleType.period) { out.u64(1) }
      if has(SampleType.read) { for counter in place.counters { out.u64(counter) } }
      if has(SampleType.callchain) {
        out.u64(UInt64(place.callers.count))
        for caller in place.callers { out.u64(caller) }
      }
      if has(SampleType.raw) {
        // The kernel fills raw data up, so that it ends on eight bytes with its length.
        let padded = (payload.count + 4 + 7) / 8 * 8 - 4
        out.u32(UInt32(padded))
        out.raw(payload + [UInt8](repeating: 0, count: padded - payload.count))
      }
    }
  }

  /// Appends a `kvm_entry`.
  mutating func entry(_ place: Place, pc: UInt64 = 0, event: Int = 0, misc: UInt16 = 1) {
    records += sample(place, entryPayload(pc: pc, tid: place.tid), event: event, misc: misc)
  }

  func entryPayload(pc: UInt64, tid: UInt32 = 7) -> [UInt8] {
    KVMEventFormats.entry.payload([pc], pid: Int32(tid), flavour: flavour)
  }

  /// What ends a record that is no sample: thread, time, number, stream, CPU, identifier.
  func trailer(_ place: Place, event: Int = 0, id: UInt64? = nil) -> (inout TraceBytes) -> Void {
    let attribute = events[event]
    let number = id ?? attribute.ids.first ?? 0
    func has(_ bit: UInt64) -> Bool { attribute.sampleType & bit != 0 }
    return { out in
      guard attribute.flags >> 18 & 1 != 0 else { return }
      if has(SampleType.tid) { out.u64(0) }
      if has(SampleType.time) { out.u64(place.time) }
      if has(SampleType.id) { out.u64(number) }
      if has(SampleType.streamID) { out.u64(number) }
      if has(SampleType.cpu) {
        out.u32(place.cpu)
        out.u32(0)
      }
      if has(SampleType.identifier) { out.u64(number) }
    }
  }

  mutating func lost(_ count: UInt64, _ place: Place, id: UInt64? = nil) {
    let trailer = trailer(place, id: id)
    append(2) { out in
      out.u64(id ?? 0)
      out.u64(count)
      trailer(&out)
    }
  }

  mutating func lostSamples(_ count: UInt64, id: UInt64, misc: UInt16 = 0) {
    let trailer = trailer(Place(time: 0), id: id)
    append(13, misc: misc) { out in
      out.u64(count)
      trailer(&out)
    }
  }

  mutating func idIndex(_ cpus: [(id: UInt64, cpu: UInt64)]) {
    append(69) { out in
      out.u64(UInt64(cpus.count))
      for (id, cpu) in cpus { for word in [id, 0, cpu, UInt64.max] { out.u64(word) } }
    }
  }

  mutating func command(_ text: String, tid: UInt32) {
    let trailer = trailer(Place(time: 0), id: 0)
    append(3) { out in
      out.u32(tid)
      out.u32(tid)
      out.cString(text)
      out.pad(to: 8)
      trailer(&out)
    }
  }

  mutating func fork(_ tid: UInt32, of parent: UInt32) {
    let trailer = trailer(Place(time: 0), id: 0)
    append(7) { out in
      for word in [tid, parent, tid, parent] { out.u32(word) }
      out.u64(0)
      trailer(&out)
    }
  }

  mutating func finishedRound() { append(68) { _ in } }

  /// Appends `plain` as one zstd stream, cut into records of `partBytes`; of the newer kind if that says so.
  mutating func compress(_ plain: [UInt8], partBytes: Int, isPadded: Bool) {
    compress(frame: Compressor(.zstd).compress(plain), partBytes: partBytes, isPadded: isPadded)
  }

  /// Appends a zstd stream, cut into records of `partBytes`; of the newer kind if that says so.
  mutating func compress(frame stream: [UInt8], partBytes: Int, isPadded: Bool) {
    for begin in stride(from: 0, to: stream.count, by: partBytes) {
      let part = stream[begin..<min(begin + partBytes, stream.count)]
      append(isPadded ? 83 : 81) { out in
        if isPadded { out.u64(UInt64(part.count)) }
        out.raw(part)
        if isPadded { out.pad(to: 8) }
      }
    }
  }

  /// `tracing_data`.
  var tracingData: [UInt8] {
    var out = TraceBytes(byteOrder)
    out.raw([0x17, 0x08, 0x44])
    out.text("tracing")
    out.cString("0.6")
    out.u8(byteOrder.rawValue)
    out.u8(8)
    out.u32(4096)
    let description = TraceDescription(flavour, formats: formats, cpus: 1)
    description.headers(&out)
    description.ftraceEvents(&out)
    description.eventFormats(&out)
    out.u32(0)
    out.u32(0)
    out.sized64(commandLines)
    return out.bytes
  }

  func attribute(_ event: Event) -> [UInt8] {
    var out = TraceBytes(byteOrder)
    out.u32(event.type)
    out.u32(UInt32(attributeBytes))
    out.u64(event.config)
    out.u64(1)
    out.u64(event.sampleType)
    out.u64(event.readFormat)
    // The bits of a bit field begin at the other end where bytes do.
    let flags = event.flags | (event.clockID != 0 ? 1 << 25 : 0)
    out.u64(byteOrder == .little ? flags : (0..<64).reduce(0) { $0 << 1 | flags >> UInt64($1) & 1 })
    while out.count < min(attributeBytes, 92) { out.u32(0) }
    if attributeBytes >= 96 { out.u32(UInt32(bitPattern: event.clockID)) }
    while out.count < attributeBytes { out.u32(0) }
    return out.bytes
  }

  private func text(_ text: String) -> [UInt8] {
    var out = TraceBytes(byteOrder)
    out.u32(64)
    out.text(text)
    out.raw([UInt8](repeating: 0, count: 64 - text.utf8.count))
    return out.bytes
  }

  private var eventDescriptions: [UInt8] {
    var out = TraceBytes(byteOrder)
    out.u32(UInt32(events.count))
    out.u32(UInt32(attributeBytes))
    for event in events {
      out.raw(attribute(event))
      out.u32(UInt32(event.ids.count))
      out.raw(text(event.name))
      for id in event.ids { out.u64(id) }
    }
    return out.bytes
  }

  /// The features, by their bits.
  private var features: [(bit: Int, bytes: [UInt8])] {
    var features = texts.map { (bit: $0.key, bytes: text($0.value)) }
    if !formats.isEmpty { features.append((1, tracingData)) }
    features.append((12, eventDescriptions))
    var cpus = TraceBytes(byteOrder)
    cpus.u32(4)
    cpus.u32(4)
    features.append((7, cpus.bytes))
    return features.sorted { $0.bit < $1.bit }
  }

  /// A file.
  func file() -> [UInt8] {
    var head = TraceBytes(byteOrder)
    head.raw(byteOrder == .little ? Array("PERFILE2".utf8) : Array("2ELIFREP".utf8))
    head.u64(104)
    head.u64(UInt64(attributeBytes + 16))
    let idCount = events.reduce(0) { $0 + $1.ids.count }
    let table = 104 + 8 * idCount
    let data = table + events.count * (attributeBytes + 16)
    for word in [table, data - table, data, records.count, 0, 0] { head.u64(UInt64(word)) }
    let features = features
    for word in 0..<4 {
      head.u64(features.reduce(0) { $1.bit / 64 == word ? $0 | 1 << UInt64($1.bit % 64) : $0 })
    }
    for event in events { for id in event.ids { head.u64(id) } }
    var place = 104
    for event in events {
      head.raw(attribute(event))
      head.u64(UInt64(place))
      head.u64(UInt64(8 * event.ids.count))
      place += 8 * event.ids.count
    }
    head.raw(records)
    place = head.count + 16 * features.count
    for feature in features {
      head.u64(UInt64(place))
      head.u64(UInt64(feature.bytes.count))
      place += feature.bytes.count
    }
    for feature in features { head.raw(feature.bytes) }
    return head.bytes
  }

  /// What `perf record -o -` writes.
  func pipe() -> [UInt8] {
    var head = TraceBytes(byteOrder)
    head.raw(byteOrder == .little ? Array("PERFILE2".utf8) : Array("2ELIFREP".utf8))
    head.u64(16)
    for event in events {
      head.raw(
        record(64) { out in
          out.raw(attribute(event))
          for id in event.ids { out.u64(id) }
        })
    }
    for feature in features where feature.bit != 1 {
      head.raw(
        record(80) { out in
          out.u64(UInt64(feature.bit))
          out.raw(feature.bytes)
          out.pad(to: 8)
        })
    }
    if !formats.isEmpty {
      var data = TraceBytes(byteOrder)
      data.raw(tracingData)
      data.pad(to: 8)
      head.raw(record(66) { $0.u32(UInt32(data.count)) })
      head.raw(data.bytes)
    }
    head.raw(records)
    return head.bytes
  }
}
