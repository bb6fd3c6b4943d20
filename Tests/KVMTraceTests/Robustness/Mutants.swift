import Glibc
import KVMTrace
import UnnamedFiles

/// Runs a row of mutants of one file through the ingester.
enum Mutants {
  /// Runs the mutants numbered `seeds`. The file `journal` holds the number of the current one, for whoever finds this
  /// process dead.
  static func run(
    _ trace: SmallTrace, _ mutation: Mutation, seeds: Range<UInt64>, journal: String
  ) throws {
    let bytes = try trace.build().bytes
    let file = try UnnamedFile()
    let journal = open(journal, O_WRONLY)
    defer { close(journal) }
    for seed in seeds {
      let text = Array("\(seed)\n".utf8)
      pwrite(journal, text, text.count, 0)
      try write(mutation.apply(to: bytes, seed: seed), to: file.path)
      do {
        let exercise = try Exercise(path: file.path)
        // Every event has eight bytes at least: more of them than that come from nowhere.
        precondition(exercise.events <= UInt64(64 * bytes.count), "\(exercise.events) events")
      } catch {
        precondition(!error.line.isEmpty && !error.line.contains("\n"))
      }
    }
  }

  /// Replaces the content of the file at `path`.
  static func write(_ bytes: [UInt8], to path: String) throws {
    let descriptor = open(path, O_WRONLY | O_TRUNC)
    defer { close(descriptor) }
    let written = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
    precondition(descriptor >= 0 && written == bytes.count)
  }
}
