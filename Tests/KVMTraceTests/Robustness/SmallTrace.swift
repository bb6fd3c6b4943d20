import TraceSynth

/// Small files with a bit of everything, to be damaged.
enum SmallTrace: String, CaseIterable, Codable, Sendable {
  case v6
  case v6BigEndian32
  case v7
  case v7Zstd
  case v7Zlib

  var flavour: TraceFlavour {
    switch self {
    case .v6: TraceFlavour(version: .v6, pageBytes: 512)
    case .v6BigEndian32:
      TraceFlavour(version: .v6, byteOrder: .big, userLongBytes: 4, kernelLongBytes: 4, pageBytes: 512)
    case .v7: TraceFlavour(pageBytes: 512)
    case .v7Zstd: TraceFlavour(pageBytes: 512, compression: .zstd)
    case .v7Zlib: TraceFlavour(pageBytes: 512, compression: .zlib)
    }
  }

  /// A page of the file and how many events it holds.
  struct Page {
    var bytes: [UInt8]
    var events: Int
  }

  /// The file, and its pages in their order in it.
  func build() throws -> (bytes: [UInt8], pages: [Page]) {
    let formats = [KVMEventFormats.guestFault, KVMEventFormats.mmio, KVMEventFormats.slotCommit]
    var description = TraceDescription(
      flavour, formats: formats,
      buffers: [TraceBuffer(cpus: [0, 1]), TraceBuffer(name: "second", cpus: [0, 1])])
    description.pagesPerChunk = 1
    description.commandLines = [(7, "CPU 0/KVM")]
    description.printkFormats = "0xffff000012345678 : \"text %d\"\n"
    description.options = [.clock("[local] global"), .uname("Linux host 7.3.4 aarch64"), .cpuCount(2)]
    let writer = TraceDatWriter(description)
    var pages: [Page] = []
    for buffer in 0..<2 {
      for cpu in 0..<2 {
        for number in 0..<3 {
          let page = page(formats, cpu: cpu, number: number)
          try writer.append(page.bytes, cpu: UInt32(cpu), buffer: buffer)
          pages.append(page)
        }
      }
    }
    return (try writer.bytes(), pages)
  }

  private func page(_ formats: [TraceSynth.EventFormat], cpu: Int, number: Int) -> Page {
    var page = SubBufferPageBuilder(flavour, timestamp: UInt64(1_000_000 * (number + 1) + cpu))
    var time = page.timestamp
    for event in 0..<6 {
      let format = formats[(event + number) % formats.count]
      let values = format.fields.indices.map { UInt64(event * 4096 + $0) }
      // A time extend now and then.
      time += event == 3 ? 1 << 28 : 100
      guard page.append(format.payload(values, pid: 7, flavour: flavour), at: time) else { break }
    }
    if number == 1 { page.missed = .counted(5) }
    return Page(bytes: page.finish(), events: page.events)
  }
}
