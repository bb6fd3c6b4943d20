/// A perf.data, as `perf record` writes it to a file or to a pipe: tracepoints of KVM and probes, with the kernel's own records in
/// their samples.
final class PerfData: TranscodedTrace {
  let format = "perf.data"
  let compression: String
  let uname: String
  let clock: String
  let cpuCount: Int
  let commands: [Int32: String]
  let damage: [Damage]
  let isDisplaced: Bool
  /// What is passed over, as far as opening the file tells.
  private let fixedNotes: [String]
  /// The size of the host's pages, where the file says it.
  let hostPageBytes: Int?
  private let contents: Contents
  /// What holds the texts of the formats.
  private let file: FileBytes
  private let formats: [TraceDatContents.FormatText]

  /// Where the samples are.
  private struct Contents {
    /// The file, or what it decompresses to.
    let file: FileBytes
    let bigEndian: Bool
    let events: PerfEvents
    let lanes: [PerfLane]
    let swapping: PerfByteOrder?
    /// What the passes over the samples find.
    let repetitions: PerfRepetitionCounts
  }

  /// - Parameter spoolLimit: how much may be written to a temporary file, if the records are compressed; nil for half of what is
  ///   free there.
  init(_ file: FileBytes, spoolLimit: UInt64? = nil) throws(IngestError) {
    let header = try PerfHeader(file)
    let known = PerfMetadata(header, file)
    var records = file
    let descriptions = PerfDescriptions(header)
    var places = header.records
    var scan = PerfScan(file, places, bigEndian: header.bigEndian, descriptions, known)
    let isPlain = scan.run()
    var damage = header.damage
    if !isPlain {
      let plain = try PerfDecompression.decompress(
        file, header.records, bigEndian: header.bigEndian, spoolLimit: spoolLimit)
      (records, places, damage) = (plain.file, 0..<plain.file.count, damage + plain.damage)
      scan = PerfScan(records, places, bigEndian: header.bigEndian, descriptions, known)
      _ = scan.run()
    }
    if scan.descriptions.lateCount > 0 {
      // What has been described last decides how all samples are read.
      scan = PerfScan(records, places, bigEndian: header.bigEndian, scan.descriptions.completed, known)
      _ = scan.run()
    }
    if let failure = file.failure { throw failure }
    let events = scan.events
    var metadata = scan.metadata
    if metadata.formats == nil { metadata.searchFormats(file, header) }
    if let incompleteness = header.incompleteness {
      guard metadata.formats != nil else { throw incompleteness }
      damage.append(Damage(offset: incompleteness.offset ?? 0, what: incompleteness.what))
    }
    try Self.check(file, metadata, events)
    let texts = metadata.formats?.formats ?? []
    let swapping =
      header.bigEndian
      ? PerfByteOrder(EventFormats(texts.map { ($0.system, $0.text) }, bigEndian: true, kernelLongSize: 8))
      : nil
    let lanes = scan.lanes.ordered
    contents = Contents(
      file: records, bigEndian: header.bigEndian, events: events, lanes: lanes, swapping: swapping,
      repetitions: PerfRepetitionCounts(streamCount: lanes.count))
    self.file = file
    isDisplaced = header.isDisplaced
    compression = isPlain ? "none" : "zstd"
    formats = texts
    hostPageBytes = metadata.formats.map(\.pageBytes)
    (uname, commands) = (metadata.uname, metadata.commands)
    clock = events.attributes.first { $0.hasSamples }?.clock ?? "perf"
    cpuCount = max(metadata.cpuCount, (contents.lanes.map { Int($0.cpu) + 1 }.max() ?? 0))
    self.damage = damage + Self.unread(scan.tally) + metadata.damage
    fixedNotes = Self.notes(scan.tally)
  }

  var formatTexts: [(system: String, text: String)] {
    formats.map { ($0.system, String(decoding: $0.text, as: UTF8.self)) }
  }

  var notes: [String] {
    let count = contents.repetitions.sum
    guard count > 0 else { return fixedNotes }
    let samples = count == 1 ? "1 sample is" : "\(count) samples are"
    return fixedNotes + [
      "a tracepoint was recorded more than once (-e); \(samples) of an event that another one is of, and passed over"
    ]
  }

  var hasKernelNumbers: Bool { true }

  var streamCount: Int { contents.lanes.count }

  func cpu(ofStream stream: Int) -> UInt16 { contents.lanes[stream].cpu }

  func pages(ofStream stream: Int) -> any PageSupply {
    let repetitions = contents.repetitions
    return PerfPageSupply(
      contents.file, bigEndian: contents.bigEndian, events: contents.events, lane: contents.lanes[stream],
      swapping: contents.swapping,
      room: PerfPageSupply.Room(laneCount: contents.lanes.count),
      passOver: { repetitions.set($0, ofStream: stream) })
  }

  /// Refuses what has nothing that can be read.
  private static func check(
    _ file: FileBytes, _ metadata: PerfMetadata, _ events: PerfEvents
  ) throws(IngestError) {
    let advice = "perf record -e 'kvm:*' -a makes one that can be read"
    let tracepoints = events.attributes.filter(\.isTracepoint)
    let names = metadata.eventNames.isEmpty ? "" : ": it has \(metadata.eventNames.joined(separator: ", "))"
    guard !tracepoints.isEmpty else {
      throw IngestError(
        .notATrace, path: file.path, what: "is a perf.data without tracepoints\(names)", advice: advice)
    }
    guard tracepoints.contains(where: \.isReadable) else {
      throw IngestError(
        .notATrace, path: file.path,
        what: "is a perf.data whose samples lack what the kernel recorded, or the time (no -R)",
        advice: advice)
    }
    guard let formats = metadata.formats, !formats.formats.isEmpty else {
      throw IngestError(
        .notATrace, path: file.path, what: "is a perf.data without the formats of its events (tracing_data)",
        advice: advice)
    }
  }

  /// What is left out because nothing here can read it.
  private static func unread(_ tally: PerfTally) -> [Damage] {
    guard tally.unreadable > 0 else { return [] }
    return [
      Damage(
        offset: tally.firstUnreadable,
        what: """
          \(tally.unreadable == 1 ? "1 sample is" : "\(tally.unreadable) samples are") of no event that is described, or without \
          what the kernel recorded; left out
          """)
    ]
  }

  /// What is passed over, and nothing is missing for it.
  private static func notes(_ tally: PerfTally) -> [String] {
    guard tally.foreign > 0 else { return [] }
    let samples = tally.foreign == 1 ? "1 sample" : "\(tally.foreign) samples"
    return ["\(samples) of other events than tracepoints passed over"]
  }
}
