internal import Glibc

/// Finds out what an input is by its content, and opens it.
enum RecordingOpener {
  /// A file, or what it holds where it is compressed as a whole.
  struct Unwrapped {
    let file: FileBytes
    /// How it is compressed, nil where it is not.
    var compression: String?
    /// Where what is compressed is damaged or cut: what came before is there.
    var damage: Damage?
  }

  /// How much is decompressed at once, in bytes.
  private static let pieceBytes = 1 << 18

  /// What a file holds that is compressed as a whole, decompressed into a file without a name; any other file as it is. Places in it are
  /// then those of the decompressed bytes.
  static func unwrapped(_ file: FileBytes, spoolLimit: UInt64?) throws(IngestError) -> Unwrapped {
    guard let kind = StreamDecompressor.Kind(prefix: prefix(of: file)) else { return Unwrapped(file: file) }
    let unwrapped = try unwrap(file, kind, spoolLimit)
    let prefix = prefix(of: unwrapped.file)
    guard RecordingSignature(prefix: prefix) == .compressed else { return unwrapped }
    // One of the two is taken off what a pipe delivers, too, if it is one of these.
    let advice =
      StreamDecompressor.Kind(prefix: prefix) == nil
      ? "decompress it twice" : piping("\(kind.rawValue) -dc FILE")
    throw IngestError(.notATrace, path: file.path, what: "is compressed twice", advice: advice)
  }

  private static func unwrap(
    _ file: FileBytes, _ kind: StreamDecompressor.Kind, _ limit: UInt64?
  ) throws(IngestError) -> Unwrapped {
    var spool = try SpoolFile(path: file.path, limit: limit, what: "what it holds")
    var decompressor = StreamDecompressor(kind)
    let input = SectionBytes(count: pieceBytes)
    let output = SectionBytes(count: pieceBytes)
    var damage: Damage?
    var budget = DecompressionBudget()
    var (offset, made, end) = (0, 0, file.count)
    while offset < end, damage == nil {
      let filled = file.read(at: offset, into: input.bytes)
      if filled == 0 { break }
      var used = 0
      repeat {
        let rest = UnsafeRawBufferPointer(rebasing: input.bytes[used..<filled])
        // What was written in blocks, as to a tape, is filled up with zeros.
        if made > 0, !decompressor.isInStream, rest.first == 0, file.isEmpty(from: offset + used) {
          end = offset + used
          break
        }
        let step = decompressor.decompress(rest, into: output.bytes)
        try spool.append(UnsafeRawBufferPointer(rebasing: output.bytes[..<step.made]))
        used += step.used
        made += step.made
        if let problem = step.problem {
          if made == 0 { throw refusal(of: file, kind, problem) }
          damage = Damage(offset: offset + used, what: what(problem, kind))
        } else if !budget.allows(step.made, from: step.used) {
          damage = Damage(
            offset: offset + used,
            what: """
              what is compressed (\(kind.rawValue)) holds \(DecompressionBudget.excess); what came before is read
              """)
        }
        // A full buffer may hold back more than it gave.
        if used == filled, step.made < pieceBytes { break }
      } while damage == nil
      offset += used
    }
    if damage == nil, decompressor.isInStream {
      damage = Damage(
        offset: file.count,
        what: "the file ends inside what is compressed (\(kind.rawValue)); what came before is read")
    }
    if let failure = file.failure { throw failure }
    guard made > 0 else {
      throw refusal(of: file, kind, .damage)
    }
    let content = try FileBytes(
      path: file.path, descriptor: spool.takeDescriptor(), read: { pread($0, $1, $2, off_t($3)) })
    return Unwrapped(file: content, compression: kind.rawValue, damage: damage)
  }

  /// Why a compressed file cannot be read of which nothing can be decompressed.
  private static func refusal(
    of file: FileBytes, _ kind: StreamDecompressor.Kind, _ problem: StreamDecompressor.Problem
  ) -> IngestError {
    IngestError(
      .notATrace, path: file.path, what: "is compressed (\(kind.rawValue)), and \(problem.what)",
      advice: problem.command.map(piping))
  }

  /// What is said where nothing can be decompressed any more.
  private static func what(
    _ problem: StreamDecompressor.Problem, _ kind: StreamDecompressor.Kind
  ) -> String {
    let begin = "what is compressed (\(kind.rawValue))"
    guard let command = problem.command else {
      return "\(begin) is damaged here; what came before is read"
    }
    return "\(begin) \(problem.what) from here on (\(command)); what came before is read"
  }

  /// The reader of a recording that is no trace.dat; nil for a trace.dat.
  ///
  /// - Parameter spoolLimit: how much of what is compressed inside it may be written to a temporary file, in bytes.
  static func transcoded(
    _ file: FileBytes, spoolLimit: UInt64?
  ) throws(IngestError) -> (any TranscodedTrace)? {
    let prefix = prefix(of: file)
    if let failure = file.failure { throw failure }
    if let refusal = refusal(of: prefix, path: file.path) { throw refusal }
    return switch RecordingSignature(prefix: prefix) {
    case .perfData: try PerfData(file, spoolLimit: spoolLimit)
    case .perfetto: try PerfettoTrace(file, spoolLimit: spoolLimit)
    case .text: try TextTrace(file)
    default: nil
    }
  }

  /// The first bytes of a file, as far as they are there: it may be shorter by now than it was when it was opened.
  private static func prefix(of file: FileBytes) -> [UInt8] {
    let buffer = SectionBytes(count: min(RecordingSignature.prefixBytes, file.count))
    return Array(buffer.bytes.prefix(file.read(at: 0, into: buffer.bytes)))
  }

  /// Why a file that begins with `prefix` cannot be read, said by what it is; nil where it may be.
  static func refusal(of prefix: [UInt8], path: String) -> IngestError? {
    if prefix.isEmpty { return IngestError(.notATrace, path: path, what: "is empty, not a trace") }
    if let known = known.first(where: { prefix.dropFirst($0.offset).starts(with: $0.bytes) }) {
      return IngestError(.notATrace, path: path, what: "is \(known.what)", advice: known.advice)
    }
    switch RecordingSignature(prefix: prefix) {
    case .traceDat, .perfData, .perfetto, .text, .compressed: return nil
    case .binary where RingBufferDump.begins(prefix):
      return IngestError(
        .notATrace, path: path,
        what: "is pages of the kernel's ring buffer (trace_pipe_raw), which do not say what their events are",
        advice: "trace-cmd extract writes them with their formats, and so does trace-cmd record -e kvm")
    case .binary:
      return IngestError(.notATrace, path: path, what: "is a binary file, not a trace", advice: advice)
    case nil: return IngestError(.notATrace, path: path, what: "is a text file, not a trace", advice: advice)
    }
  }

  /// What to do about a file that a command of the user's can read.
  private static func piping(_ command: String) -> String {
    "\(command) writes what can be read from a pipe, where - stands for the file"
  }

  private static let advice =
    "trace.dat, perf.data, Perfetto traces and the text of trace, trace_pipe, trace-cmd report and perf script can be read; "
    + "trace-cmd record -e kvm makes the best one"

  /// What else there is, by how it begins.
  private struct Known {
    let offset: Int
    let bytes: [UInt8]
    let what: String
    let advice: String

    init(_ bytes: [UInt8], at offset: Int = 0, _ what: String, _ advice: String = RecordingOpener.advice) {
      (self.bytes, self.offset, self.what, self.advice) = (bytes, offset, what, advice)
    }
  }

  private static let known: [Known] = [
    Known([0x7f] + Array("ELF".utf8), "an ELF file, not a trace"),
    Known([0xfd] + Array("7zXZ".utf8), "compressed with xz", piping("xz -dc FILE")),
    Known(Array("BZh".utf8), "compressed with bzip2", piping("bzip2 -dc FILE")),
    Known([0x04, 0x22, 0x4d, 0x18], "compressed with lz4", piping("lz4 -dc FILE")),
    Known(Array("PK\u{3}\u{4}".utf8), "a zip archive", "unpack it first"),
    Known(Array("ustar".utf8), at: 257, "a tar archive", "unpack it first"),
    Known([0xc1, 0x1f, 0xfc, 0xc1], "a CTF stream of LTTng", "record with trace-cmd record -e kvm"),
    Known(Array("/* CTF".utf8), "CTF metadata of LTTng", "record with trace-cmd record -e kvm"),
    Known([0xd4, 0xc3, 0xb2, 0xa1], "a packet capture, not a trace"),
    Known([0x0a, 0x0d, 0x0d, 0x0a], "a packet capture, not a trace"),
    Known(
      Array("{\"traceEvents\"".utf8), "a Chrome trace of JSON, which has no KVM events",
      "record with Perfetto (ftrace_events: \"kvm/*\") or trace-cmd"),
    Known(Array("SQLite format 3".utf8), "a SQLite database, not a trace"),
    Known(Array("name: ".utf8), "a format file of tracefs, which describes an event and holds none"),
  ]
}
