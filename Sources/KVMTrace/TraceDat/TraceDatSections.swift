/// The metadata that versions 6 and 7 share: the same bodies, one after another in 6, in sections in 7.
extension TraceDatContents {
  /// `header_page` and `header_event`: of interest are the size of the kernel's long, that of `commit`, and the
  /// length of a sub-buffer, which ends where `data` does.
  mutating func readHeaderInfo(_ reader: inout ByteReader) throws {
    for name in ["header_page", "header_event"] {
      let found = try reader.nulTerminated()
      guard found == name else { throw ByteReader.Overrun(offset: reader.offset) }
      let text = try reader.text(try reader.u64())
      if name == "header_page" {
        if let size = Self.field("commit", of: text)?.size, size == 4 || size == 8 { kernelLongSize = size }
        if let data = Self.field("data", of: text), Self.isPageSize(data.offset + data.size) {
          subBufferBytes = data.offset + data.size
        }
      }
    }
  }

  /// Offset and size of a field in the text of `header_page`.
  private static func field(_ name: String, of text: String) -> (offset: Int, size: Int)? {
    for line in text.split(separator: "\n") where line.contains(" \(name);") {
      var (offset, size): (Int?, Int?)
      for part in line.split(separator: ";") {
        let pair = part.drop(while: { $0 == " " || $0 == "\t" }).split(separator: ":", maxSplits: 1)
        guard pair.count == 2, let number = UInt32(pair[1]) else { continue }
        if pair[0] == "offset" { offset = Int(number) }
        if pair[0] == "size" { size = Int(number) }
      }
      if let offset, let size { return (offset, size) }
    }
    return nil
  }

  /// The formats of ftrace's own events: a count, then size and text of each.
  ///
  /// - Parameter section: where in the file the section begins, if it was decompressed; nil where the reader reads the
  ///   file itself.
  mutating func readFtraceFormats(_ reader: inout ByteReader, section: Int? = nil) throws {
    try readFormats(of: "ftrace", &reader, section: section)
  }

  /// The formats of the event systems: for each its name, a count, then size and text of each event.
  mutating func readEventFormats(_ reader: inout ByteReader, section: Int? = nil) throws {
    for _ in 0..<(try reader.u32()) {
      let system = try reader.nulTerminated()
      try readFormats(of: system, &reader, section: section)
    }
  }

  private mutating func readFormats(of system: String, _ reader: inout ByteReader, section: Int?) throws {
    for _ in 0..<(try reader.u32()) {
      guard formats.count < Self.formatsMax else { throw ByteReader.Overrun(offset: reader.offset) }
      let size = try reader.u64()
      let offset = section ?? reader.offset
      formats.append(FormatText(system: system, text: try reader.slice(size), offset: offset))
    }
  }

  /// The kernel's symbols, which stay where they are until somebody needs them.
  mutating func skipSymbols(_ reader: inout ByteReader) throws {
    let count = Int(try reader.u32())
    symbols = .text(offset: reader.offset, count: count)
    try reader.skip(UInt64(count))
  }

  /// The text of the kernel's symbols, which `file` then holds; nil where there is none. Damage costs the symbols, nothing
  /// else.
  func symbolText(in file: FileBytes) -> UnsafeRawBufferPointer? {
    switch symbols {
    case .none: return nil
    case .text(let offset, let count): return file.keep(at: offset, size: count)
    case .section(let offset):
      var opened = TraceDatContents(
        version: version, bigEndian: bigEndian, userLongSize: userLongSize, pageBytes: pageBytes)
      guard let compression = Compression(name: compression),
        var reader = try? TraceDatV7(file: file, bigEndian: bigEndian, compression: compression)
          .open(.symbols, at: offset, into: &opened)
      else { return nil }
      return try? reader.slice(UInt64(reader.u32()))
    }
  }

  /// The format strings of `trace_printk`: lines of `0xADDRESS : "TEXT"`.
  mutating func readPrintFormats(_ reader: inout ByteReader) throws {
    let text = try reader.slice(UInt64(try reader.u32()))
    for line in text.split(separator: UInt8(ascii: "\n")) {
      guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { continue }
      let address = String(decoding: line[..<colon].filter { $0 != UInt8(ascii: " ") }, as: UTF8.self)
      guard address.hasPrefix("0x"), let value = UInt64(address.dropFirst(2), radix: 16) else { continue }
      guard printFormats.count < Self.linesMax else { break }
      let format = line[(colon + 1)...].drop { $0 == UInt8(ascii: " ") }
      printFormats.append((value, String(decoding: format, as: UTF8.self)))
    }
  }

  /// The saved command lines: lines of `TID COMMAND`; a command may contain blanks.
  mutating func readCommands(_ reader: inout ByteReader) throws {
    let text = try reader.slice(try reader.u64())
    for line in text.split(separator: UInt8(ascii: "\n")) {
      guard let blank = line.firstIndex(of: UInt8(ascii: " ")),
        let tid = Int32(String(decoding: line[..<blank], as: UTF8.self))
      else { continue }
      guard commands.count < Self.linesMax else { break }
      commands[tid] = String(decoding: line[(blank + 1)...].prefix { $0 != 0 }, as: UTF8.self)
    }
  }
}
