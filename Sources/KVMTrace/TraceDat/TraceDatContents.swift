internal import KVMTypes

/// What the metadata of a trace.dat says, version 6 or 7, before any event is read.
///
/// `TraceDatV6` and `TraceDatV7` fill it; both keep what they understood when they meet damage.
struct TraceDatContents {
  /// One buffer: the top one with the name "", or an instance.
  struct Buffer {
    var name: String
    var clock: String
    var pageBytes: Int
    /// Whether the CPUs' areas consist of compressed chunks.
    var isCompressed: Bool
    var areas: [CPUArea]
  }

  /// Where one CPU's events lie in the file.
  struct CPUArea {
    var cpu: UInt16
    var offset: Int
    /// How many bytes there are, as the file says.
    var count: Int
    /// Where something else begins: how far chunks may reach that are longer than `count` says.
    var limit: Int
    /// Whether the file ends before the events do.
    var isCut = false
    /// Whether nobody knows where the events end: those of other CPUs may follow.
    var isOpen = false

    init(cpu: UInt16, offset: Int, count: Int) {
      self.cpu = cpu
      self.offset = offset
      self.count = count
      limit = offset + count
    }
  }

  /// The text of a format file, which the `FileBytes` holds, and where in the file it or its section begins.
  struct FormatText {
    var system: String
    var text: UnsafeRawBufferPointer
    var offset: Int
  }

  /// The most formats that are believed: the number of an event has 16 bits.
  static let formatsMax = 1 << 16

  /// The most commands and format strings of `trace_printk` that are believed. A kernel saves fewer than it can number threads.
  static let linesMax = 1 << 20
  /// The most buffers that are believed: each is a directory of tracefs that somebody made.
  static let buffersMax = 4096
  /// The most options that are read: there are some for each processor of each buffer. Those of a forged file can lie in each other.
  static let optionsMax = 1 << 18
  /// How long the description of one CPU's events is at least, in bytes: a file has room for so many of them. Those of a forged one can
  /// lie in each other.
  static let areaBytesMin = 16
  /// The most damaged places of the metadata that are told. A forged file can have one every few bytes.
  static let damageMax = 1024

  /// Where the kernel's symbols are.
  enum Symbols {
    case none
    /// In the file, as they are: at this offset, so many bytes.
    case text(offset: Int, count: Int)
    /// In a section, perhaps compressed.
    case section(UInt64)
  }

  var version: Int
  var bigEndian: Bool
  /// The size of a long in the traced user space.
  var userLongSize: Int
  /// The size of a long in the traced kernel, from `header_page`.
  var kernelLongSize = 8
  var pageBytes: Int
  /// The length of a sub-buffer, from `header_page`; nil where that does not say.
  var subBufferBytes: Int?
  /// What the file says of the recording that it is a copy of.
  var copyOrigin: CopyOrigin?
  /// Where in the file it says so.
  var copyOriginOffset = 0
  var compression: String = "none"
  var clock = ""
  var uname = ""
  var cpuCount = 0
  /// Where in the file the number of CPUs stands.
  var cpuCountOffset = 0
  var traceID: UInt64?
  var time = TimeConversion()
  var formats: [FormatText] = []
  /// How many options were read.
  private(set) var optionCount = 0
  /// How many descriptions of one CPU's events were read, of all buffers.
  private(set) var areaCount = 0
  /// Where sections begin: nothing that lies before one reaches behind it.
  var sectionOffsets: [Int] = []
  /// TIME_SHIFT: the clocks of a guest's CPUs by their numbers, nil for one that was not measured.
  var guestClocks: [GuestClock?] = []
  var symbols = Symbols.none
  var commands: [Int32: String] = [:]
  var printFormats: [(address: UInt64, text: String)] = []
  var buffers: [Buffer] = []
  /// Where the events end that lie last in the file, as that says.
  var describedEnd: UInt64 = 0
  /// Whether pieces of the file are missing between others, or are too many, nobody knows where: then nothing is certain.
  var isDisplaced = false
  /// Whether a buffer is left out, or some CPU's events of one.
  var lacksBuffer = false
  var lacksArea = false
  /// Whether events may be missing at any time of a CPU of which other events are there: those of another buffer.
  var lacksStream: Bool { lacksBuffer || lacksArea && buffers.count > 1 }
  /// The first damaged places.
  var damage: [Damage] = [] {
    didSet { if damage.count > Self.damageMax { damage.removeLast(damage.count - Self.damageMax) } }
  }
  /// The per-CPU statistics that the kernel kept, as text: its own account of what was lost.
  var cpuStatistics: [String] = []

  /// How many events those say were lost in all buffers, overwritten or not taken in; nil where there are none.
  var lostByCounters: UInt64? {
    var sum: UInt64?
    for text in cpuStatistics {
      for line in text.split(whereSeparator: \.isNewline) {
        let parts = line.split(separator: ":", maxSplits: 1)
        guard parts.count == 2, ["overrun", "dropped events"].contains(parts[0]),
          let count = UInt64(parts[1].filter { $0 != " " })
        else { continue }
        let (total, isOver) = (sum ?? 0).addingReportingOverflow(count)
        sum = isOver ? .max : total
      }
    }
    return sum
  }

  /// The largest pages of all buffers.
  var pageBytesMax: Int { buffers.map(\.pageBytes).max() ?? pageBytes }

  /// Another option is read, whose content begins at `offset`.
  mutating func countOption(at offset: Int) throws(ByteReader.Overrun) {
    optionCount += 1
    guard optionCount <= Self.optionsMax else { throw ByteReader.Overrun(offset: offset) }
  }

  /// Another description of one CPU's events is read, at `offset` of `fileBytes`.
  mutating func countArea(at offset: Int, of fileBytes: Int) throws(ByteReader.Overrun) {
    areaCount += 1
    guard areaCount <= fileBytes / Self.areaBytesMin else { throw ByteReader.Overrun(offset: offset) }
  }

  /// What makes nanoseconds of a CPU's stamps.
  func time(ofCPU cpu: UInt16) -> TimeConversion {
    var own = time
    if Int(cpu) < guestClocks.count { own.guestClock = guestClocks[Int(cpu)] }
    return own
  }
}
