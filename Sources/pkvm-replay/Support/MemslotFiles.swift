import ArgumentParser
import KVMTrace
import KVMTypes
import Stage2Replay

/// `--memslots` of the verbs that take several inputs: a file for each of them.
struct MemslotFiles: ParsableArguments {
  @Option(
    name: .customLong("memslots"),
    help: """
      Take the memslots from this JSON file, not from the trace; info --memslots writes such files, and the page \
      Memslots explains them. Every operation is then assumed. With several inputs, one for each, in their order; auto leaves an input's to the trace.
      """)
  var files: [MemslotsArgument] = []

  /// Whether any file was given.
  var isGiven: Bool { !files.isEmpty }

  /// The files that are read.
  var paths: [String] { files.map(\.path) }

  /// Refuses files that do not go with the inputs.
  func check(inputs: Int) throws {
    guard files.isEmpty || files.count == inputs else {
      throw ValidationError(
        "--memslots is given \(files.count == 1 ? "once" : "\(files.count) times") for "
          + "\(inputs) input\(inputs == 1 ? "" : "s"): give it once for each, auto where the trace tells the slots"
      )
    }
  }

  /// The memslots of the input at `position`, nil where the trace tells them.
  ///
  /// - Parameter pageSize: the host's, where the user states it.
  func resolve(
    _ position: Int, for trace: TraceFile, _ pageSize: PageSize?
  ) throws -> MemslotHistory? {
    guard !files.isEmpty, files[position].path != "auto" else { return nil }
    return try files[position].resolve(for: trace, pageSize)
  }
}
