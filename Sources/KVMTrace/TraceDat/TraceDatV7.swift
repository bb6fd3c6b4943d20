/// Reads the metadata of a trace.dat version 7: a chain of option sections that point at all others.
///
/// A section header is u16 id, u16 flags (1 = compressed), u32 description, u64 size of what follows.
struct TraceDatV7: ~Copyable {
  private let file: UnsafeRawBufferPointer
  private let bigEndian: Bool
  private let decompressor: Decompressor

  init(file: UnsafeRawBufferPointer, bigEndian: Bool, compression: Compression) {
    self.file = file
    self.bigEndian = bigEndian
    decompressor = Decompressor(compression)
  }

  /// Takes in everything that the option sections from `firstOptions` on point at.
  func read(firstOptions: UInt64, into contents: inout TraceDatContents) {
    var references: [(option: TraceDatOption, offset: UInt64)] = []
    var next = firstOptions
    var visited: Set<UInt64> = []
    do {
      while next != 0 {
        guard visited.insert(next).inserted else {
          contents.damage.append(
            Damage(offset: Int(next), what: "the chain of option sections runs in a circle"))
          break
        }
        next = try readOptions(at: next, into: &contents, references: &references)
      }
    } catch {
      contents.damage.append(
        Damage(
          offset: Int(clamping: next),
          what: next >= UInt64(file.count)
            ? "the file ends before its option section at byte \(next)" : "an option section is damaged"))
    }
    // The header page decides how everything else is read; the order in the file is free.
    for wanted in [TraceDatOption.headerInfo, .ftraceEvents, .eventFormats, .printFormats, .commands] {
      for reference in references where reference.option == wanted {
        readSection(wanted, at: reference.offset, into: &contents)
      }
    }
  }

  /// Reads one section of options and returns where the next one is, 0 for none.
  private func readOptions(
    at offset: UInt64, into contents: inout TraceDatContents,
    references: inout [(option: TraceDatOption, offset: UInt64)]
  ) throws -> UInt64 {
    var section = try open(at: offset, into: &contents).reader
    while true {
      let id = try section.u16()
      let size = try section.u32()
      let start = section.offset
      var body = ByteReader(try section.slice(UInt64(size)), bigEndian: bigEndian)
      guard let option = TraceDatOption(rawValue: id) else { continue }
      switch option {
      case .done: return size >= 8 ? try body.u64() : 0
      case .headerInfo, .ftraceEvents, .eventFormats, .printFormats, .commands:
        references.append((option, try body.u64()))
      case .buffer:
        do {
          try readBuffer(&body, into: &contents)
        } catch {
          contents.damage.append(
            Damage(
              offset: Int(offset) + start,
              what: "the description of a buffer is damaged; the buffer is left out"))
        }
      default:
        do {
          try contents.apply(option, body)
        } catch {
          contents.damage.append(
            Damage(offset: Int(offset) + start, what: "option \(id) is shorter than it must be"))
        }
      }
    }
  }

  /// Reads the option that describes a buffer: where its section is, and each CPU's area.
  private func readBuffer(_ body: inout ByteReader, into contents: inout TraceDatContents) throws {
    let sectionOffset = try body.u64()
    let name = try body.nulTerminated()
    let clock = try body.nulTerminated()
    let pageBytes = Int(try body.u32())
    guard (512...(16 << 20)).contains(pageBytes), pageBytes & (pageBytes - 1) == 0 else {
      throw ByteReader.Overrun(offset: body.offset)
    }
    var areas: [TraceDatContents.CPUArea] = []
    let count = try body.u32()
    for _ in 0..<count {
      let cpu = try body.u32()
      let offset = try body.u64()
      let size = try body.u64()
      contents.addArea(cpu: cpu, offset: offset, count: size, limit: file.count, to: &areas)
    }
    var header = ByteReader(file, bigEndian: bigEndian)
    try header.seek(to: sectionOffset)
    _ = try header.u16()
    let flags = try header.u16()
    contents.buffers.append(
      .init(
        name: name, clock: clock, pageBytes: pageBytes, isCompressed: flags & 1 != 0, areas: areas))
    if name.isEmpty, !clock.isEmpty { contents.clock = clock }
  }

  private func readSection(_ option: TraceDatOption, at offset: UInt64, into contents: inout TraceDatContents)
  {
    do {
      var (reader, owner) = try open(at: offset, into: &contents)
      if let owner { contents.sections.append(owner) }
      switch option {
      case .headerInfo: try contents.readHeaderInfo(&reader)
      case .ftraceEvents: try contents.readFtraceFormats(&reader)
      case .eventFormats: try contents.readEventFormats(&reader)
      case .printFormats: try contents.readPrintFormats(&reader)
      default: try contents.readCommands(&reader)
      }
    } catch {
      contents.damage.append(
        Damage(offset: Int(clamping: offset), what: "the section of \(Self.name(option)) is damaged"))
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

  /// A reader over the body of the section at `offset`, decompressed if need be, and the owner of those bytes.
  private func open(
    at offset: UInt64, into contents: inout TraceDatContents
  ) throws -> (reader: ByteReader, owner: SectionBytes?) {
    var header = ByteReader(file, bigEndian: bigEndian)
    try header.seek(to: offset)
    _ = try header.u16()
    let flags = try header.u16()
    _ = try header.u32()
    let size = try header.u64()
    let body = try header.slice(size)
    guard flags & 1 != 0 else { return (ByteReader(body, bigEndian: bigEndian), nil) }
    var sizes = ByteReader(body, bigEndian: bigEndian)
    let compressed = try sizes.u32()
    let uncompressed = Int(try sizes.u32())
    let input = try sizes.slice(UInt64(compressed))
    guard uncompressed <= Decompressor.uncompressedBytesMax else { throw ByteReader.Overrun(offset: 0) }
    let section = SectionBytes(count: uncompressed)
    guard decompressor.decompress(input, into: section.bytes) else { throw ByteReader.Overrun(offset: 0) }
    return (ByteReader(UnsafeRawBufferPointer(section.bytes), bigEndian: bigEndian), section)
  }
}
