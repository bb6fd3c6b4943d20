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
      contents.cpuCountOffset = reader.offset
      contents.cpuCount = Int(try reader.u32())
      try readBuffer(&reader, name: "", into: &contents, instances: &instances)
    } catch {
      contents.damage.append(
        Damage(offset: reader.offset, what: "the file ends, or is damaged, inside its metadata"))
    }
    // An instance may name instances itself, and a damaged one even itself.
    var visited: Set<UInt64> = []
    var next = 0
    while next < instances.count {
      let instance = instances[next]
      next += 1
      guard visited.insert(instance.offset).inserted else { continue }
      do {
        try reader.seek(to: instance.offset)
        contents.sectionOffsets.append(Int(instance.offset))
        try readBuffer(&reader, name: instance.name, into: &contents, instances: &instances)
      } catch {
        contents.reportLackOfBuffer(
          Damage(
            offset: min(Int(clamping: instance.offset), reader.count),
            what: "the file ends, or is damaged, before the events of the buffer \(instance.name)"))
        if instance.offset < UInt64(reader.count) {
          contents.reportDisplacement(
            at: Int(instance.offset), "the buffer \(instance.name) does not begin where the file says")
        }
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
    let areas = try readAreas(&reader, into: &contents)
    if !contents.clock.isEmpty, let length = try? reader.u64(),
      length <= 4096, let text = try? reader.text(length)
    {
      contents.setClock(text)
    }
    contents.buffers.append(
      .init(
        name: name, clock: contents.clock, pageBytes: contents.pageBytes, isCompressed: false, areas: areas))
  }

  /// Reads the table of the CPUs' areas. It ends before the first of them at the latest, and goes on as long as entries
  /// stand there, whatever the number of CPUs is said to be.
  private static func readAreas(
    _ reader: inout ByteReader, into contents: inout TraceDatContents
  ) throws -> [TraceDatContents.CPUArea] {
    let claimed = contents.cpuCount
    var areas: [TraceDatContents.CPUArea] = []
    var dataStart = UInt64(reader.count)
    var cpu: UInt32 = 0
    var found = 0
    var table = reader
    while cpu <= UInt32(UInt16.max), UInt64(table.offset) + 16 <= dataStart {
      try contents.countArea(at: table.offset, of: reader.count)
      let (offset, count) = (try table.u64(), try table.u64())
      // Behind the table stands the length of the clock's name, or nothing.
      let isCounted = cpu < claimed
      let isBehind = offset >= UInt64(table.offset)
      let isPage = offset % UInt64(contents.pageBytes) == 0 && offset < UInt64(reader.count)
      let isEntry = count > 0 && isBehind && (isCounted || isPage)
      guard isEntry || count == 0 && (isCounted || isPage) else { break }
      cpu += 1
      if isCounted || isEntry {
        reader = table
        found = Int(cpu)
      }
      if isEntry { dataStart = min(dataStart, offset) }
      if isEntry || isCounted && isBehind {
        contents.addArea(cpu: cpu - 1, offset: offset, count: count, limit: reader.count, to: &areas)
      }
    }
    if found != claimed {
      if claimed > 0, found == 0 { throw ByteReader.Overrun(offset: table.offset) }
      contents.cpuCount = found
      contents.reportLackOfBuffer(
        Damage(
          offset: contents.cpuCountOffset,
          what: "\(claimed) CPUs are claimed, and there is a list of the events of \(found)"))
    }
    return areas
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
      try contents.countOption(at: start)
      var body = ByteReader(try reader.slice(UInt64(size)), bigEndian: reader.bigEndian)
      guard let option = TraceDatOption(rawValue: id) else { continue }
      guard option == .buffer else {
        contents.take(option, body, at: start)
        continue
      }
      guard instances.count < TraceDatContents.buffersMax else { continue }
      do {
        // The writer stores this offset in its own byte order, whatever the file's is: take what fits.
        let stored = try body.u64()
        let offset = stored <= UInt64(reader.count) ? stored : stored.byteSwapped
        instances.append(Instance(name: try body.nulTerminated(), offset: offset))
      } catch {
        contents.damage.append(Damage(offset: start, what: "option \(id) is shorter than it must be"))
      }
    }
  }
}
