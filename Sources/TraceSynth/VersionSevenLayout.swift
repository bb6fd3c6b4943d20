/// Version 7 of trace.dat: sections that options point at.
///
/// The order is trace-cmd's: metadata sections, a first options section that points at them, the
/// buffers, a second options section that points at the buffers, and the section descriptions. The
/// first options section ends with the offset of the second.
struct VersionSevenLayout {
  /// The numbers of sections and of the options that point at them.
  private enum SectionID {
    static let options: UInt16 = 0
    static let buffer: UInt16 = 3
    static let strings: UInt16 = 15
    static let metadata: ClosedRange<UInt16> = 16...21
  }

  private let description: TraceDescription
  private let areas: [[CPUArea]]
  private let compressor: Compressor?
  private var strings = TraceBytes(.little)
  private var out: TraceBytes

  init(_ description: TraceDescription, _ areas: [[CPUArea]]) {
    self.description = description
    self.areas = areas
    let compression = description.flavour.compression
    compressor = compression == .none ? nil : Compressor(compression)
    out = TraceBytes(description.flavour.byteOrder)
  }

  consuming func write(to output: OutputFile) throws(TraceWriteError) {
    let sections = metadataSections()
    start(sections)
    let first = options(pointers: metadata(sections))
    let firstBytes = 16 + first.count + Self.doneBytes
    var position = UInt64(out.count + firstBytes)

    var buffers: [(start: UInt64, end: UInt64, placed: [AreaPlacement])] = []
    for cpus in areas {
      let start = position
      position += 16
      let listed = cpus.filter { description.listsEmptyCPUs || $0.fileBytes > 0 }
      let placed = AreaPlacement.place(listed, alignment: description.areaAlignment, from: &position)
      buffers.append((start, position, placed))
    }

    section(SectionID.options, "options", done(first, next: position))
    for (index, buffer) in buffers.enumerated() {
      let name = description.buffers[index].name
      header(
        SectionID.buffer, "buffer flyrecord \(name)", isCompressed: compressor != nil,
        bytes: Int(buffer.end - buffer.start) - 16)
      try flush(to: output)
      for placement in buffer.placed { try placement.write(to: output) }
      try output.pad(to: buffer.end)
    }

    var second = TraceBytes(description.flavour.byteOrder)
    for (index, buffer) in buffers.enumerated() {
      option(SectionID.buffer, bufferOption(index, start: buffer.start, buffer.placed), &second)
    }
    section(SectionID.options, "options", done(second, next: 0))
    descriptions()
    try flush(to: output)
  }

  private typealias Section = (id: UInt16, name: String, body: [UInt8])

  /// The file's start: the compression's name and version, and where the first options section lies,
  /// which is right behind the metadata.
  private mutating func start(_ sections: [Section]) {
    var head = TraceBytes(description.flavour.byteOrder)
    description.fileStart(&head)
    let compression = description.flavour.compression
    head.cString(compression.rawValue)
    head.cString(description.compressionVersion ?? Compressor.version(compression))

    let optionsOffset = head.count + 8 + sections.reduce(0) { $0 + 16 + $1.body.count }
    head.u64(UInt64(optionsOffset))
    out = head
  }

  /// Writes the metadata sections; gives back the option and the offset of each.
  private mutating func metadata(_ sections: [Section]) -> [(id: UInt16, offset: UInt64)] {
    sections.map { section in
      let offset = UInt64(out.count)
      header(section.id, section.name, isCompressed: compressor != nil, bytes: section.body.count)
      out.raw(section.body)
      return (section.id, offset)
    }
  }

  private func metadataSections() -> [Section] {
    let parts: [(String, (inout TraceBytes) -> Void)] = [
      ("headers", description.headers), ("ftrace events", description.ftraceEvents),
      ("events format", description.eventFormats),
      ("kallsyms", { $0.sized32(description.kallsyms) }),
      ("printk", { $0.sized32(description.printkFormats) }),
      ("command lines", description.savedCommandLines),
    ]
    return zip(SectionID.metadata, parts).map { id, part in
      var plain = TraceBytes(description.flavour.byteOrder)
      part.1(&plain)
      return (id, part.0, packed(plain))
    }
  }

  // MARK: Options

  /// A DONE option: number, size, the next options section's offset.
  private static let doneBytes = 2 + 4 + 8

  private func options(pointers: [(id: UInt16, offset: UInt64)]) -> TraceBytes {
    var options = TraceBytes(description.flavour.byteOrder)
    for pointer in pointers {
      var payload = TraceBytes(options.byteOrder)
      payload.u64(pointer.offset)
      option(pointer.id, payload.bytes, &options)
    }
    for entry in description.options { option(entry.id, entry.payload(options.byteOrder), &options) }
    return options
  }

  private func done(_ options: TraceBytes, next: UInt64) -> TraceBytes {
    var options = options
    var payload = TraceBytes(options.byteOrder)
    payload.u64(next)
    option(0, payload.bytes, &options)
    return options
  }

  private func option(_ id: UInt16, _ payload: [UInt8], _ options: inout TraceBytes) {
    options.u16(id)
    options.u32(UInt32(payload.count))
    options.raw(payload)
  }

  private func bufferOption(_ index: Int, start: UInt64, _ placed: [AreaPlacement]) -> [UInt8] {
    let buffer = description.buffers[index]
    var data = TraceBytes(description.flavour.byteOrder)
    data.u64(start)
    data.cString(buffer.name)
    data.cString(buffer.clock)
    data.u32(UInt32(description.flavour.pageBytes))
    data.u32(UInt32(placed.count))
    for placement in placed {
      data.u32(placement.area.cpu)
      data.u64(placement.offset)
      data.u64(placement.area.fileBytes &+ UInt64(bitPattern: description.areaSizeError))
    }
    return data.bytes
  }

  // MARK: Sections

  private mutating func header(_ id: UInt16, _ name: String, isCompressed: Bool, bytes: Int) {
    out.u16(id)
    out.u16(isCompressed ? 1 : 0)
    out.u32(UInt32(strings.count))
    out.u64(UInt64(bytes))
    strings.cString(name)
  }

  private mutating func section(_ id: UInt16, _ name: String, _ body: TraceBytes) {
    header(id, name, isCompressed: false, bytes: body.count)
    out.raw(body.bytes)
  }

  /// The descriptions that section headers refer to by offset.
  private mutating func descriptions() {
    let name = UInt32(strings.count)
    strings.cString("strings")
    var plain = TraceBytes(out.byteOrder)
    plain.raw(strings.bytes)
    let body = packed(plain)
    out.u16(SectionID.strings)
    out.u16(compressor != nil ? 1 : 0)
    out.u32(name)
    out.u64(UInt64(body.count))
    out.raw(body)
  }

  /// A section's body: as it is, or sizes and a compressed frame.
  private func packed(_ plain: TraceBytes) -> [UInt8] {
    guard let compressor else { return plain.bytes }
    let frame = compressor.compress(plain.bytes)
    var body = TraceBytes(plain.byteOrder)
    body.u32(UInt32(frame.count))
    body.u32(UInt32(plain.count))
    body.raw(frame)
    return body.bytes
  }

  private mutating func flush(to output: OutputFile) throws(TraceWriteError) {
    try output.write(out.bytes)
    out = TraceBytes(out.byteOrder)
  }
}
