import Foundation
import Glibc
import Testing

/// Outputs never cost a recording, and what was there stays until they are complete.
@Suite("Outputs")
struct OutputSafetyTests {
  /// A directory with a copy of a recording, `own.dat`, under three names.
  private final class Directory {
    let path = FileManager.default.temporaryDirectory.appending(path: "outputs-\(UUID().uuidString)").path()
    private let content: Data

    init() throws {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
      content = try #require(FileManager.default.contents(atPath: Tool.smallRecording))
      for name in ["own.dat", "other.dat"] { try content.write(to: URL(filePath: "\(path)/\(name)")) }
      #expect(symlink("own.dat", "\(path)/link.dat") == 0 && link("\(path)/own.dat", "\(path)/hard.dat") == 0)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func run(_ words: String) throws -> Tool.Outcome { try Tool.shell("cd $1; $tool \(words)", [path]) }

    func text(_ name: String) -> String? { try? String(contentsOfFile: "\(path)/\(name)", encoding: .utf8) }

    func expectUntouched(beside more: [String] = [], sourceLocation: SourceLocation = #_sourceLocation) {
      for name in ["own.dat", "other.dat"] {
        #expect(
          FileManager.default.contents(atPath: "\(path)/\(name)") == content, "\(name)",
          sourceLocation: sourceLocation)
      }
      let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
      #expect(
        Set(names) == Set(["own.dat", "other.dat", "link.dat", "hard.dat"] + more),
        sourceLocation: sourceLocation)
    }
  }

  @Test(
    "An output that is an input, by whatever name, is refused before anything is read",
    arguments: [
      "replay own.dat --ops own.dat", "replay own.dat --json own.dat", "replay own.dat --json link.dat",
      "replay link.dat --ops hard.dat", "replay other.dat own.dat --json ../$(basename $1)/own.dat",
      "replay - --json own.dat < own.dat", "replay own.dat --json - 1<>hard.dat",
      "replay /dev/stdin --json own.dat < own.dat", "info own.dat 1<>own.dat", "events own.dat 1<>hard.dat",
      "compare own.dat other.dat --json other.dat", "calibrate own.dat --output own.dat",
      "capacity own.dat --vms 1 --memory 1GiB --json own.dat",
      "capacity own.dat --vms 1 --memory 1GiB --csv link.dat",
    ])
  func input(words: String) throws {
    let directory = try Directory()
    let outcome = try directory.run(words)
    #expect(outcome.status == 64 && outcome.errors.contains("input"), "\(outcome.errors)")
    #expect(outcome.errorLines.count == 1)
    directory.expectUntouched()
  }

  @Test(
    "A file of memslots, costs or a profile that is read is not written",
    arguments: [
      "replay own.dat --memslots slots --ops slots", "replay own.dat --costs costs --json costs",
      "replay own.dat --profile kernel --json kernel",
      "compare own.dat --profile auto --profile kernel --json kernel",
      "capacity own.dat --vms 1 --memory 1GiB --profile kernel --csv kernel",
    ])
  func sideInput(words: String) throws {
    let directory = try Directory()
    let names = ["slots", "costs", "kernel"]
    for name in names { try Data("{}".utf8).write(to: URL(filePath: "\(directory.path)/\(name)")) }
    let outcome = try directory.run(words)
    #expect(outcome.status == 64 && outcome.errors.contains("is an input"), "\(outcome.errors)")
    for name in names { #expect(directory.text(name) == "{}") }
    directory.expectUntouched(beside: names)
  }

  @Test(
    "A recording that is no input is not overwritten either",
    arguments: [
      "replay own.dat --ops other.dat", "replay --ops *.dat", "replay own.dat --json other.dat",
      "calibrate own.dat --output other.dat", "synth other.dat --events 100",
    ])
  func recording(words: String) throws {
    let directory = try Directory()
    #expect(try directory.run(words).status == 64)
    directory.expectUntouched()
  }

  @Test("synth --overwrite replaces a recording; a report replaces a report, and keeps its mode")
  func replaced() throws {
    let directory = try Directory()
    #expect(try directory.run("replay own.dat --ops ops.csv --json report.json").status == 0)
    #expect(chmod("\(directory.path)/report.json", 0o640) == 0)
    #expect(symlink("report.json", "\(directory.path)/alias") == 0)
    let again = try directory.run("replay other.dat --ops ops.csv --json alias")
    #expect(again.status == 0, "\(again.errors)")
    #expect(directory.text("report.json")?.contains("other.dat") == true)
    var status = stat()
    #expect(stat("\(directory.path)/report.json", &status) == 0 && status.st_mode & 0o7777 == 0o640)
    #expect(lstat("\(directory.path)/alias", &status) == 0 && status.st_mode & S_IFMT == S_IFLNK)
    directory.expectUntouched(beside: ["ops.csv", "report.json", "alias"])

    #expect(try directory.run("synth made.dat --events 1000").status == 0)
    #expect(try directory.run("synth made.dat --events 2000").status == 64)
    #expect(try directory.run("synth made.dat --events 2000 --overwrite").status == 0)
    #expect(try directory.run("info made.dat").output.contains("2,000 of"))
  }

  @Test(
    "No file of a run is one that SQLite would take for a part of the run's database, and remove",
    arguments: [
      "replay own.dat --sqlite q.db --json q.db-journal", "replay own.dat --sqlite q.db --ops ./q.db-wal",
      "replay own.dat --sqlite q.db --html q.db-shm", "replay own.dat --sqlite q.db --csv q.db-journal",
      "replay own.dat --sqlite q.db --perfetto ../$(basename $1)/q.db-journal",
      "replay own.dat --sqlite q.db > q.db-journal", "replay q.db-shm --sqlite q.db",
      "replay q.db-wal --sqlite q.db", "replay own.dat --memslots q.db-shm --sqlite q.db",
    ])
  func besideDatabase(words: String) throws {
    let directory = try Directory()
    let isInput = !words.contains("own.dat") || words.contains("--memslots")
    let name = words.contains("q.db-wal") ? "q.db-wal" : "q.db-shm"
    let outcome = try directory.run(
      (isInput ? "--version >/dev/null; cp own.dat \(name); $tool " : "") + words)
    #expect(outcome.status == 64 && outcome.errors.contains("SQLite keeps"), "\(outcome.errors)")
    #expect(outcome.errorLines.count == 1)
    directory.expectUntouched(beside: isInput ? [name] : words.contains(">") ? ["q.db-journal"] : [])
  }

  @Test(
    "Two outputs are not one file",
    arguments: [
      "replay own.dat --json x --ops ./x", "replay own.dat --csv d --json d/memory.csv",
      "replay own.dat --csv d --json d", "replay own.dat --csv ./d/e --json d",
      "replay own.dat --csv d --json ./d/memory.csv", "replay own.dat --csv d/e --json d/../d//e/./lock.csv",
      "capacity own.dat --vms 1 --memory 1GiB --json x --csv x",
    ])
  func twice(words: String) throws {
    let directory = try Directory()
    let outcome = try directory.run(words)
    #expect(outcome.status == 64 && outcome.errors.contains("already written"), "\(outcome.errors)")
    directory.expectUntouched()
  }

  @Test(
    "What cannot be written is one line and status 74, and leaves nothing",
    arguments: [
      "replay own.dat --json /dev/full", "replay own.dat --json nowhere/x", "replay own.dat --json $1",
      "replay own.dat --json new/",
      "replay own.dat --csv own.dat", "replay own.dat > /dev/full", "synth /dev/full --events 100000",
    ])
  func unwritable(words: String) throws {
    let directory = try Directory()
    let outcome = try directory.run(words)
    #expect(outcome.status == 74 && outcome.errorLines.count == 1, "\(outcome.errors)")
    directory.expectUntouched()
  }

  @Test(
    "Where an output fails, those that were complete before are named", arguments: ["/dev/full", "nowhere/x"])
  func partial(other: String) throws {
    let directory = try Directory()
    let outcome = try directory.run("replay own.dat --ops ops.csv --json \(other)")
    #expect(outcome.status == 74 && outcome.errorLines.count == 1, "\(outcome.errors)")
    #expect(outcome.errors.contains("; of the same run there is already ops.csv"), "\(outcome.errors)")
    directory.expectUntouched(beside: ["ops.csv"])
  }

  @Test(
    "The series go to a directory, and to nothing else",
    arguments: ["replay own.dat --csv -", "replay own.dat own.dat --csv -", "replay own.dat --csv ''"])
  func seriesDirectory(words: String) throws {
    let directory = try Directory()
    let outcome = try directory.run(words)
    #expect(outcome.status == 64 && outcome.errorLines.count == 1, "\(outcome.errors)")
    #expect(outcome.errors.contains("--csv") && outcome.errors.contains("name a directory"))
    directory.expectUntouched()
  }

  @Test("Where the space ends in the middle, what was there stays")
  func full() throws {
    let directory = try Directory()
    try Data("old\n".utf8).write(to: URL(filePath: "\(directory.path)/report"))
    // As on a full disk, write() fails: with EFBIG, since SIGXFSZ is ignored.
    let outcome = try directory.run(
      "--version >/dev/null; trap '' XFSZ; ulimit -f 8; $tool replay own.dat --ops report")
    #expect(outcome.status == 74, "\(outcome.errors)")
    #expect(directory.text("report") == "old\n")
    directory.expectUntouched(beside: ["report"])
  }

  @Test("A signal leaves what was there and nothing beside it", arguments: ["TERM", "HUP", "INT", "KILL"])
  func signal(name: String) throws {
    let directory = try Directory()
    try Data("old\n".utf8).write(to: URL(filePath: "\(directory.path)/made.dat"))
    // The output is open once an unnamed file is among the descriptors, and far from complete.
    let outcome = try Tool.shell(
      """
      cd "$1"; env --default-signal=\(name) "$tool" synth made.dat --events 500M & child=$!
      for ((i = 0; i < 2000; i++)); do
        ls -l /proc/$child/fd 2>/dev/null | grep -q deleted && break; sleep 0.01
      done
      kill -\(name) $child; wait $child 2>/dev/null; true
      """, [directory.path])
    #expect(outcome.status == 0)
    #expect(directory.text("made.dat") == "old\n")
    directory.expectUntouched(beside: ["made.dat"])
  }

  @Test("Pipes and devices are written to as they are")
  func streams() throws {
    let directory = try Directory()
    let outcome = try directory.run(
      "replay own.dat --json >(cat > copy) --ops /dev/null >/dev/null; sleep 0.2; head -c 1 copy")
    #expect(outcome.status == 0 && outcome.output == "{", "\(outcome.errors)")
    let standard = try directory.run("replay own.dat --json /dev/stdout")
    #expect(standard.status == 0)
  }
}
