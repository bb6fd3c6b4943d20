import ArgumentParser
import KVMTrace
import KVMTypes
import TraceExport
import TraceSynth

/// How a recording is copied.
struct CopyOptions: ParsableArguments {
  @Option(help: "How the copy is compressed: none, zstd or zlib.")
  var compression = FileCompression.zstd

  @Flag(
    help: """
      Replace what tells whose host it was: its name, commands, thread numbers, addresses of the kernel, and what was printed into the \
      trace. The copy replays alike.
      """)
  var anonymize = false

  @Flag(help: "Replace the output even if it is a recording.")
  var overwrite = false

  /// A copy of `trace`, of whose events those with the numbers `kinds` may come.
  private func copy(of trace: TraceFile, kinds: Set<UInt16>?) throws -> TraceCopy {
    if trace.isBigEndian {
      throw Diagnostics.failure(
        "\(trace.path): is of a big-endian machine, and copies are little-endian; trace-cmd convert keeps it",
        .notATrace)
    }
    return TraceCopy(
      trace, kinds: kinds, compression: compression.method, anonymizer: anonymize ? Anonymizer() : nil,
      spillDirectory: TemporaryDirectory.path)
  }

  /// Makes a copy of `trace` with `fill` and writes it to the output that was planned.
  func write(
    _ trace: TraceFile, kinds: Set<UInt16>? = nil, to target: OutputTarget, _ fill: (TraceCopy) throws -> Void
  ) throws {
    let copy = try copy(of: trace, kinds: kinds)
    // A file that cannot be written is told before all is read.
    let opened = try OpenedOutput(target)
    do {
      Phases.begin("copy \(trace.path)")
      try fill(copy)
      Phases.begin("write \(opened.name)")
      try copy.finish(to: OutputFile(descriptor: opened.descriptor, name: opened.name))
    } catch let error as TraceWriteError {
      let advice = error.isOfTemporaryFile ? "; TMPDIR names where pages wait" : ""
      throw Diagnostics.failure("\(error)\(advice)", .inputOutput)
    }
    try opened.finish()
    if copy.leftOut > 0 {
      let count = copy.leftOut == 1 ? "1 event is" : "\(copy.leftOut) events are"
      Diagnostics.note("\(trace.path): \(count) longer than a page, or of no CPU that there is, and left out")
    }
  }
}
