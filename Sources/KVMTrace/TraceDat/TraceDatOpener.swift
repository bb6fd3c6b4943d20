/// Recognises a trace.dat and reads its metadata.
enum TraceDatOpener {
  /// 17 08 44 "tracing": how every trace.dat begins.
  static let magic: [UInt8] = [0x17, 0x08, 0x44] + Array("tracing".utf8)

  /// Whether a file that begins with `bytes` can be read here.
  static func isTrace(_ bytes: UnsafeRawBufferPointer) -> Bool {
    bytes.count >= magic.count && bytes.prefix(magic.count).elementsEqual(magic)
  }

  /// That `path` is something else.
  static func notATrace(_ path: String) -> IngestError {
    IngestError(
      .notATrace, path: path, what: "is not a trace",
      advice: "a trace.dat, as trace-cmd record writes it, begins with the bytes 17 08 44 \"tracing\"")
  }

  /// Reads the metadata of the trace.dat in `file`.
  static func open(_ file: FileBytes) throws(IngestError) -> TraceDatContents {
    let start = file.bytes(at: 0, size: min(magic.count, file.count)).map {
      UnsafeRawBufferPointer(start: $0, count: min(magic.count, file.count))
    }
    if let failure = file.failure { throw failure }
    guard let start, isTrace(start) else { throw notATrace(file.path) }
    let contents = try readContents(of: file)
    if let failure = file.failure { throw failure }
    return contents
  }

  private static func readContents(of file: FileBytes) throws(IngestError) -> TraceDatContents {
    var reader = ByteReader(file, bigEndian: false, at: magic.count)
    do {
      return try readBehindMagic(&reader, file)
    } catch let error as IngestError {
      throw error
    } catch {
      throw IngestError(
        .notATrace, path: file.path, offset: reader.offset,
        what: "ends inside the first fields of a trace.dat")
    }
  }

  private static func readBehindMagic(
    _ reader: inout ByteReader, _ file: FileBytes
  ) throws -> TraceDatContents {
    let version = try reader.nulTerminated()
    guard version == "6" || version == "7" else {
      throw IngestError(
        .notATrace, path: file.path, offset: magic.count,
        what: "is a trace.dat of version \"\(version.prefix(8))\"", advice: "versions 6 and 7 can be read")
    }
    let bigEndian = try reader.u8() != 0
    reader.bigEndian = bigEndian
    let userLongSize = Int(try reader.u8())
    let pageOffset = reader.offset
    let pageBytes = Int(try reader.u32())
    guard TraceDatContents.isPageSize(pageBytes) else {
      throw IngestError(
        .notATrace, path: file.path, offset: pageOffset,
        what: "has pages of \(pageBytes) bytes, which no host has")
    }
    var contents = TraceDatContents(
      version: version == "6" ? 6 : 7, bigEndian: bigEndian, userLongSize: userLongSize, pageBytes: pageBytes)
    if version == "6" {
      TraceDatV6.read(&reader, into: &contents)
    } else {
      let nameOffset = reader.offset
      contents.compression = try reader.nulTerminated()
      _ = try reader.nulTerminated()
      guard let compression = Compression(name: contents.compression) else {
        throw IngestError(
          .notATrace, path: file.path, offset: nameOffset,
          what: "is compressed with \"\(contents.compression.prefix(16))\"",
          advice: "none, zlib and zstd can be read; trace-cmd convert changes the compression")
      }
      let firstOptions = try reader.u64()
      TraceDatV7(file: file, bigEndian: bigEndian, compression: compression)
        .read(firstOptions: firstOptions, sections: reader.offset, into: &contents)
    }
    contents.checkCPUCount()
    contents.checkCopiedPageSize()
    if version == "6" { contents.reportAnother(in: file, at: contents.end(behind: reader.offset)) }
    contents.separateAreas(in: file)
    contents.checkPageSizes(in: file)
    contents.checkPlaces(in: file)
    return contents
  }
}
