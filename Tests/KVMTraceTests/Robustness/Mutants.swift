import Foundation
import Glibc
import KVMTrace
import UnnamedFiles

/// Runs a row of mutants of one file through the ingester.
enum Mutants {
  /// What a row of small files may take of the machine: seconds of a processor, and bytes of address space besides what
  /// the process has already. A number that a file only claims must cost neither.
  private static let secondsMax: rlim_t = 300
  private static let bytesMax: rlim_t = 1 << 30

  /// Runs the mutants numbered `seeds`. The file `journal` holds the number of the current one, for whoever finds this
  /// process dead.
  static func run(
    _ trace: SmallTrace, _ mutation: Mutation, seeds: Range<UInt64>, journal: String
  ) throws {
    try limitResources(seconds: secondsMax, bytes: bytesMax)
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

  /// Ends this process where it takes more than that of a processor's time and, besides what it has, of address space.
  static func limitResources(seconds: rlim_t, bytes: rlim_t) throws {
    let pages = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")[0]
    let used = rlim_t(pages)! * rlim_t(sysconf(Int32(_SC_PAGESIZE)))
    var space = rlimit(rlim_cur: used + bytes, rlim_max: used + bytes)
    var time = rlimit(rlim_cur: seconds, rlim_max: seconds)
    precondition(setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &space) == 0)
    precondition(setrlimit(__rlimit_resource_t(RLIMIT_CPU.rawValue), &time) == 0)
  }

  /// Replaces the content of the file at `path`.
  static func write(_ bytes: [UInt8], to path: String) throws {
    let descriptor = open(path, O_WRONLY | O_TRUNC)
    defer { close(descriptor) }
    let written = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
    precondition(descriptor >= 0 && written == bytes.count)
  }
}
