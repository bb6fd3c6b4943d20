public import KVMTypes

/// The records of one CPU in one buffer: a page of them decoded at a time.
///
/// Invariant: once a page was read, `records` has room for every record that one page can hold, and `count` of them
/// are initialised; `page` is valid until the next `refill`.
struct CPUStream: ~Copyable {
  let bufferIndex: Int
  let cpu: UInt16
  private let decoder: PageDecoder
  private var source: PageSource
  private let capacity: Int
  private var storage: UnsafeMutablePointer<TraceRecord>?
  private(set) var count = 0
  var position = 0
  private(set) var page = UnsafeRawBufferPointer(start: nil, count: 0)
  private(set) var first: Nanoseconds?
  private(set) var last: Nanoseconds?
  /// The first losses, `lossesMax` at most; `lossCount` counts them all.
  private(set) var losses: [Loss] = []
  private(set) var lossCount = 0
  private(set) var lostEvents: UInt64 = 0
  private static let lossesMax = 1024

  init(
    file: FileBytes, contents: borrowing TraceDatContents, compression: Compression, bufferIndex: Int,
    area: TraceDatContents.CPUArea
  ) {
    let buffer = contents.buffers[bufferIndex]
    self.bufferIndex = bufferIndex
    cpu = area.cpu
    decoder = PageDecoder(
      bigEndian: contents.bigEndian, headerBytes: 8 + contents.kernelLongSize, time: contents.time,
      cpu: CPUIndex(area.cpu))
    source = PageSource(
      file: file, area: area, buffer: buffer, compression: compression, bigEndian: contents.bigEndian)
    capacity = PageDecoder.recordsMax(pageBytes: buffer.pageBytes)
  }

  deinit { storage?.deallocate() }

  /// The records of the page; there are some only while `hasRecord`.
  var records: UnsafeMutablePointer<TraceRecord> { storage! }

  var damage: [Damage] { source.damage }
  var hasRecord: Bool { position < count }

  /// Decodes pages until one yields a record; false at the end of the stream.
  mutating func refill(plan: borrowing DecodePlan, counts: UnsafeMutablePointer<UInt64>) -> Bool {
    count = 0
    position = 0
    while let next = source.next() {
      // Not before: a damaged table can name thousands of areas that hold no page.
      let records = storage ?? .allocate(capacity: capacity)
      storage = records
      let outcome = decoder.decode(next, plan: plan, into: records, counts: counts)
      if let damage = outcome.damage { source.report(at: source.pageOffset + damage.offset, damage.what) }
      if first == nil { first = outcome.first }
      if let last = outcome.last { self.last = last }
      if let lost = outcome.lost {
        note(Loss(cpu: cpu, before: outcome.first ?? last ?? Nanoseconds(0), count: lost == 0 ? nil : lost))
      }
      if outcome.recordCount > 0 {
        page = next
        count = outcome.recordCount
        return true
      }
    }
    return false
  }
}

extension CPUStream {
  private mutating func note(_ loss: Loss) {
    lossCount += 1
    lostEvents &+= loss.count ?? 0
    if losses.count < Self.lossesMax { losses.append(loss) }
  }
}

/// A place where the kernel lost events because its buffer was full.
public struct Loss: Hashable, Sendable {
  /// The processor whose buffer overflowed.
  public var cpu: UInt16
  /// The stamp of the first event after the gap.
  public var before: Nanoseconds
  /// How many events are missing, nil where the kernel did not say.
  public var count: UInt64?
}
