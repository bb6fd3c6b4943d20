/// The events that a synthetic trace consists of, with what it takes to write one quickly.
enum SyntheticEvent: Int, CaseIterable {
  case entry, exit, guestFault, accessFault, mmio, userspaceExit, unmapHVARange, ageHVA, testAgeHVA
  case contentionBegin, contentionEnd, slotCommit

  var format: EventFormat {
    switch self {
    case .entry: KVMEventFormats.entry
    case .exit: KVMEventFormats.exit
    case .guestFault: KVMEventFormats.guestFault
    case .accessFault: KVMEventFormats.accessFault
    case .mmio: KVMEventFormats.mmio
    case .userspaceExit: KVMEventFormats.userspaceExit
    case .unmapHVARange: KVMEventFormats.unmapHVARange
    case .ageHVA: KVMEventFormats.ageHVA
    case .testAgeHVA: KVMEventFormats.testAgeHVA
    case .contentionBegin: KVMEventFormats.contentionBegin
    case .contentionEnd: KVMEventFormats.contentionEnd
    case .slotCommit: KVMEventFormats.slotCommit
    }
  }

  /// The most fields of one event.
  static let mostFields = 10
}

/// Where the fields of an event lie in its record.
struct EventLayout {
  let id: UInt64
  let bytes: Int
  let count: Int
  let offsets: InlineArray<10, UInt8>
  let sizes: InlineArray<10, UInt8>

  init(_ format: EventFormat, kernelLongBytes: Int) {
    let layout = format.layout(kernelLongBytes: kernelLongBytes)
    precondition(layout.fields.count <= SyntheticEvent.mostFields, "\(format.name) has too many fields")
    var offsets = InlineArray<10, UInt8>(repeating: 0)
    var sizes = InlineArray<10, UInt8>(repeating: 0)
    for (index, field) in layout.fields.enumerated() {
      offsets[index] = UInt8(field.offset)
      sizes[index] = UInt8(field.size)
    }
    id = UInt64(format.id)
    bytes = layout.bytes
    count = layout.fields.count
    self.offsets = offsets
    self.sizes = sizes
  }
}

extension SubBufferPageBuilder {
  /// Appends an event straight from its field values; false when the page has no room.
  @inline(__always)
  mutating func append(
    _ layout: EventLayout, pid: Int32, at time: UInt64, _ values: InlineArray<10, UInt64>
  ) -> Bool {
    guard let start = appendEvent(bytes: layout.bytes, at: time) else { return false }
    store(layout.id, size: 2, at: start)
    store(0, size: 2, at: start + 2)
    store(UInt64(UInt32(bitPattern: pid)), size: 4, at: start + 4)
    for field in 0..<layout.count {
      store(values[field], size: Int(layout.sizes[field]), at: start + Int(layout.offsets[field]))
    }
    return true
  }
}
