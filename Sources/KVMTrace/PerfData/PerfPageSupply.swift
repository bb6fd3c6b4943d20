internal import Glibc
internal import KVMTypes

/// Makes pages of the ring buffer of the samples of one lane: of each the kernel's own record, as it lies there.
///
/// A page has events of one CPU. It ends before a loss, before damage, and where the CPU is another one.
final class PerfPageSupply: PageSupply {
  private var pages: PerfPages
  /// Takes how many samples are passed over.
  private let passOver: (UInt64) -> Void

  /// - Parameters:
  ///   - file: where the records are.
  ///   - room: how much memory it may take.
  ///   - passOver: takes behind each page how many samples so far were of a hit that another one is of.
  init(
    _ file: FileBytes, bigEndian: Bool, events: PerfEvents, lane: PerfLane, swapping: PerfByteOrder?,
    room: Room, passOver: @escaping (UInt64) -> Void
  ) {
    self.passOver = passOver
    pages = PerfPages(
      reader: PerfRecordReader(file, bigEndian: bigEndian, 0..<0, pieceBytes: room.pieceBytes), lane: lane,
      pageBytes: room.pageBytes,
      form: PerfPages.Form(
        events: events, plain: PerfPlainLayout(events, bigEndian: bigEndian), swapping: swapping))
  }

  var cpu: UInt16 { pages.cpu }
  var pageOffset: Int { pages.pageOffset }
  var isBehindGap: Bool { pages.isBehindGap }
  var damage: DamageLog {
    get { pages.damage }
    set { pages.damage = newValue }
  }

  func next() -> UnsafeRawBufferPointer? {
    let page = pages.next()
    if pages.repetitionCount > 0 { passOver(pages.repetitionCount) }
    if page == nil { pages.close() }
    return page
  }

  /// How much memory a lane takes while it is read: less where there are many.
  struct Room {
    /// What the windows on the file take together, and the pages with the records that are decoded of them, in bytes.
    private static let windowBytes = 16 << 20
    private static let pagesBytes = 64 << 20
    private static let pageBytesMin = 512

    /// How much of the file is read at once, in bytes, where no record is longer.
    let pieceBytes: Int
    /// How long a page is, in bytes, where no event is longer.
    let pageBytes: Int

    init(laneCount: Int) {
      let count = max(1, laneCount)
      pieceBytes = min(PerfRecordReader.pieceBytesMax, Self.windowBytes / count)
      // An event takes eight bytes of a page at least.
      let each = Self.pagesBytes / count / (8 + MemoryLayout<TraceRecord>.stride) * 8
      pageBytes = max(Self.pageBytesMin, min(PerfPages.pageBytesMax, each))
    }
  }
}

/// The state of a `PerfPageSupply`, which one call fills a page with.
private struct PerfPages: ~Copyable {
  /// PERF_MAX_TRACE_SIZE, the longest record of the kernel's, is half of it.
  static let pageBytesMax = 16 << 10

  /// How samples are read.
  struct Form {
    let events: PerfEvents
    let plain: PerfPlainLayout?
    let swapping: PerfByteOrder?
  }

  private let form: Form
  private let lane: PerfLane
  private var repetitions: PerfRepetitions?
  /// How many samples so far were of a hit that another one is of.
  private(set) var repetitionCount: UInt64 = 0
  private var reader: PerfRecordReader
  private var writer: PageWriter
  /// The position in the lane of the run that comes next.
  private var nextRun = 0
  /// How many events are missing before the next one, 0 for an unknown number; nil for none. Behind damage there are more.
  private var lost: UInt64?
  private(set) var isBehindGap = false
  private(set) var cpu: UInt16
  private(set) var pageOffset = 0
  var damage: DamageLog

  init(reader: consuming PerfRecordReader, lane: PerfLane, pageBytes: Int, form: Form) {
    writer = PageWriter(pageBytes: pageBytes)
    self.reader = reader
    self.lane = lane
    self.form = form
    repetitions = form.events.mayRepeat ? PerfRepetitions(form.events) : nil
    cpu = lane.cpu
    damage = DamageLog(cpu: lane.cpu)
  }

  /// Gives back the memory: nothing more is read.
  mutating func close() {
    reader.close()
    repetitions = nil
  }

  /// The next page, nil at the end.
  mutating func next() -> UnsafeRawBufferPointer? {
    writer.begin()
    isBehindGap = false
    repeat {
      guard takeSamples() else { break }
    } while enterRun()
    if writer.eventCount == 0, nextRun == lane.runs.count, lane.lostAtEnd > 0 {
      nextRun += 1
      lose(lane.lostAtEnd)
    }
    guard writer.eventCount > 0 || lost != nil && nextRun >= lane.runs.count else { return nil }
    if writer.eventCount == 0 { (writer.lost, lost) = (lost, nil) }
    return writer.finish()
  }

  /// Goes on with the next run; false where there is none, or the page ends before it.
  private mutating func enterRun() -> Bool {
    guard nextRun < lane.runs.count else { return false }
    let run = lane.runs[nextRun]
    let lost = lane.losses[nextRun]
    guard !run.isBehindGap && lost == nil || writer.eventCount == 0 else { return false }
    if let lost {
      lose(lost)
      repetitions?.reset()
    }
    if run.isBehindGap {
      isBehindGap = true
      damage.reportGap(
        at: run.records.lowerBound,
        "what stands before a sample of CPU \(lane.cpu) is damaged; some may be missing")
    }
    nextRun += 1
    reader.enter(run.records, isBackward: form.events.isBackward)
    return true
  }

  /// Writes the samples of the run into the page; false where the page is at its end, true where the run is.
  private mutating func takeSamples() -> Bool {
    let events = form.events
    while true {
      takePlain()
      guard let record = reader.next() else { break }
      if record.type == PerfRecord.Kind.sample {
        guard take(record, events) else {
          reader.stepBack()
          return false
        }
      } else if record.type == PerfRecord.Kind.lost, record.size >= 24 {
        guard writer.eventCount == 0 else {
          reader.stepBack()
          return false
        }
        lose(record.word64(16))
        repetitions?.reset()
      }
    }
    if reader.damaged != nil, reader.isFileWhole {
      damage.report(
        at: reader.offset, "the samples of CPU \(lane.cpu) are not what they were when the file was opened")
    }
    return true
  }

  /// So many samples are missing. Where an event may have several, that is no number of events.
  private mutating func lose(_ count: UInt64) {
    lost = form.events.mayRepeat || lost == 0 ? 0 : (lost ?? 0).addingSaturated(count)
  }

  /// Writes a sample into the page; false where that must end before it.
  @inline(__always)
  private mutating func take(_ record: PerfRecord, _ events: PerfEvents) -> Bool {
    guard let layout = events.layout(of: record), let sample = PerfSample(record, layout) else { return true }
    if repetitions != nil, repetitions!.takes(record, sample) {
      repetitionCount &+= 1
      return true
    }
    if writer.eventCount == 0 {
      pageOffset = record.offset
      cpu = sample.cpu
      (writer.lost, lost) = (lost, nil)
    } else if sample.cpu != cpu {
      return false
    }
    guard let data = writer.reserve(sample.rawBytes, at: sample.time) else { return goesOnWithout(record) }
    Self.copy(record.base + sample.rawPlace, sample.rawBytes, to: data)
    if let swapping = form.swapping { swapping.swap(data, sample.rawBytes) }
    return true
  }

  /// Writes samples into the page for as long as they are plain, of its CPU, and fit: nearly all there are. The rest is left to `take`,
  /// and so is every doubt.
  private mutating func takePlain() {
    guard let plain = form.plain, var cursor = writer.cursor else { return }
    let ahead = reader.ahead
    guard let base = ahead.baseAddress else { return }
    let (cpu, count) = (UInt32(cpu), ahead.count)
    var (place, size) = (0, 0)
    while let sample = plain.sample(base + place, room: count &- place), sample.cpu == cpu,
      let data = cursor.reserve(sample.rawBytes, at: sample.time)
    {
      Self.copy(sample.raw, sample.rawBytes, to: data)
      size = sample.size
      place &+= size
    }
    writer.cursor = cursor
    reader.skip(place, last: size)
  }

  /// Copies eight bytes or more, word by word: the last two words may overlap.
  @inline(__always)
  private static func copy(_ source: UnsafeRawPointer, _ count: Int, to target: UnsafeMutableRawPointer) {
    var place = 0
    while place &+ 8 < count {
      (target + place).storeBytes(
        of: source.loadUnaligned(fromByteOffset: place, as: UInt64.self), as: UInt64.self)
      place &+= 8
    }
    let last = count &- 8
    (target + last).storeBytes(
      of: source.loadUnaligned(fromByteOffset: last, as: UInt64.self), as: UInt64.self)
  }

  /// Whether the page goes on without an event that does not fit: where it has others, it ends. One that would fit no page is left out,
  /// and one that is longer than pages are gets longer ones.
  @inline(never)
  private mutating func goesOnWithout(_ record: PerfRecord) -> Bool {
    guard writer.eventCount == 0 else { return false }
    lost = writer.lost
    if writer.pageBytes < Self.pageBytesMax {
      writer = PageWriter(pageBytes: Self.pageBytesMax)
      reader.stepBack()
      return true
    }
    lose(1)
    damage.report(
      at: record.offset, "an event of CPU \(lane.cpu) is longer than any of the kernel's; left out")
    return true
  }
}
