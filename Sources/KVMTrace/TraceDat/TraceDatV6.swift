/// Reads the metadata of a trace.dat version 6: one fixed sequence, then tags of ten bytes that say what follows.
enum TraceDatV6 {
  /// A buffer besides the top one, and where its tag stands.
  private struct Instance {
    var name: String
    var offset: UInt64
  }

  /// Takes in everything behind the common start of the file, at which `reader` stands.
  static func read(_ reader: inout ByteReader, into contents: inout TraceDatContents) {
    var instances: [Instance] = []
    do {
      try contents.readHeaderInfo(&reader)
      try contents.readFtraceFormats(&reader)
      try contents.readEventFormats(&reader)
      try contents.skipSymbols(&reader)
      try contents.readPrintFormats(&reader)
      try contents.readCommands(&reader)
      contents.cpuCount = Int(try reader.u32())
      try readBuffer(&reader, name: "", into: &contents, instances: &instances)
    } catch {
      contents.damage.append(
        Damage(offset: reader.offset, what: "the file ends, or is damaged, inside its metadata"))
    }
    // An instance may name instances itself, and a damaged one even itself.
    var visited: Set<UInt64> = []
    while !instances.isEmpty {
      let instance = instances.removeFirst()
      guard visited.insert(instance.offset).inserted else { continue }
      do {
        try reader.seek(to: instance.offset)
        try readBuffer(&reader, name: instance.name, into: &contents, instances: &instances)
      } catch {
        contents.damage.append(
          Damage(
            offset: min(Int(clamping: instance.offset), reader.bytes.count),
            what: "the file ends, or is damaged, before the events of the buffer \(instance.name)"))
      }
    }
  }

  /// Reads from a ten-byte tag on: options, if any, then the table of the CPUs' areas.
  private static func readBuffer(
    _ reader: inout ByteReader, name: String, into contents: inout TraceDatContents,
    instances: inout [Instance]
  ) throws {
    var tag = try reader.text(10)
    if tag.hasPrefix("options") {
      try readOptions(&reader, into: &contents, instances: &instances)
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
  }

  private static func readOptions(
    _ reader: inout ByteReader, into contents: inout TraceDatContents, instances: inout [Instance]
  ) throws {
    while true {
      let id = try reader.u16()
      // The end marker has no size in this version.
      if id == TraceDatOption.done.rawValue { return }
      let size = try reader.u32()
      let start = reader.offset
      var body = ByteReader(try reader.slice(UInt64(size)), bigEndian: reader.bigEndian)
      guard let option = TraceDatOption(rawValue: id) else { continue }
      do {
        if option == .buffer {
          // The writer stores this offset in its own byte order, whatever the file's is: take what fits.
          let stored = try body.u64()
          let offset = stored <= UInt64(reader.bytes.count) ? stored : stored.byteSwapped
          instances.append(Instance(name: try body.nulTerminated(), offset: offset))
        } else {
          try contents.apply(option, body)
        }
      } catch {
        contents.damage.append(Damage(offset: start, what: "option \(id) is shorter than it must be"))
      }
    }
  }
}
