/// Reads the metadata of a trace.dat version 7: a chain of option sections that point at all others.
///
/// A section header is u16 id, u16 flags (1 = compressed), u32 description, u64 size of what follows. Where the
/// chain is broken, `TraceDatV7+Salvage.swift` goes from header to header instead.
struct TraceDatV7: ~Copyable {
  /// What the options point at, and which of them were read.
  struct Index {
    /// The most sections of metadata that are read: trace-cmd writes one of each kind. A forged file could name a million that
    /// lie in each other.
    static let metadataMax = 64

    var optionSections: Set<UInt64> = []
    var metadata: [(option: TraceDatOption, offset: UInt64)] = []
    var bufferSections: Set<UInt64> = []
  }

  /// The length of a section's header, in bytes.
  static let headerBytes = 16

  let file: FileBytes
  let bigEndian: Bool
  private let decompressor: Decompressor

  init(file: FileBytes, bigEndian: Bool, compression: Compression) {
    self.file = file
    self.bigEndian = bigEndian
    decompressor = Decompressor(compression)
  }

  /// Takes in everything that the option sections from `firstOptions` on point at; where they do not lead to a
  /// buffer, also what is found from `sections` on, where the first section of the file begins.
  func read(firstOptions: UInt64, sections: Int, into contents: inout TraceDatContents) {
    var index = Index()
    let isWhole = readOptionChain(from: firstOptions, into: &contents, index: &index)
    let found = walk(from: sections)
    reportAnother(behind: found, into: &contents)
    let isDescribed = isWhole && !contents.buffers.isEmpty
    if isDescribed {
      reportCut(in: found, into: &contents)
    } else {
      readMissed(found, into: &contents, index: &index)
    }
    // The header page decides how everything else is read; the order in the file is free.
    for wanted in [TraceDatOption.headerInfo, .ftraceEvents, .eventFormats, .printFormats, .commands] {
      for reference in index.metadata where reference.option == wanted {
        readSection(wanted, at: reference.offset, into: &contents)
      }
    }
    if !isDescribed {
      salvageBuffers(in: found, into: &contents, index: index)
      reportDisplacement(in: found, into: &contents)
    }
  }

  /// Follows the chain of option sections; false where it is broken.
  private func readOptionChain(
    from first: UInt64, into contents: inout TraceDatContents, index: inout Index
  ) -> Bool {
    var next = first
    while next != 0 {
      guard index.optionSections.insert(next).inserted else {
        contents.damage.append(
          Damage(offset: Int(clamping: next), what: "the chain of option sections runs in a circle"))
        return false
      }
      guard next < UInt64(file.count) else {
        contents.damage.append(
          Damage(
            offset: file.count, what: "the file ends before its option section, which begins at byte \(next)")
        )
        return false
      }
      do {
        contents.sectionOffsets.append(Int(next))
        next = try readOptions(at: next, into: &contents, index: &index)
      } catch {
        contents.damage.append(Damage(offset: Int(next), what: "an option section is damaged or cut"))
        return false
      }
    }
    return true
  }

  /// Reads one section of options and returns where the next one is, 0 for none.
  func readOptions(
    at offset: UInt64, into contents: inout TraceDatContents, index: inout Index
  ) throws -> UInt64 {
    var section = try open(.done, at: offset, into: &contents)
    while true {
      let id = try section.u16()
      let size = try section.u32()
      try contents.countOption(at: section.offset)
      // Where in the file the option's data stands, or its section if that was compressed.
      let place = section.isInMemory ? Int(offset) : section.offset
      var body = ByteReader(try section.slice(UInt64(size)), bigEndian: bigEndian)
      guard let option = TraceDatOption(rawValue: id) else { continue }
      switch option {
      case .done: return size >= 8 ? try body.u64() : 0
      case .symbols: contents.symbols = .section(try body.u64())
      case .headerInfo, .ftraceEvents, .eventFormats, .printFormats, .commands:
        let target = try body.u64()
        guard !index.metadata.contains(where: { $0 == (option, target) }) else { continue }
        guard index.metadata.count < Index.metadataMax else {
          contents.damage.append(
            Damage(
              offset: place, what: "there are more than \(Index.metadataMax) sections of metadata; left out"))
          continue
        }
        index.metadata.append((option, target))
      case .buffer:
        do {
          try readBuffer(&body, into: &contents, index: &index)
        } catch {
          contents.reportLackOfBuffer(
            Damage(
              offset: place, what: "the description of a buffer is damaged; the buffer is left out"))
        }
      case .bufferText:
        contents.damage.append(
          Damage(
            offset: place, what: "a buffer holds text of a latency tracer, which has no events")
        )
      default:
        contents.take(option, body, at: place)
      }
    }
  }

  /// Reads the option that describes a buffer: where its section is, and each CPU's area.
  private func readBuffer(
    _ body: inout ByteReader, into contents: inout TraceDatContents, index: inout Index
  ) throws {
    let sectionOffset = try body.u64()
    let name = try body.nulTerminated()
    let clock = try body.nulTerminated()
    let pageBytes = Int(try body.u32())
    guard TraceDatContents.isPageSize(pageBytes) else { throw ByteReader.Overrun(offset: body.offset) }
    var header = ByteReader(file, bigEndian: bigEndian)
    try header.seek(to: sectionOffset)
    let id = try header.u16()
    let isCompressed = try header.u16() & 1 != 0
    guard id == TraceDatOption.buffer.rawValue, contents.buffers.count < TraceDatContents.buffersMax else {
      throw ByteReader.Overrun(offset: header.offset)
    }
    var areas: [TraceDatContents.CPUArea] = []
    let count = try body.u32()
    // What the option has room for counts, whatever number it names.
    let room = body.remaining / Self.areaBytes
    let isNumberWrong = count != room && (Int(count) > room || body.remaining % Self.areaBytes == 0)
    if isNumberWrong {
      contents.reportLackOfBuffer(
        Damage(
          offset: Int(sectionOffset),
          what: "the buffer \"\(name)\" claims events of \(count) CPUs, and describes those of \(room)"))
    }
    for _ in 0..<(isNumberWrong ? room : Int(count)) {
      try contents.countArea(at: body.offset, of: file.count)
      let cpu = try body.u32()
      let offset = try body.u64()
      let size = try body.u64()
      contents.addArea(
        cpu: cpu, offset: offset, count: size, limit: file.count, isCompressed: isCompressed, to: &areas)
    }
    index.bufferSections.insert(sectionOffset)
    contents.sectionOffsets.append(Int(sectionOffset))
    contents.buffers.append(
      .init(
        name: name, clock: clock, pageBytes: pageBytes, isCompressed: isCompressed, areas: areas))
    if name.isEmpty, !clock.isEmpty { contents.clock = clock }
  }

  /// The length of one CPU's entry in the description of a buffer, in bytes.
  private static let areaBytes = 4 + 8 + 8

  private func readSection(_ option: TraceDatOption, at offset: UInt64, into contents: inout TraceDatContents)
  {
    do {
      var reader = try open(option, at: offset, into: &contents)
      let section = reader.isInMemory ? Int(offset) : nil
      switch option {
      case .headerInfo: try contents.readHeaderInfo(&reader)
      case .ftraceEvents: try contents.readFtraceFormats(&reader, section: section)
      case .eventFormats: try contents.readEventFormats(&reader, section: section)
      case .printFormats: try contents.readPrintFormats(&reader)
      default: try contents.readCommands(&reader)
      }
    } catch {
      contents.damage.append(
        Damage(
          offset: min(Int(clamping: offset), file.count),
          what: "the section of \(Self.name(option)) is damaged"))
    }
  }

  private static func name(_ option: TraceDatOption) -> String {
    switch option {
    case .headerInfo: "the ring buffer's headers"
    case .ftraceEvents: "ftrace's own event formats"
    case .eventFormats: "event formats"
    case .printFormats: "print formats"
    default: "command names"
    }
  }

  /// A reader over the body of the section of `kind` at `offset`, decompressed if need be.
  func open(
    _ kind: TraceDatOption, at offset: UInt64, into contents: inout TraceDatContents
  ) throws -> ByteReader {
    var header = ByteReader(file, bigEndian: bigEndian)
    try header.seek(to: offset)
    if try header.u16() == kind.rawValue { contents.sectionOffsets.append(Int(offset)) }
    let flags = try header.u16()
    _ = try header.u32()
    let size = try header.u64()
    let start = header.offset
    try header.skip(size)
    guard flags & 1 != 0 else {
      return ByteReader(file, bigEndian: bigEndian, at: start, end: header.offset)
    }
    var body = ByteReader(file, bigEndian: bigEndian, at: start, end: header.offset)
    let compressed = try body.u32()
    let uncompressed = Int(try body.u32())
    let input = try body.slice(UInt64(compressed))
    guard let section = file.hold(uncompressed, fill: { decompressor.decompress(input, into: $0) }) else {
      throw ByteReader.Overrun(offset: start)
    }
    return ByteReader(section, bigEndian: bigEndian)
  }
}
