/// Reads the metadata of a trace.dat version 6: one fixed sequence, then tags of ten bytes that say what follows.
enum TraceDatV6 {
  /// Takes in everything behind the common start of the file, at which `reader` stands.
  static func read(_ reader: inout ByteReader, into contents: inout TraceDatContents) {
    do {
      try contents.readHeaderInfo(&reader)
      try contents.readFtraceFormats(&reader)
      try contents.readEventFormats(&reader)
      try contents.skipSymbols(&reader)
      try contents.readPrintFormats(&reader)
      try contents.readCommands(&reader)
      contents.cpuCount = Int(try reader.u32())
      try readBuffer(&reader, name: "", into: &contents)
    } catch {
      contents.damage.append(
        Damage(offset: reader.offset, what: "the file ends, or is damaged, inside its metadata"))
    }
  }

  /// Reads from a ten-byte tag on: options, if any, then the table of the CPUs' areas.
  private static func readBuffer(
    _ reader: inout ByteReader, name: String, into contents: inout TraceDatContents
  ) throws {
    var instances: [(name: String, offset: UInt64)] = []
    var tag = try reader.text(10)
    if tag.hasPrefix("options") {
      instances = try readOptions(&reader, into: &contents)
      tag = try reader.text(10)
    }
    if tag.hasPrefix("latency") {
      contents.damage.append(
        Damage(offset: reader.offset, what: "a buffer holds text of a latency tracer, which has no events"))
      return
    }
    guard tag.hasPrefix("flyrecord") else { throw ByteReader.Overrun(offset: reader.offset - 10) }
    var areas: [TraceDatContents.CPUArea] = []
    for cpu in 0..<contents.cpuCount {
      let offset = try reader.u64()
      let count = try reader.u64()
      contents.addArea(cpu: UInt32(cpu), offset: offset, count: count, limit: reader.bytes.count, to: &areas)
    }
    if !contents.clock.isEmpty, let length = try? reader.u64(),
      length <= 4096, let text = try? reader.text(length)
    {
      contents.setClock(text)
    }
    contents.buffers.append(
      .init(
        name: name, clock: contents.clock, pageBytes: contents.pageBytes, isCompressed: false, areas: areas))
    for instance in instances {
      try reader.seek(to: instance.offset)
      try readBuffer(&reader, name: instance.name, into: &contents)
    }
  }

  private static func readOptions(
    _ reader: inout ByteReader, into contents: inout TraceDatContents
  ) throws -> [(name: String, offset: UInt64)] {
    var instances: [(name: String, offset: UInt64)] = []
    while true {
      let id = try reader.u16()
      // The end marker has no size in this version.
      if id == TraceDatOption.done.rawValue { return instances }
      let size = try reader.u32()
      let start = reader.offset
      var body = ByteReader(try reader.slice(UInt64(size)), bigEndian: reader.bigEndian)
      guard let option = TraceDatOption(rawValue: id) else { continue }
      do {
        if option == .buffer {
          // The writer stores this offset in its own byte order, whatever the file's is: take what fits.
          let stored = try body.u64()
          let offset = stored <= UInt64(reader.bytes.count) ? stored : stored.byteSwapped
          instances.append((try body.nulTerminated(), offset))
        } else {
          try contents.apply(option, body)
        }
      } catch {
        contents.damage.append(Damage(offset: start, what: "option \(id) is shorter than it must be"))
      }
    }
  }
}

extension TraceDatContents {
  /// Takes in one CPU's area, cut where the file ends.
  mutating func addArea(cpu: UInt32, offset: UInt64, count: UInt64, limit: Int, to areas: inout [CPUArea]) {
    guard let cpu = UInt16(exactly: cpu) else {
      damage.append(Damage(offset: 0, what: "CPU \(cpu) has a number that no kernel gives; left out"))
      return
    }
    guard count > 0 else { return }
    guard offset < UInt64(limit) else {
      damage.append(
        Damage(
          offset: limit, cpu: cpu,
          what: "the file ends before the events of CPU \(cpu), which begin at byte \(offset)"))
      return
    }
    var length = Int(clamping: count)
    if length > limit - Int(offset) {
      length = limit - Int(offset)
      damage.append(
        Damage(
          offset: limit, cpu: cpu,
          what: "the file ends inside the events of CPU \(cpu): \(length) of \(count) bytes are there"))
    }
    areas.append(CPUArea(cpu: cpu, offset: Int(offset), count: length))
  }

  /// Takes the active clock out of a list such as "[local] global".
  mutating func setClock(_ list: String) {
    if let open = list.firstIndex(of: "["), let close = list[open...].firstIndex(of: "]") {
      clock = String(list[list.index(after: open)..<close])
    }
  }
}
