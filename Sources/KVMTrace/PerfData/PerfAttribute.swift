/// What one event of a perf.data is: its `perf_event_attr`, as far as that means something here.
struct PerfAttribute {
  /// PERF_TYPE_TRACEPOINT.
  private static let tracepointType: UInt32 = 2
  /// The first form that perf wrote, PERF_ATTR_SIZE_VER0; later ones are longer.
  static let bytesMin = 64
  /// No attribute is so long that a page does not hold it.
  static let bytesMax = 4096

  /// The names of clocks (`clockid_t`), as the kernel's trace clocks are called.
  private static let clockNames: [Int32: String] = [
    0: "realtime", 1: "mono", 4: "mono_raw", 7: "boot", 11: "tai",
  ]

  let isTracepoint: Bool
  /// Of a tracepoint its number.
  let config: UInt64
  /// Whether it can have samples at all: the one that perf opens to be told of processes (PERF_COUNT_SW_DUMMY) has none.
  let hasSamples: Bool
  let layout: PerfSampleLayout
  /// The name of the clock, nil for perf's own.
  let clock: String?
  /// Whether the ring was written from its end to its beginning: the newest sample comes first.
  let isBackward: Bool

  /// Whether its samples hold the kernel's own record, and when it was written.
  var isReadable: Bool { isTracepoint && layout.hasRaw && layout.time > 0 }

  /// Reads the attribute at which `reader` stands, and skips it whole.
  ///
  /// - Parameter bytes: how long it is, nil where only it says so itself.
  init(_ reader: inout ByteReader, bytes: Int?) throws(ByteReader.Overrun) {
    let begin = reader.offset
    let type = try reader.u32()
    let ownBytes = Int(try reader.u32())
    let config = try reader.u64()
    try reader.skip(8)
    let sampleType = try reader.u64()
    let readFormat = try reader.u64()
    let flags = try reader.u64()
    // The bits of a bit field begin at the other end where bytes do.
    let bigEndian = reader.bigEndian
    func flag(_ bit: UInt64) -> Bool { flags >> (bigEndian ? 63 - bit : bit) & 1 != 0 }
    let length = bytes ?? (ownBytes == 0 ? Self.bytesMin : ownBytes)
    guard length >= Self.bytesMin, length <= Self.bytesMax else {
      throw ByteReader.Overrun(offset: begin + 4)
    }
    var clockID: Int32?
    if flag(25), length >= 96 {
      try reader.seek(to: UInt64(begin + 92))
      clockID = Int32(bitPattern: try reader.u32())
    }
    clock = clockID.map { Self.clockNames[$0] ?? "clock \($0)" }
    isTracepoint = type == Self.tracepointType
    self.config = config
    hasSamples = !(type == 1 && config == 9)
    isBackward = flag(27)
    layout = PerfSampleLayout(sampleType: sampleType, readFormat: readFormat, hasTrailer: flag(18))
    try reader.seek(to: UInt64(begin))
    try reader.skip(UInt64(length))
  }
}
