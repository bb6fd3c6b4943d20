internal import KVMTypes

/// The one pass over all records that opening a perf.data takes: what they say of host, events and threads, and where the samples lie.
struct PerfScan: ~Copyable {
  /// A feature in a record stands behind its number.
  private static let featureOffset = 16
  /// PERF_RECORD_MISC_LOST_SAMPLES_BPF: a filter of the user's dropped them.
  private static let droppedByFilter: UInt16 = 1 << 15

  private let file: FileBytes
  private let bigEndian: Bool
  private var reader: PerfRecordReader
  private(set) var descriptions: PerfDescriptions
  private(set) var metadata: PerfMetadata
  private(set) var lanes = PerfLanes(isBackward: false)
  private(set) var tally = PerfTally()
  private var known: PerfEvents?
  /// Damage behind which some CPU had no sample so far.
  private var gaps = PerfPendingGaps()
  /// What was lost behind which no sample has come so far.
  private var losses = PerfPendingLosses()

  init(
    _ file: FileBytes, _ records: Range<Int>, bigEndian: Bool, _ descriptions: PerfDescriptions,
    _ metadata: PerfMetadata
  ) {
    self.file = file
    self.bigEndian = bigEndian
    self.descriptions = descriptions
    self.metadata = metadata
    reader = PerfRecordReader(file, bigEndian: bigEndian, records)
  }

  /// The events; in what a pipe delivered, those that have been described so far.
  var events: PerfEvents {
    mutating get {
      if let known { return known }
      let events = PerfEvents(descriptions.attributes, instances: descriptions.instances)
      known = events
      if events.isBackward, lanes.lanes.isEmpty { lanes = PerfLanes(isBackward: true) }
      return events
    }
  }

  /// Reads all records; false where some are compressed.
  mutating func run() -> Bool {
    while let record = reader.next() {
      if let place = reader.damaged { note(place) }
      switch record.type {
      case PerfRecord.Kind.sample:
        reader.stepBack()
        takeSamples()
      case PerfRecord.Kind.compressed, PerfRecord.Kind.compressed2: return false
      default: take(record)
      }
    }
    if let place = reader.damaged { note(place) }
    settle()
    return true
  }

  /// Takes samples, up to the next record that is none.
  private mutating func takeSamples() {
    let events = events
    let plain = PerfPlainLayout(events, bigEndian: bigEndian)
    while let record = reader.next() {
      if let place = reader.damaged { note(place) }
      guard record.type == PerfRecord.Kind.sample else { return reader.stepBack() }
      take(sample: record, events)
      if let plain, !gaps.isFresh, losses.isEmpty, !lanes.isBackward { take(plain) }
    }
    if let place = reader.damaged { note(place) }
  }

  /// Takes samples for as long as they are plain and belong to the run that goes on: nearly all there are.
  private mutating func take(_ plain: PerfPlainLayout) {
    let ahead = reader.ahead
    guard let base = ahead.baseAddress, var run = lanes.openRun else { return }
    let count = ahead.count
    var (place, size) = (0, 0)
    while let sample = plain.sample(base + place, room: count &- place),
      run.takes(cpu: sample.cpu, time: sample.time.rawValue)
    {
      size = sample.size
      place &+= size
    }
    guard place > 0 else { return }
    reader.skip(place, last: size)
    run.end = reader.offset
    lanes.openRun = run
  }

  private mutating func take(sample record: PerfRecord, _ events: PerfEvents) {
    guard let layout = events.layout(of: record) else {
      let attribute = events.event(of: record).map { events.attributes[$0] }
      tally.note(unread: record, isForeign: attribute.map { !$0.isTracepoint && $0.hasSamples } ?? false)
      // What names no event may have been a sample of any.
      if attribute?.hasSamples != true { note(record.offset..<(record.offset + record.size)) }
      return
    }
    guard let sample = PerfSample(record, layout) else {
      note(record.offset..<(record.offset + record.size))
      return
    }
    let end = record.offset &+ record.size
    let lost = losses.isEmpty ? nil : losses.take(before: sample.cpu)
    let isBehindGap = gaps.take(before: sample.cpu)
    let goesOn = !isBehindGap && lost == nil
    if goesOn, lanes.extend(cpu: sample.cpu, time: sample.time.rawValue, to: end) { return }
    lanes.begin(
      cpu: sample.cpu, time: sample.time.rawValue, at: record.offset..<end, isBehindGap: isBehindGap,
      lost: lost)
  }

  /// Takes a record that is no sample.
  private mutating func take(_ record: PerfRecord) {
    // Records of perf's own say at their end of no event, and some describe those that there are.
    let isPossible =
      record.type < PerfRecord.Kind.headerAttribute
      ? events.allows(record) : PerfRecordForm(record.type)?.allows(record.size) ?? false
    guard isPossible else { return note(record.offset..<(record.offset + record.size)) }
    switch record.type {
    case PerfRecord.Kind.comm: metadata.takeCommand(record)
    case PerfRecord.Kind.fork: metadata.takeFork(record)
    case PerfRecord.Kind.lost: takeLoss(record)
    case PerfRecord.Kind.lostSamples: takeLostSamples(record)
    case PerfRecord.Kind.idIndex: tally.takeIndex(record)
    case PerfRecord.Kind.headerAttribute: takeAttribute(record)
    case PerfRecord.Kind.headerFeature: takeFeature(record)
    case PerfRecord.Kind.auxtrace, PerfRecord.Kind.headerTracingData: takeTrailing(record)
    default: break
    }
  }

  /// PERF_RECORD_LOST: u64 instance, u64 number; the ring was full before what comes next of it. Which ring that is, the next sample tells.
  private mutating func takeLoss(_ record: PerfRecord) {
    guard record.size >= 24 else { return }
    let trailer = events.trailer(of: record).flatMap { $0.cpuFromEnd > 0 ? $0 : nil }
    let cpu = trailer.flatMap { UInt16(exactly: record.word32(record.size - $0.cpuFromEnd)) }
      .flatMap { $0 < HostLimits.cpusMax ? $0 : nil }
    tally.note(lost: record.word64(16), cpu: cpu)
    // In a run that goes on behind it, it would count once more.
    guard lanes.closeAtLoss() else { return }
    losses.add(record.word64(16), cpu: cpu)
  }

  /// PERF_RECORD_LOST_SAMPLES: u64 number; perf writes what each instance lost in all, when it ends.
  private mutating func takeLostSamples(_ record: PerfRecord) {
    guard record.size >= 16, record.misc & Self.droppedByFilter == 0 else { return }
    let trailer = events.trailer(of: record)
    let id = trailer.flatMap { $0.idFromEnd > 0 ? record.word64(record.size - $0.idFromEnd) : nil }
    tally.note(lostSamples: record.word64(8), id: id)
  }

  private mutating func takeAttribute(_ record: PerfRecord) {
    let count = descriptions.attributes.count
    guard descriptions.take(record, file, isLate: known != nil) else {
      metadata.damage.append(
        Damage(offset: record.offset, what: "the description of an event is damaged"))
      return
    }
    if descriptions.attributes.count > count { known = nil }
  }

  /// PERF_RECORD_HEADER_FEATURE: u64 feature, then what a file has behind its records.
  private mutating func takeFeature(_ record: PerfRecord) {
    guard record.size >= Self.featureOffset, let feature = Int(exactly: record.word64(8)) else { return }
    var reader = ByteReader(
      file, bigEndian: bigEndian, at: record.offset + Self.featureOffset, end: record.offset + record.size)
    metadata.take(feature, &reader, file)
  }

  /// Skips what follows a record, and reads the formats of events there.
  private mutating func takeTrailing(_ record: PerfRecord) {
    let begin = record.offset + record.size
    guard let count = record.trailingBytes, count <= file.count - begin else {
      metadata.damage.append(
        Damage(
          offset: record.offset, what: "what follows a record runs past the end; it is not skipped"))
      return
    }
    if record.type == PerfRecord.Kind.headerTracingData {
      metadata.takeFormats(file, begin..<(begin + count), bigEndian: bigEndian)
    }
    // A run holds nothing but records.
    lanes.close()
    reader.move(to: begin + count)
  }

  private mutating func note(_ place: Range<Int>) {
    guard file.isWhole else { return }
    gaps.note(
      Damage(
        offset: place.lowerBound,
        what: "\(place.count) bytes are no records of a perf.data; samples may be missing"))
  }

  /// What is only known at the end.
  private mutating func settle() {
    lanes.finish(sharesCPUs: tally.hasThreadRings)
    if let place = lanes.firstLeftOut {
      metadata.damage.append(
        Damage(
          offset: place, what: "the samples from here on are in more pieces than can be; left out"))
    }
    if let place = lanes.firstUnordered {
      metadata.damage.append(
        Damage(
          offset: place,
          what: """
            the samples of more than \(PerfLanes.lanesMax) rings overlap from here on, and are not brought into their order
            """))
    }
    if let place = gaps.place(behindThoseOf: lanes.lanes.lazy.map(\.cpu)) { metadata.damage.append(place) }
    if let place = lanes.firstGapAtEnd {
      metadata.damage.append(
        Damage(
          offset: place, what: "what stands before the newest sample is damaged; newer ones may be missing"))
    }
    for (cpu, count) in losses.all { lanes.add(lostAtEnd: count, cpu: cpu) }
    for (cpu, count) in tally.lostAtEnd { lanes.add(lostAtEnd: count, cpu: cpu) }
  }
}
