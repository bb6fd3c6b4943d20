internal import Glibc

/// What a perf.data says besides its samples: of the host, of the formats of events, of threads.
///
/// In a file these are sections behind the records (features), in what a pipe delivered they are records.
struct PerfMetadata {
  /// The features that mean something here (tools/perf/util/header.h).
  enum Feature {
    static let tracingData = 1
    static let hostname = 3
    static let release = 4
    static let machine = 6
    static let cpuCount = 7
    static let eventDescriptions = 12
  }

  /// The most threads whose commands are kept.
  private static let commandsMax = 1 << 18
  /// So many damaged places are kept.
  static let damageMax = 256
  /// The longest command, with its end: TASK_COMM_LEN of the kernel.
  private static let commandBytesMax = 64
  /// The longest name of a host that is believed, in bytes.
  private static let textBytesMax: UInt32 = 4096
  /// So many events are named where a file has none that can be read.
  private static let namesMax = 3

  private(set) var hostname = ""
  private(set) var release = ""
  private(set) var machine = ""
  private(set) var cpuCount = 0
  private(set) var commands: [Int32: String] = [:]
  /// The names of the first events, such as "cycles:P".
  private(set) var eventNames: [String] = []
  /// Formats, and sizes of the host; nil where there are none.
  private(set) var formats: TraceDatContents?
  /// The first damaged places.
  var damage: [Damage] = [] {
    didSet { if damage.count > Self.damageMax { damage.removeLast(damage.count - Self.damageMax) } }
  }

  /// What a file says behind its records.
  init(_ header: PerfHeader, _ file: FileBytes) {
    for (feature, bytes) in header.features {
      var reader = ByteReader(file, bigEndian: header.bigEndian, at: bytes.lowerBound, end: bytes.upperBound)
      take(feature, &reader, file)
    }
  }

  /// `uname` as far as perf records it: not the version, which is the date of the kernel's build.
  var uname: String {
    let words = ["Linux", hostname, release, machine]
    return words.contains("") ? "" : words.joined(separator: " ")
  }

  private mutating func take(cpuCount count: Int, at offset: Int) {
    guard count > HostLimits.cpusMax else { return cpuCount = count }
    damage.append(
      Damage(
        offset: offset,
        what: "\(count) CPUs are claimed, which no kernel numbers; only those with events are counted"))
  }

  /// Takes in a feature, which `reader` ends with.
  mutating func take(_ feature: Int, _ reader: inout ByteReader, _ file: FileBytes) {
    let begin = reader.offset
    do {
      switch feature {
      case Feature.tracingData: takeFormats(file, begin..<reader.count, bigEndian: reader.bigEndian)
      case Feature.hostname: hostname = try text(&reader)
      case Feature.release: release = try text(&reader)
      case Feature.machine: machine = try text(&reader)
      case Feature.cpuCount: take(cpuCount: Int(try reader.u32()), at: begin)
      case Feature.eventDescriptions: try readNames(&reader)
      default: break
      }
    } catch {
      damage.append(
        Damage(
          offset: begin, what: "what the file says of its host or events (feature \(feature)) is damaged"))
    }
  }

  /// A text: u32 length with what fills it up, then the bytes, with zeros behind.
  private func text(_ reader: inout ByteReader) throws -> String {
    let length = try reader.u32()
    guard length <= Self.textBytesMax else { throw ByteReader.Overrun(offset: reader.offset) }
    let bytes = try reader.slice(UInt64(length)).prefix { $0 != 0 }
    return String(decoding: bytes.filter { $0 > 0x20 && $0 != 0x7f }, as: UTF8.self)
  }

  /// u32 number of events, u32 size of an attribute; for each the attribute, u32 number of instances, its name, the instances.
  private mutating func readNames(_ reader: inout ByteReader) throws {
    let (count, attributeBytes) = (try reader.u32(), try reader.u32())
    eventNames = []
    for _ in 0..<min(Int(count), Self.namesMax) {
      try reader.skip(UInt64(attributeBytes))
      let instances = try reader.u32()
      eventNames.append(try text(&reader))
      try reader.skip(8 * UInt64(instances))
    }
  }

  /// The formats of events lie in `bytes` of the file as at the beginning of a trace.dat (tools/perf/util/trace-event-info.c):
  ///
  ///     17 08 44 "tracing" version byte order, size of a long, page size,
  ///     header_page, header_event, ftrace's formats, formats of the systems, symbols, print formats; from version 0.6 on commands
  mutating func takeFormats(_ file: FileBytes, _ bytes: Range<Int>, bigEndian: Bool) {
    var reader = ByteReader(file, bigEndian: bigEndian, at: bytes.lowerBound, end: bytes.upperBound)
    var contents: TraceDatContents?
    do {
      let magic = TraceDatOpener.magic
      guard try reader.slice(UInt64(magic.count)).elementsEqual(magic) else {
        throw ByteReader.Overrun(offset: reader.offset)
      }
      let version = try reader.nulTerminated()
      reader.bigEndian = try reader.u8() != 0
      let longSize = Int(try reader.u8())
      let pageBytes = Int(try reader.u32())
      contents = TraceDatContents(
        version: 6, bigEndian: reader.bigEndian, userLongSize: longSize, pageBytes: pageBytes)
      try contents!.readHeaderInfo(&reader)
      try contents!.readFtraceFormats(&reader)
      try contents!.readEventFormats(&reader)
      try contents!.skipSymbols(&reader)
      try contents!.readPrintFormats(&reader)
      if version != "0.5" { try contents!.readCommands(&reader) }
    } catch {
      damage.append(
        Damage(
          offset: reader.offset,
          what: "the formats of events end, or are damaged; \(contents?.formats.count ?? 0) are known"))
    }
    guard let contents, formats == nil || contents.formats.count > formats!.formats.count else { return }
    formats = contents
    for (tid, command) in contents.commands where commands[tid] == nil { set(command, of: tid) }
  }

  /// Looks for the formats all through the file, where nothing leads to them.
  mutating func searchFormats(_ file: FileBytes, _ header: PerfHeader) {
    guard let place = Self.find(TraceDatOpener.magic, in: file, from: header.records.lowerBound) else {
      return
    }
    takeFormats(file, place..<file.count, bigEndian: header.bigEndian)
    if formats != nil {
      damage.append(
        Damage(
          offset: place, what: "the formats of events stand here, and nothing leads to them; they are used"))
    }
  }

  /// Where `bytes` stand first.
  static func find(_ bytes: [UInt8], in file: FileBytes, from begin: Int) -> Int? {
    let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
    defer { piece.deallocate() }
    var place = begin
    while true {
      let count = file.read(at: place, into: piece)
      guard count >= bytes.count else { return nil }
      let base = piece.baseAddress!
      var begin = 0
      while let first = memchr(base + begin, Int32(bytes[0]), count - bytes.count + 1 - begin) {
        if memcmp(first, bytes, bytes.count) == 0 { return place + (first - base) }
        begin = first - base + 1
      }
      place += count - bytes.count + 1
    }
  }

  private mutating func set(_ command: String, of tid: Int32) {
    if commands.count < Self.commandsMax || commands[tid] != nil { commands[tid] = command }
  }

  /// PERF_RECORD_COMM: u32 process, u32 thread, the command, with zeros behind. A thread keeps its last command.
  mutating func takeCommand(_ record: PerfRecord) {
    guard record.size > 16 else { return }
    let bytes = UnsafeRawBufferPointer(
      start: record.base + 16, count: min(record.size - 16, Self.commandBytesMax))
    set(String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self), of: Int32(bitPattern: record.word32(12)))
  }

  /// PERF_RECORD_FORK: u32 process, its parent, thread, its parent. A thread has its parent's command until it is given another.
  mutating func takeFork(_ record: PerfRecord) {
    guard record.size >= 24, let command = commands[Int32(bitPattern: record.word32(20))] else { return }
    set(command, of: Int32(bitPattern: record.word32(16)))
  }
}
