import TraceSynth

/// Short ways to the files that tests need.
enum TraceBuilding {
  /// A file of one buffer: for each CPU, the pages that `pages` gives.
  static func file(
    _ flavour: TraceFlavour = TraceFlavour(), formats: [TraceSynth.EventFormat] = [KVMEventFormats.entry],
    options: [TraceOption] = [], pages: [[[UInt8]]]
  ) throws -> [UInt8] {
    var description = TraceDescription(flavour, formats: formats, cpus: pages.count)
    description.options = options
    let writer = TraceDatWriter(description)
    for (cpu, pages) in pages.enumerated() {
      for page in pages { try writer.append(page, cpu: UInt32(cpu)) }
    }
    return try writer.bytes()
  }

  /// A page with one `kvm_entry` at each of `times`; its program counter is the position.
  static func entries(_ times: [UInt64], _ flavour: TraceFlavour = TraceFlavour(), pid: Int32 = 7) -> [UInt8]
  {
    page(flavour, at: times.first ?? 0) { page in
      for (position, time) in times.enumerated() {
        let fits = page.append(
          KVMEventFormats.entry.payload([UInt64(position)], pid: pid, flavour: flavour), at: time)
        precondition(fits)
      }
    }
  }

  /// The data of a `kvm_entry`.
  static func entry(pc: UInt64 = 0, _ flavour: TraceFlavour = TraceFlavour()) -> [UInt8] {
    KVMEventFormats.entry.payload([pc], pid: 7, flavour: flavour)
  }

  /// A page that `body` fills.
  static func page(
    _ flavour: TraceFlavour = TraceFlavour(), at time: UInt64, _ body: (inout SubBufferPageBuilder) -> Void
  ) -> [UInt8] {
    var page = SubBufferPageBuilder(flavour, timestamp: time)
    body(&page)
    return page.finish()
  }
}

extension [UInt8] {
  /// The place of the first `needle` from `start` on.
  func firstRange(of needle: [UInt8], from start: Int = 0) -> Range<Int>? {
    guard count >= needle.count else { return nil }
    return (start...(count - needle.count)).first { self[$0..<($0 + needle.count)].elementsEqual(needle) }
      .map { $0..<($0 + needle.count) }
  }

  /// Overwrites the bytes from `offset` on.
  mutating func patch(_ bytes: some Collection<UInt8>, at offset: Int) {
    replaceSubrange(offset..<(offset + bytes.count), with: bytes)
  }
}
