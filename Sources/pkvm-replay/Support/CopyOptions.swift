import ArgumentParser
import Glibc
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
  func copy(of trace: TraceFile, kinds: Set<UInt16>? = nil) throws -> TraceCopy {
    if trace.isBigEndian {
      throw Diagnostics.failure(
        "\(trace.path): is of a big-endian machine, and copies are little-endian; trace-cmd convert keeps it",
        .notATrace)
    }
    return TraceCopy(
      trace, kinds: kinds, compression: compression.method, anonymizer: anonymize ? Anonymizer() : nil,
      spillDirectory: Self.temporaryDirectory)
  }

  /// Writes a finished copy to the output that was planned.
  func write(_ copy: TraceCopy, to target: OutputTarget, input: String) throws {
    let opened = try OpenedOutput(target)
    do {
      try copy.finish(to: OutputFile(descriptor: opened.descriptor, name: opened.name))
    } catch {
      throw Diagnostics.failure("\(error)", .inputOutput)
    }
    try opened.finish()
    if copy.tooLong > 0 {
      let count = copy.tooLong == 1 ? "1 event is" : "\(copy.tooLong) events are"
      Diagnostics.note("\(input): \(count) longer than a page, and left out")
    }
  }

  private static var temporaryDirectory: String {
    guard let path = getenv("TMPDIR"), path.pointee != 0 else { return "/tmp" }
    return String(cString: path)
  }
}
