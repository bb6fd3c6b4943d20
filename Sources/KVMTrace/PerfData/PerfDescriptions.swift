/// The events that a perf.data describes: in a file at its beginning, in what a pipe delivered in records, mostly before the first sample.
struct PerfDescriptions {
  /// So many events may be described behind samples.
  private static let lateMax = 64

  private(set) var attributes: [PerfAttribute]
  /// The number of each instance, with the position of its event.
  private(set) var instances: [(id: UInt64, event: Int)]
  /// How many events are described behind samples.
  private(set) var lateCount = 0
  /// Whether all records have been read once: none describes an event that is not known.
  private var isComplete = false

  init(_ header: PerfHeader) { (attributes, instances) = (header.attributes, header.instances) }

  /// The same, for another pass over the records.
  var completed: PerfDescriptions {
    var result = self
    (result.lateCount, result.isComplete) = (0, true)
    return result
  }

  /// PERF_RECORD_HEADER_ATTR: an attribute, as long as it says, then the numbers of the instances. False where that is damaged.
  mutating func take(_ record: PerfRecord, _ file: FileBytes, isLate: Bool) -> Bool {
    let begin = record.offset + PerfRecord.headerBytes
    var reader = ByteReader(file, bigEndian: record.bigEndian, at: begin, end: record.offset + record.size)
    guard lateCount < Self.lateMax, isComplete || attributes.count < PerfEvents.eventsMax,
      let attribute = try? PerfAttribute(&reader, bytes: nil)
    else { return false }
    if isLate { lateCount += 1 }
    guard !isComplete else { return true }
    attributes.append(attribute)
    while instances.count < PerfEvents.instancesMax, let id = try? reader.u64() {
      instances.append((id, attributes.count - 1))
    }
    return true
  }
}
