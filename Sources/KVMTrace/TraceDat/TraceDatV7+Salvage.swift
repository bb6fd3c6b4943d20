// A version 7 file is described at its end: trace-cmd writes the option that says where each CPU's events lie
// behind those events. A file that was cut has lost it. But every section has a header of its own, so that the
// sections can be found from the front, and the events in them.

extension TraceDatV7 {
  /// A section as its header describes it.
  struct Section {
    var id: UInt16
    var isCompressed: Bool
    /// Where the header begins.
    var offset: Int
    /// Where the body ends: the file's end where the section is cut.
    var end: Int
    var isCut: Bool

    var body: Int { offset + TraceDatV7.headerBytes }
  }

  /// Reads the options among `sections` that the chain did not lead to, and adds the metadata to `index`.
  func readMissed(_ sections: [Section], into contents: inout TraceDatContents, index: inout Index) {
    for section in sections {
      guard let option = TraceDatOption(rawValue: section.id) else { continue }
      switch option {
      case .done:
        // Where the section is damaged, what stands before the damage counts; the broken chain is reported already.
        guard index.optionSections.insert(UInt64(section.offset)).inserted else { continue }
        _ = try? readOptions(at: UInt64(section.offset), into: &contents, index: &index)
      case .symbols:
        if case .none = contents.symbols { contents.symbols = .section(UInt64(section.offset)) }
      case .headerInfo, .ftraceEvents, .eventFormats, .printFormats, .commands:
        let isKnown = index.metadata.contains { $0.option == option }
        if !isKnown { index.metadata.append((option, UInt64(section.offset))) }
      default: break
      }
    }
  }

  /// Reports that the file ends inside its last section, where the chain of options does not: only descriptions of
  /// sections stand there, but who copied the file should know.
  func reportCut(in sections: [Section], into contents: inout TraceDatContents) {
    guard let last = sections.last, last.isCut, last.id != TraceDatOption.buffer.rawValue else { return }
    contents.damage.append(
      Damage(
        offset: file.count, what: "the file ends inside its last section, which begins at byte \(last.offset)"
      ))
  }

  /// Reports what stands behind the last section.
  func reportAnother(behind sections: [Section], into contents: inout TraceDatContents) {
    guard let last = sections.last, !last.isCut else { return }
    contents.reportAnother(in: file, at: last.end)
  }

  /// Finds the CPUs' areas in those buffers of `sections` that no option describes.
  func salvageBuffers(in sections: [Section], into contents: inout TraceDatContents, index: Index) {
    for section in sections
    where section.id == TraceDatOption.buffer.rawValue
      && !index.bufferSections.contains(UInt64(section.offset))
    {
      guard contents.buffers.count < TraceDatContents.buffersMax else {
        contents.reportLackOfBuffer(
          Damage(
            offset: section.offset,
            what:
              "there are more than \(TraceDatContents.buffersMax) buffers; those from here on are left out"))
        return
      }
      let pageBytes = contents.subBufferBytes ?? contents.pageBytes
      let ranges =
        section.isCompressed
        ? compressedAreas(
          section, alignment: min(contents.pageBytes, Self.packedAlignment), pageBytes: pageBytes)
        : plainAreas(
          section, alignment: contents.pageBytes, pageBytes: pageBytes, cpuCount: contents.cpuCount)
      contents.sectionOffsets.append(section.offset)
      let areas = ranges.prefix(Int(UInt16.max)).enumerated().map {
        position, range -> TraceDatContents.CPUArea in
        var area = TraceDatContents.CPUArea(
          cpu: UInt16(position), offset: range.lowerBound, count: range.count)
        area.isOpen = section.isCompressed && range.upperBound == section.end
        return area
      }
      let hasTop = contents.buffers.contains { $0.name.isEmpty }
      contents.buffers.append(
        .init(
          name: hasTop ? "buffer \(contents.buffers.count + 1)" : "", clock: contents.clock,
          pageBytes: pageBytes, isCompressed: section.isCompressed, areas: areas))
      let numbers = areas.count == contents.cpuCount ? "" : "; CPU numbers are assumed"
      contents.damage.append(
        Damage(
          offset: section.offset,
          what: "a buffer has no description; events of \(areas.count) CPU\(areas.count == 1 ? "" : "s") "
            + "were found in it\(numbers)"))
    }
  }

  /// The sections from `start` on, as far as one header leads to another.
  func walk(from start: Int) -> [Section] {
    var sections: [Section] = []
    var header = ByteReader(file, bigEndian: bigEndian, at: start)
    while header.remaining > 0 {
      guard header.remaining >= Self.headerBytes else {
        // The beginning of a header, unless it is nothing at all.
        var rest = header
        var isEmpty = true
        while let byte = try? rest.u8() { isEmpty = isEmpty && byte == 0 }
        guard !isEmpty else { break }
        sections.append(
          Section(
            id: Self.sectionIDMax, isCompressed: false, offset: header.offset, end: file.count, isCut: true))
        break
      }
      guard let (id, flags, size) = Self.sectionHeader(&header) else { break }
      let offset = header.offset - Self.headerBytes
      // The size of a buffer is filled in when it is complete; that of one without events is 0, and the next section follows.
      var next = header
      let isEmpty = size == 0 && Self.sectionHeader(&next) != nil
      let isWhole = isEmpty || size > 0 && size <= UInt64(header.remaining)
      let end = isWhole ? header.offset + Int(size) : file.count
      sections.append(
        Section(id: id, isCompressed: flags & 1 != 0, offset: offset, end: end, isCut: !isWhole))
      guard isWhole else { break }
      header.offset = end
    }
    return sections
  }

  /// What a section's header says, which `reader` is then behind; nil where there is none.
  private static func sectionHeader(_ reader: inout ByteReader) -> (id: UInt16, flags: UInt16, size: UInt64)?
  {
    guard let id = try? reader.u16(), let flags = try? reader.u16(), (try? reader.u32()) != nil,
      let size = try? reader.u64(), id <= sectionIDMax, flags <= 1, size < sectionBytesMax,
      size > 0 || id == TraceDatOption.buffer.rawValue
    else { return nil }
    return (id, flags, size)
  }

  /// The highest number that a section may have; trace-cmd writes up to 25.
  private static let sectionIDMax: UInt16 = 32
  /// What is longer is no section: what follows a buffer's header may be its first chunk.
  private static let sectionBytesMax: UInt64 = 1 << 47
  /// The least that recorders align compressed events to, in bytes, where pages are no smaller.
  private static let packedAlignment = 4096

  /// The areas of a compressed buffer: each begins at a multiple of `alignment` in the file with the number of its chunks.
  private func compressedAreas(_ section: Section, alignment: Int, pageBytes: Int) -> [Range<Int>] {
    var areas: [Range<Int>] = []
    var reader = ByteReader(file, bigEndian: bigEndian, end: section.end)
    var start = Self.aligned(section.body, to: alignment)
    while start < section.end {
      reader.offset = start
      guard let chunks = try? reader.u32() else { break }
      guard chunks > 0 else {
        start += alignment
        continue
      }
      for chunk in 0..<chunks {
        guard let packed = try? reader.u32(), let plain = try? reader.u32(),
          plain > 0, Int(plain) <= Decompressor.chunkBytesMax(pageBytes: pageBytes, areas: 1),
          Int(plain) % pageBytes == 0,
          (try? reader.skip(UInt64(packed))) != nil
        else {
          // Cut or damaged here, but what lies before this chunk is good.
          if chunk > 0 { areas.append(start..<section.end) }
          return areas
        }
      }
      areas.append(start..<reader.offset)
      start = Self.aligned(reader.offset, to: alignment)
    }
    return areas
  }

  /// The areas of a buffer that is stored as it is: pages, without a mark between two CPUs. An area begins where a
  /// page is older than the one before it. Where one CPU's events are all younger than those of the CPU before it,
  /// the two pass for one; the order of the events is right even so.
  private func plainAreas(
    _ section: Section, alignment: Int, pageBytes: Int, cpuCount: Int
  ) -> [Range<Int>] {
    var areas: [Range<Int>] = []
    var start = Self.aligned(section.body, to: alignment)
    var newest: UInt64 = 0
    var reader = ByteReader(file, bigEndian: bigEndian)
    var page = start
    while page + pageBytes <= section.end {
      reader.offset = page
      guard let stamp = try? reader.u64() else { break }
      if stamp < newest, areas.count + 1 < cpuCount {
        areas.append(start..<page)
        start = page
      }
      newest = stamp
      page += pageBytes
    }
    if start < section.end { areas.append(start..<section.end) }
    return areas
  }

  private static func aligned(_ offset: Int, to alignment: Int) -> Int {
    (offset + alignment - 1) / alignment * alignment
  }
}
