/// The pass over a trace that opens it: where each CPU's bundles lie, which events there are, and what is said of host and recorder.
final class PerfettoSurvey {
  /// The parts of a TracePacket that are wanted of every one.
  private struct Packet {
    /// `ftrace_events`.
    var bundle: UnsafeRawBufferPointer?
    /// `trusted_packet_sequence_id`: who wrote it.
    var sequence: UInt32?
    /// `previous_packet_dropped`.
    var isBehindLoss = false
    /// `first_packet_on_sequence`.
    var isFirst = false
    /// `machine_id`: 0 for the machine that the tracing service ran on.
    var machine: UInt64 = 0
  }

  /// Bytes of the file, or of a compressed packet, in which messages lie.
  private struct Region {
    let start: UnsafeRawPointer
    /// Where they begin in the file; of a compressed packet where that begins.
    let fileOffset: Int
    /// Of a compressed packet its number, and where it begins in what those before hold.
    var inflated: (number: Int, position: Int)?

    /// Where in the file damage is to be told.
    func damageOffset(of address: UnsafeRawPointer) -> Int {
      inflated == nil ? fileOffset + (address - start) : fileOffset
    }
  }

  /// So many packets are looked at in any case, and one more for each byte of the file: of compressed ones there may be more, which hold
  /// nothing that anybody recorded.
  private static let leastPacketsMax = 1 << 20
  /// So many damaged places are kept.
  private static let damageMax = 256
  /// The first version of the recorder that marks the first packet of a writer.
  private static let firstMarkingVersion = 29

  let events = PerfettoEvents()
  private(set) var host = HostFacts()
  private(set) var recorder = RecorderFacts()
  private(set) var index: BundleIndex
  private(set) var damage: [Damage] = []
  /// How the first packets are compressed that are.
  private(set) var compression: PacketCompression?
  private(set) var files: BundleFiles
  private(set) var packetCount = 0
  private let inflater = PacketInflater()
  private var spool: PacketSpool
  /// How many bundles of other machines there were, and where the first one is.
  private var foreign: (count: Int, offset: Int) = (0, 0)

  /// Reads the whole of `file`.
  ///
  /// - Parameter spoolLimit: how much of what is compressed in it may be written to a temporary file, in bytes; nil for half of what is
  ///   free there.
  init(_ file: FileBytes, spoolLimit: UInt64?) throws(IngestError) {
    files = BundleFiles(trace: file, inflated: nil, packetOffsets: [])
    spool = PacketSpool(path: file.path, limit: spoolLimit)
    index = BundleIndex(fileBytes: file.count)
    var reader = PacketReader(file)
    while let packet = reader.next() {
      note(reader.takeProblems())
      packetCount += 1
      try take(packet)
    }
    note(reader.takeProblems())
    files = BundleFiles(trace: file, inflated: try spool.finish(), packetOffsets: spool.offsets)
    finish()
    if foreign.count > 0 {
      report(
        at: foreign.offset,
        "\(foreign.count) bundles of events are another machine's, of which the first is here; they are left out"
      )
    }
    if index.isFull {
      report(
        at: file.count, "there are more bundles of events than can be kept in mind; the rest is left out")
    }
  }

  /// All bundles are there.
  private func finish() {
    let (behindMissing, repeated) = index.finish(recorder)
    for bundle in behindMissing {
      report(
        at: files.offset(of: bundle.run, at: 0),
        "events of CPU \(bundle.cpu) are missing before this bundle: it does not follow the one before")
    }
    for bundle in repeated {
      report(
        at: files.offset(of: bundle.run, at: 0),
        "a bundle of events of CPU \(bundle.cpu) is there twice; this one is left out")
    }
  }

  private func note(_ problems: [Damage]) {
    guard !problems.isEmpty else { return }
    index.noteGap()
    for problem in problems { report(at: problem.offset, problem.what) }
  }

  private func report(at offset: Int, _ what: @autoclosure () -> String) {
    if damage.count < Self.damageMax { damage.append(Damage(offset: offset, what: what())) }
  }

  /// Takes in a packet of the file.
  private func take(_ packet: PacketReader.Packet) throws(IngestError) {
    guard let start = packet.bytes.baseAddress else { return }
    let region = Region(start: start, fileOffset: packet.offset)
    var message = WireMessage(packet.bytes, isCut: packet.isCut)
    while let field = message.next() {
      guard let compression = PacketCompression(fieldNumber: field.number) else { continue }
      if !packet.isDamaged { try unpack(field.bytes, compression, in: region, isCut: packet.isCut) }
      return
    }
    if packet.isDamaged {
      takeBundle(ofDamaged: packet.bytes, in: region)
    } else {
      take(packet.bytes, in: region, isCut: packet.isCut)
    }
  }

  /// Takes in the packets that a compressed one holds.
  private func unpack(
    _ bytes: UnsafeRawBufferPointer, _ compression: PacketCompression, in region: Region, isCut: Bool
  ) throws(IngestError) {
    guard let start = bytes.baseAddress, !bytes.isEmpty else { return }
    let offset = region.damageOffset(of: start)
    let inflated: UnsafeRawBufferPointer
    var isInflatedCut = false
    switch inflater.inflate(bytes, compression) {
    case .whole(let whole): inflated = whole
    case .cut(let part):
      inflated = part
      isInflatedCut = true
      if !isCut { note([Damage(offset: offset, what: "compressed packets end too early")]) }
    case .failed(let why):
      note([Damage(offset: offset, what: "compressed packets \(why); they are left out")])
      return
    case .overBudget(let isFirst):
      index.noteGap()
      if isFirst {
        report(
          at: offset,
          "compressed packets hold \(DecompressionBudget.excess); all from here on are left out")
      }
      return
    }
    if self.compression == nil { self.compression = compression }
    let runCount = index.runCount
    takePackets(inflated, offset: offset, isCut: isInflatedCut)
    // Where no events lie in them, nothing of them is read again.
    if index.runCount > runCount { try spool.append(inflated, of: offset) }
  }

  /// Takes in the packets that lie in a compressed one, at `offset` of the file.
  private func takePackets(_ inflated: UnsafeRawBufferPointer, offset: Int, isCut isInflatedCut: Bool) {
    guard let start = inflated.baseAddress else { return }
    let inner = Region(
      start: start, fileOffset: offset, inflated: (number: spool.offsets.count, position: spool.count))
    var trace = WireMessage(inflated, isCut: isInflatedCut)
    while let packet = trace.next() {
      guard packet.number == 1 else { continue }
      packetCount += 1
      guard packetCount < Self.leastPacketsMax + files.trace.count else { return index.noteLeftOut() }
      let isCut = isInflatedCut && packet.bytes.endAddress == inflated.endAddress
      if isCut || PacketProbe.isWhole(packet.bytes) {
        take(packet.bytes, in: inner, isCut: isCut)
      } else {
        note([Damage(offset: offset, what: "a compressed packet is damaged; it is left out")])
      }
    }
    if trace.isMalformed {
      note([Damage(offset: offset, what: "other bytes stand where a compressed packet must begin")])
    }
  }

  /// Takes in what a packet holds.
  private func take(_ bytes: UnsafeRawBufferPointer, in region: Region, isCut: Bool) {
    let packet = Self.packet(bytes, isCut: isCut)
    guard packet.machine == 0 else {
      if let start = packet.bundle?.baseAddress {
        foreign = (foreign.count + 1, foreign.count == 0 ? region.damageOffset(of: start) : foreign.offset)
      }
      return
    }
    // Where the file ends inside a packet, who wrote it is missing.
    let sequence = packet.sequence ?? (isCut ? index.lastSequence : 0)
    let isFirst =
      packet.isBehindLoss
      && (packet.isFirst || host.serviceVersion.map { $0 < Self.firstMarkingVersion } ?? false)
    index.note(sequence: sequence, isBehindLoss: packet.isBehindLoss, isFirst: isFirst)
    if let bundle = packet.bundle { take(bundle: bundle, sequence: sequence, in: region, isCut: isCut) }
    var message = WireMessage(bytes, isCut: isCut)
    while let field = message.next() {
      switch field.number {
      case 2: host.take(processTree: field.message)
      case 6: host.take(clockSnapshot: field.message)
      case 33: recorder.take(traceConfig: field.message, events)
      case 34: recorder.take(ftraceStats: field.message, sequence: sequence, events)
      case 35: recorder.take(traceStats: field.message)
      case 43: host.take(processDescriptor: field.message)
      case 44: host.take(threadDescriptor: field.message)
      case 45: host.take(systemInfo: field.message)
      case 60: host.take(trackDescriptor: field.message)
      case 67: host.take(cpuInfo: field.message)
      default: break
      }
    }
  }

  private static func packet(_ bytes: UnsafeRawBufferPointer, isCut: Bool) -> Packet {
    var message = WireMessage(bytes, isCut: isCut)
    var packet = Packet()
    while let field = message.next() {
      switch field.number {
      case 1: packet.bundle = field.bytes
      case 10: packet.sequence = UInt32(truncatingIfNeeded: field.value)
      case 42: packet.isBehindLoss = field.value != 0
      case 87: packet.isFirst = field.value != 0
      case 98: packet.machine = field.value
      default: break
      }
    }
    return packet
  }

  /// Takes in the events of a packet whose fields do not fill it: those up to its end, whatever the length of the bundle, as the last
  /// writer's.
  private func takeBundle(ofDamaged bytes: UnsafeRawBufferPointer, in region: Region) {
    guard let start = Self.packet(bytes, isCut: true).bundle?.baseAddress, let end = bytes.endAddress else {
      return
    }
    let bundle = UnsafeRawBufferPointer(start: start, count: end - start)
    take(bundle: bundle, sequence: index.lastSequence, in: region, isCut: true)
  }

  private func take(bundle: UnsafeRawBufferPointer, sequence: UInt32, in region: Region, isCut: Bool) {
    guard let start = bundle.baseAddress, !bundle.isEmpty, index.hasRoom() else { return }
    let survey = BundleSurvey(bundle, events: events)
    let offset = region.damageOffset(of: start)
    for descriptor in survey.descriptors {
      if let problem = events.describe(descriptor) { report(at: offset, problem) }
    }
    guard survey.cpu < UInt64(HostLimits.cpusMax) else {
      report(at: offset, "a bundle of events is of CPU \(survey.cpu), which no host has; it is left out")
      index.noteGap()
      return
    }
    if survey.errorCount > 0 {
      report(
        at: offset,
        "the recorder could not read \(survey.errorCount) pages of CPU \(survey.cpu); their events are missing"
      )
    }
    if survey.isUnreadable, !isCut {
      report(at: offset, "a bundle of events of CPU \(survey.cpu) is damaged; it is left out")
    }
    host.noteCPU(survey.cpu)
    var flags: BundleRun.Flags = isCut ? .isCut : []
    if region.inflated != nil { flags.insert(.isCompressed) }
    index.add(
      survey, sequence: sequence,
      position: region.inflated.map { $0.position + (start - region.start) } ?? offset,
      packet: region.inflated?.number ?? 0, count: bundle.count, flags: flags)
  }
}

extension UnsafeRawBufferPointer {
  /// Where the bytes end.
  fileprivate var endAddress: UnsafeRawPointer? { baseAddress.map { $0 + count } }
}
