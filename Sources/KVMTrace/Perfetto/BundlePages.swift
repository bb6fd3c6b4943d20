internal import KVMTypes

/// The pages of one stream of bundles, made of their events while it is read.
///
/// Invariant: what `next` returned lies in `writer`, which is written again only in the next call.
final class BundlePages: PageSupply {
  /// How much of a file is read at once, in bytes. No event is longer.
  private static let pieceBytes = 1 << 16
  /// Few events are longer: so much is looked at twice where an event is looked for.
  private static let usualEventBytesMax = 4096
  /// So many gaps have pages of their own.
  private static let gapsMax = 200
  /// A tag and a length, of a field whose value may be long, are no longer.
  private static let headBytesMax = 32

  private(set) var pageOffset = 0
  /// What is missing before the page's events.
  private(set) var missing: BundleRun.Flags = []
  var damage: DamageLog

  private let files: BundleFiles
  private let stream: BundleStream
  private let transcoder: EventTranscoder
  private var window: BundleWindow
  private var writer: PageWriter
  /// The bundle that is read, and how far its events are written.
  private var place = (run: 0, offset: 0)
  /// Whether events are missing before the next one because they cannot be read.
  private var hasGap = false
  private var hasEnded = false

  init(
    _ files: BundleFiles, _ stream: BundleStream, _ transcoder: EventTranscoder, pageBytes: Int
  ) {
    self.files = files
    self.stream = stream
    self.transcoder = transcoder
    window = BundleWindow(files, pieceBytes: Self.pieceBytes)
    writer = PageWriter(pageBytes: pageBytes)
    damage = DamageLog(cpu: stream.cpu)
  }

  var cpu: UInt16 { stream.cpu }
  var isBehindGap: Bool { missing.contains(.isBehindGap) }
  /// How many events were lost before the page's, as `PageWriter.lost` counts them.
  var lost: UInt64? { writer.lost }

  func next() -> UnsafeRawBufferPointer? {
    guard !hasEnded else { return nil }
    writer.begin()
    missing = []
    while place.run < stream.runs.count {
      let run = stream.runs[place.run]
      guard canBegin(run), read(run) else { return writer.finish() }
      place = (place.run + 1, 0)
    }
    hasEnded = true
    let losses = stream.lossesBehind
    if !losses.isEmpty, writer.eventCount > 0 {
      // Behind the page's events, so in one of its own.
      hasEnded = false
      return writer.finish()
    }
    if !losses.isEmpty { writer.lost = writer.lost ?? 0 }
    missing.formUnion(losses)
    if hasGap { missing.insert(.isBehindGap) }
    return writer.eventCount > 0 || writer.lost != nil || isBehindGap ? writer.finish() : nil
  }

  /// Whether the page can go on with `run`: what is missing before it can be told only before a page.
  private func canBegin(_ run: BundleRun) -> Bool {
    if place.offset == 0 {
      let losses = run.flags.intersection(.losses)
      if run.flags.contains(.isBehindGap) { hasGap = true }
      if !losses.isEmpty {
        if writer.eventCount > 0 { return false }
        writer.lost = stream.knownLoss
        missing.formUnion(losses)
      }
    }
    return takeGap()
  }

  /// Tells a gap before the page; false where the page has events already.
  private func takeGap() -> Bool {
    guard hasGap else { return true }
    // Where there are very many, one is told for several.
    guard writer.eventCount == 0 else { return damage.places.count > Self.gapsMax }
    missing.insert(.isBehindGap)
    hasGap = false
    return true
  }

  /// Writes the events of `run` from `place` on; false where the page is to be finished before its end.
  private func read(_ run: BundleRun) -> Bool {
    var wanted = 1
    while place.offset < run.count {
      let left = Int(run.count) - place.offset
      if writer.eventCount == 0 { pageOffset = fileOffset(of: run) }
      guard let bytes = window.bytes(of: run, at: place.offset, atLeast: min(wanted, left)) else {
        giveUp(run)
        return takeGap()
      }
      wanted = 1
      let step = BundleStep.write(bytes, isWhole: bytes.count == left, transcoder, into: &writer)
      place.offset += step.count
      switch step.end {
      case .endOfBytes: break
      case .pageIsFull: return false
      case .malformed: resume(run)
      case .needs(let count, let ofEvent):
        wanted = take(
          need: count, ofEvent: ofEvent, run, left: left - step.count, there: bytes.count - step.count)
      }
      if !takeGap() { return false }
    }
    return true
  }

  /// A field that does not lie wholly in what was read. Returns how much to read of it; one that is too long is passed over, and told if
  /// it is an event.
  private func take(need count: UInt64, ofEvent: Bool, _ run: BundleRun, left: Int, there: Int) -> Int {
    let isUnknown = count == 0
    let isLong = count > UInt64(Self.pieceBytes)
    if there >= left || (isUnknown && there >= Self.headBytesMax) || count > UInt64(left)
      || (isLong && ofEvent)
    {
      resume(run)
    } else if isLong {
      place.offset += Int(count)
    } else {
      return isUnknown ? Self.headBytesMax : Int(count)
    }
    return 1
  }

  /// What begins at `place` is damaged: goes on at the next event of `run`. Where the file ends inside it, that was told.
  private func resume(_ run: BundleRun) {
    let (damaged, offset) = (place, fileOffset(of: run))
    var isFound = false
    while place.offset < run.count, !isFound {
      let left = Int(run.count) - place.offset
      guard let bytes = window.bytes(of: run, at: place.offset, atLeast: min(left, Self.pieceBytes)),
        let start = bytes.baseAddress
      else { return giveUp(run) }
      let event = BundleFields.event(behind: start, end: start + bytes.count)
      isFound = event != nil
      let step = bytes.count < left ? max(bytes.count - Self.usualEventBytesMax, 1) : left
      place.offset += event.map { $0 - start } ?? step
    }
    guard isFound || !run.flags.contains(.isCut) else { return }
    report(
      at: offset,
      """
      a bundle of events of CPU \(cpu) is damaged; \(place.offset - damaged.offset) bytes of it are left out
      """)
  }

  /// Nothing more of `run` can be read.
  private func giveUp(_ run: BundleRun) {
    if files.isWhole(for: run) {
      report(at: fileOffset(of: run), "the events of CPU \(cpu) cannot be read any more")
    }
    place.offset = Int(run.count)
  }

  private func report(at offset: Int, _ what: String) {
    damage.reportGap(at: offset, what)
    hasGap = true
  }

  private func fileOffset(of run: BundleRun) -> Int { files.offset(of: run, at: place.offset) }
}

/// How far events of a bundle were written, and why not further.
struct BundleStep {
  enum End {
    case endOfBytes
    case pageIsFull
    /// What follows is no field, or no event.
    case malformed
    /// The next field does not lie wholly in the bytes: it takes so many, 0 where that is not known.
    case needs(UInt64, ofEvent: Bool)
  }

  /// How many bytes are done with.
  let count: Int
  let end: End

  /// Writes the events in `bytes`, which lie in a bundle and begin with a field.
  ///
  /// - Parameter isWhole: whether the bundle ends where they do.
  static func write(
    _ bytes: UnsafeRawBufferPointer, isWhole: Bool, _ transcoder: EventTranscoder,
    into writer: inout PageWriter
  ) -> BundleStep {
    var cursor = WireCursor(bytes)
    let start = cursor.position
    while !cursor.isAtEnd {
      let begin = cursor.position
      func step(_ position: UnsafeRawPointer, _ end: End) -> BundleStep {
        BundleStep(count: position - start, end: end)
      }
      guard let tag = cursor.varint() else { return step(begin, .needs(0, ofEvent: false)) }
      guard tag == BundleFields.eventTag || BundleFields.canHave(tag) else {
        if BundleFields.skipNew(tag, &cursor, isWhole: isWhole) { continue }
        // It may only be cut off.
        let more = UInt64(bytes.count - (begin - start)) + 1
        return step(begin, isWhole || begin == start ? .malformed : .needs(more, ofEvent: false))
      }
      guard tag & 7 == WireType.bytes else {
        guard cursor.skipValue(ofType: tag & 7) else { return step(begin, .needs(0, ofEvent: false)) }
        continue
      }
      guard let count = cursor.varint() else { return step(begin, .needs(0, ofEvent: false)) }
      let event = cursor.position
      guard cursor.skip(count) else {
        let head = UInt64(event - begin)
        return step(
          begin,
          count > UInt64(UInt32.max)
            ? .malformed : .needs(head + count, ofEvent: tag == BundleFields.eventTag))
      }
      guard tag == BundleFields.eventTag else { continue }
      switch transcoder.write(WireCursor(event, end: cursor.position), into: &writer) {
      case .written: continue
      case .pageIsFull: return step(begin, .pageIsFull)
      case .malformed: return step(begin, .malformed)
      }
    }
    return BundleStep(count: bytes.count, end: .endOfBytes)
  }
}
