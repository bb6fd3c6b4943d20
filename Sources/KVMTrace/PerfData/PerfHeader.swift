/// The beginning of a perf.data: where its parts lie, and the events of a file. In what a pipe delivered, all else is in records.
///
///     u64 magic "PERFILE2", in the byte order of the host
///     u64 size of this header: 16 for a pipe, behind which the records begin
///     u64 size of an entry for an event: its perf_event_attr, and the section of its numbers
///     sections (u64 offset, u64 size) of the events, of the records, and of event types, which nobody writes any more
///     256 bits that say which features the file has; a section for each stands behind the records
struct PerfHeader {
  static let magic: [UInt8] = Array("PERFILE2".utf8)
  private static let pipeBytes: UInt64 = 16
  /// Up to the bits of the features, and with them.
  private static let bytesMin: UInt64 = 72
  private static let bytes: UInt64 = 104
  private static let sectionBytes = 16

  let bigEndian: Bool
  /// Where the records lie.
  private(set) var records: Range<Int>
  private(set) var attributes: [PerfAttribute] = []
  private(set) var instances: [(id: UInt64, event: Int)] = []
  /// The features, by their bits, and where they lie.
  private(set) var features: [(feature: Int, bytes: Range<Int>)] = []
  /// Why what must stand behind the records is missing, nil where it is not.
  private(set) var incompleteness: IngestError?
  private(set) var damage: [Damage] = []
  /// Whether pieces of the records are missing, or are too many, nobody knows where.
  private(set) var isDisplaced = false

  /// Whether a file that begins with `bytes` is a perf.data.
  static func isPerfData(_ bytes: UnsafeRawBufferPointer) -> Bool {
    bytes.count >= 8
      && (bytes.prefix(8).elementsEqual(magic) || bytes.prefix(8).elementsEqual(magic.reversed()))
  }

  init(_ file: FileBytes) throws(IngestError) {
    let begin = file.bytes(at: 0, size: min(8, file.count)).map {
      UnsafeRawBufferPointer(start: $0, count: min(8, file.count))
    }
    if let failure = file.failure { throw failure }
    if let begin, begin.elementsEqual("PERFFILE".utf8) || begin.elementsEqual("ELIFFREP".utf8) {
      throw IngestError(
        .notATrace, path: file.path,
        what: "is a perf.data of the first version, as perf wrote it before Linux 3.5",
        advice: "perf record -e 'kvm:*' -a of any later version makes one that can be read")
    }
    guard let begin, Self.isPerfData(begin) else {
      throw IngestError(.notATrace, path: file.path, what: "is no perf.data")
    }
    bigEndian = begin[0] != UInt8(ascii: "P")
    var reader = ByteReader(file, bigEndian: bigEndian, at: 8)
    do {
      let size = try reader.u64()
      records = Int(Self.pipeBytes)..<max(file.count, Int(Self.pipeBytes))
      if size != Self.pipeBytes { try readSections(&reader, file, headerBytes: size) }
    } catch let error as IngestError {
      throw error
    } catch {
      throw IngestError(
        .notATrace, path: file.path, offset: reader.offset, what: "ends inside the header of a perf.data")
    }
  }

  private mutating func readSections(
    _ reader: inout ByteReader, _ file: FileBytes, headerBytes: UInt64
  ) throws {
    let entryBytes = try reader.u64()
    let events = (offset: try reader.u64(), size: try reader.u64())
    let data = (offset: try reader.u64(), size: try reader.u64())
    try reader.skip(16)
    guard headerBytes >= Self.bytesMin, data.offset >= headerBytes, data.offset <= UInt64(file.count) else {
      throw IngestError(
        .notATrace, path: file.path, offset: 8,
        what: "is a perf.data whose header says that it has no records")
    }
    let (end, isOver) = data.offset.addingReportingOverflow(data.size)
    let isWhole = !isOver && end <= UInt64(file.count)
    records = Int(data.offset)..<(isWhole ? Int(end) : file.count)
    let bits = headerBytes >= Self.bytes ? try (0..<4).map { _ in try reader.u64() } : []
    readEvents(file, events, entryBytes: entryBytes)
    if let place = Int(exactly: end), !isOver, data.size > 0 {
      let table = PerfFeatureTable(file, bigEndian: bigEndian, bits: bits, place: place)
      if let displaced = table.displaced(behind: records.lowerBound) { return readDisplaced(displaced) }
    }
    if isWhole {
      read(PerfFeatureTable(file, bigEndian: bigEndian, bits: bits, place: records.upperBound))
      let end = features.reduce(records.upperBound) { max($0, $1.bytes.upperBound) }
      if let another = RecordingSignature.another(in: file, at: end) { damage.append(another) }
    }
    if !isWhole {
      incompleteness = IngestError(
        .notATrace, path: file.path, offset: file.count,
        what: "is a perf.data that is cut: the formats of its events stood at its end",
        advice: "copy it whole; what perf record -o - writes has them first")
    } else if data.size == 0, !features.contains(where: { $0.feature == PerfMetadata.Feature.tracingData }) {
      // What stands there is no table of features: they were never written.
      records = records.lowerBound..<file.count
      (features, damage) = ([], [])
      incompleteness = IngestError(
        .notATrace, path: file.path, offset: 48,
        what: "is a perf.data that was not finished: perf writes the formats of its events when it ends",
        advice: "end perf record with SIGINT; what perf record -o - writes has them first")
    }
  }

  /// The table of events, and the numbers of their instances.
  private mutating func readEvents(
    _ file: FileBytes, _ section: (offset: UInt64, size: UInt64), entryBytes: UInt64
  ) {
    let attributeBytes = Int(clamping: entryBytes) - Self.sectionBytes
    guard attributeBytes >= PerfAttribute.bytesMin, attributeBytes <= PerfAttribute.bytesMax else {
      damage.append(Damage(offset: 16, what: "an event of \(entryBytes) bytes is none; no event is known"))
      return
    }
    var reader = ByteReader(file, bigEndian: bigEndian)
    do {
      try reader.seek(to: section.offset)
      for event in 0..<Int(clamping: section.size / entryBytes) {
        guard event < PerfEvents.eventsMax else { throw ByteReader.Overrun(offset: reader.offset) }
        attributes.append(try PerfAttribute(&reader, bytes: attributeBytes))
        var numbers = reader
        try reader.skip(UInt64(Self.sectionBytes))
        let (offset, size) = (try numbers.u64(), try numbers.u64())
        try numbers.seek(to: offset)
        try readInstances(&numbers, count: size / 8, of: event)
      }
    } catch {
      damage.append(
        Damage(
          offset: reader.offset,
          what: "the table of events ends, or is damaged; \(attributes.count) are known"))
    }
  }

  private mutating func readInstances(_ reader: inout ByteReader, count: UInt64, of event: Int) throws {
    guard count <= UInt64(PerfEvents.instancesMax - instances.count), count <= UInt64(reader.remaining / 8)
    else {
      throw ByteReader.Overrun(offset: reader.offset)
    }
    for _ in 0..<count { instances.append((try reader.u64(), event)) }
  }

  private mutating func read(_ table: PerfFeatureTable) {
    let (sections, damage) = table.sections()
    features = sections
    if let damage { self.damage.append(damage) }
  }

  /// Takes in what stands behind the records, where they do not end where the file says.
  private mutating func readDisplaced(_ table: PerfFeatureTable) {
    isDisplaced = true
    records = records.lowerBound..<table.place
    let bytes = abs(table.shift)
    damage.append(
      Damage(
        offset: table.place,
        what: """
          the records end here, \(bytes) bytes \(table.shift > 0 ? "before" : "behind") where the file says: pieces of them are \
          \(table.shift > 0 ? "missing" : "too many"), nobody knows where, so nothing is certain of any event
          """))
    read(table)
  }
}
