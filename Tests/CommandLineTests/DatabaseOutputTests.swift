import DatabaseReader
import Foundation
import Testing

/// `replay --sqlite`.
@Suite("The replay as a database")
struct DatabaseOutputTests {
  /// A directory that is gone with its owner.
  private final class Directory {
    let path = FileManager.default.temporaryDirectory.appending(path: "database-\(UUID().uuidString)").path()

    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func run(_ words: String, _ recording: String = Tool.smallRecording) throws -> Tool.Outcome {
      try Tool.shell("cd $1; $tool \(words)", [path, recording])
    }

    func database(_ name: String = "x.db") throws -> DatabaseReader {
      try DatabaseReader(path: "\(path)/\(name)")
    }

    var names: Set<String> { Set((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []) }
  }

  private static let twins = Tool.root.appendingPathComponent("traces/kvm-nvhe-7.3.4-twin-guests.dat").path

  @Test(
    "The report is as without it, the rows are those of the operations file, and an own database is replaced")
  func file() throws {
    let directory = try Directory()
    let without = try directory.run("replay $2")
    let with = try directory.run("replay $2 --sqlite x.db --ops ops.csv")
    #expect(with.status == without.status && with.output == without.output && with.errors == without.errors)
    let columns = [
      "time_ns", "cpu", "tid", "vm", "operation", "ipa", "size_bytes", "prot", "ret", "basis", "prot_basis",
    ]
    let found = try directory.database().rows("SELECT * FROM operations ORDER BY id").map { row in
      columns.map { column in
        switch row[column] {
        case .integer(let number): String(number)
        case .text(let text): text
        // The file has 0 for what has no size.
        default: column == "size_bytes" ? "0" : ""
        }
      }.joined(separator: ",")
    }
    let lines = try String(contentsOfFile: "\(directory.path)/ops.csv", encoding: .utf8).split(
      separator: "\n")
    #expect(found.count > 1000 && found == lines.dropFirst().map(String.init))
    let again = try directory.run("replay $2 --sqlite x.db --vm 0 >/dev/null", Self.twins)
    #expect(again.status == 0, "\(again.errors)")
    let database = try directory.database()
    #expect(try database.number("SELECT count(*) FROM vms") == 1)
    #expect(try database.number("SELECT count(DISTINCT vm) FROM operations") == 1)
    #expect(
      try database.rows("SELECT value FROM recordings, json_each(options)").map { $0["value"] }
        == ["replay", .text(Self.twins), "--sqlite", "x.db", "--vm", "0"])
    #expect(directory.names == ["x.db", "ops.csv"])
  }

  @Test("Several inputs are one database, each with its position")
  func several() throws {
    let directory = try Directory()
    let outcome = try Tool.shell(
      "cd $1; $tool replay $2 $3 --sqlite x.db --json x.json >/dev/null",
      [directory.path, Tool.smallRecording, Self.twins])
    #expect(outcome.status == 0, "\(outcome.errors)")
    let database = try directory.database()
    #expect(
      try database.rows("SELECT path FROM recordings ORDER BY recording").map { $0["path"] }
        == [.text(Tool.smallRecording), .text(Self.twins)])
    #expect(try database.rows("PRAGMA foreign_key_check").isEmpty)
    #expect(try database.rows("PRAGMA integrity_check").map { $0["integrity_check"] } == ["ok"])
    let json = try #require(
      try JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: "\(directory.path)/x.json")))
        as? [String: Any])
    let vms = try #require(json["vms"] as? [[String: Any]])
    #expect(vms.count == 3)
    for vm in vms {
      let (input, id) = (vm["input"] as? Int ?? -1, vm["id"] as? Int ?? -1)
      let counts = (vm["operations"] as? [String: [String: Any]] ?? [:]).values.compactMap {
        $0["count"] as? Int
      }
      let place = "WHERE recording = \(input) AND vm = \(id)"
      #expect(try database.number("SELECT count(*) FROM operations \(place)") == Int64(counts.reduce(0, +)))
      let faults = (vm["faults"] as? [String: Any])?["total"] as? Int
      #expect(try database.number("SELECT count(*) FROM faults \(place)") == faults.map(Int64.init))
      #expect(try database.number("SELECT faults FROM vms \(place)") == faults.map(Int64.init))
    }
  }

  @Test("A text, an empty recording and a damaged one are databases, too")
  func inputs() throws {
    let directory = try Directory()
    let text = Tool.root.appendingPathComponent("traces/inputs/text/trace.txt").path
    _ = try directory.run("replay $2 --sqlite x.db --allow-loss >/dev/null", text)
    #expect(try directory.database().number("SELECT count(*) FROM faults") ?? 0 > 0)
    #expect(try directory.database().number("SELECT losses_unknown FROM recordings") == 1)
    #expect(try directory.database().number("SELECT count(*) FROM damage") == 1)

    let cut = try Tool.shell(
      "cd $1; head -c 20000 $2 > cut.dat; $tool replay cut.dat --sqlite cut.db >/dev/null",
      [directory.path, Tool.smallRecording])
    #expect(cut.status == 2)
    #expect(try directory.database("cut.db").number("SELECT count(*) FROM damage") ?? 0 > 0)

    let empty = try directory.run(
      "slice $2 part.dat --from +0 --to +0.000001 >/dev/null; $tool replay part.dat --sqlite empty.db >/dev/null"
    )
    #expect(empty.status == 0, "\(empty.errors)")
    #expect(try directory.database("empty.db").number("SELECT count(*) FROM operations") == 0)
    #expect(try directory.database("empty.db").number("SELECT count(*) FROM recordings") == 1)
  }

  @Test("Of a VM of which nothing tells what is mapped there is no memory")
  func unknown() throws {
    let directory = try Directory()
    let outcome = try directory.run(
      """
      slice $2 part.dat --event kvm_entry --event kvm_exit --event 'kvm_unmap*' --event commit >/dev/null; \
      $tool replay part.dat --allow-loss --sqlite x.db >/dev/null
      """, Self.twins)
    #expect(outcome.status == 0, "\(outcome.errors)")
    let database = try directory.database()
    #expect(
      try database.rows("SELECT DISTINCT memory_basis, total_bytes_peak FROM vms")
        == [["memory_basis": "unknown", "total_bytes_peak": .null]])
    #expect(try database.number("SELECT count(*) FROM operations WHERE operation = 'unmap'") ?? 0 > 0)
    #expect(try database.number("SELECT count(*) FROM memory") == 0)
  }

  @Test(
    "What is there and no database of this program stays",
    arguments: ["text", "foreign.db", "own.dat", "big.db"])
  func foreign(name: String) throws {
    let directory = try Directory()
    let file = "\(directory.path)/\(name)"
    let header = Array("SQLite format 3\0".utf8) + Array(repeating: 0, count: 100)
    let content =
      switch name {
      case "text": Data("old\n".utf8)
      case "foreign.db": Data(header)
      case "big.db": Data(header + Array(repeating: 0, count: 100_000))
      default: try Data(contentsOf: URL(filePath: Tool.smallRecording))
      }
    try content.write(to: URL(filePath: file))
    let outcome = try directory.run("replay $2 --sqlite \(name)")
    #expect(
      outcome.status == 64 && outcome.output.isEmpty && outcome.errorLines.count == 1, "\(outcome.errors)")
    #expect(outcome.errors.contains("exists and is") && outcome.errors.contains("choose another file"))
    #expect(try Data(contentsOf: URL(filePath: file)) == content)
  }

  @Test(
    "What somebody was writing to an earlier database does not go into the new one",
    arguments: ["wal", "journal"])
  func sideFile(kind: String) throws {
    let directory = try Directory()
    #expect(try directory.run("replay $2 --sqlite x.db").status == 0)
    let file = URL(filePath: "\(directory.path)/x.db-\(kind)")
    try Data("pages".utf8).write(to: file)
    let outcome = try directory.run("replay $2 --sqlite x.db")
    #expect(outcome.status == 64 && outcome.errors.contains("x.db-\(kind): is what"), "\(outcome.errors)")
    try Data().write(to: file)
    #expect(try directory.run("replay $2 --sqlite x.db").status == 0)
  }

  @Test("An empty file is no loss")
  func empty() throws {
    let directory = try Directory()
    #expect(
      try directory.run("--version >/dev/null; : > x.db; $tool replay $2 --sqlite x.db >/dev/null").status
        == 0)
    #expect(try directory.database().number("SELECT count(*) FROM operations") ?? 0 > 0)
  }

  @Test(
    "What cannot be a database is one line and a status",
    arguments: [
      ("replay $2 --sqlite -", 64, "not to standard output"),
      ("replay $2 --sqlite /dev/null", 64, "is no file"),
      ("replay $2 --sqlite /dev/stdout > x.db", 64, "is no file"),
      ("replay $2 --sqlite >(cat)", 64, "is no file"),
      ("replay $2 --sqlite nowhere/x.db", 74, "cannot be written"),
      ("replay $2 --sqlite $2", 64, "is an input"), ("replay $2 --sqlite $1", 74, "is a directory"),
      ("replay $2 --sqlite x.db --ops ./x.db", 64, "already written"),
    ] as [(String, Int32, String)])
  func refused(words: String, status: Int32, message: String) throws {
    let directory = try Directory()
    let outcome = try directory.run(words)
    #expect(outcome.status == status && outcome.errorLines.count == 1, "\(outcome.errors)")
    #expect(outcome.errors.contains(message), "\(outcome.errors)")
    #expect(directory.names.isSubset(of: ["x.db"]))
  }

  @Test("Where the space ends, what was there stays, and the system's reason is told")
  func full() throws {
    let directory = try Directory()
    #expect(try directory.run("replay $2 --sqlite x.db >/dev/null").status == 0)
    let before = try Data(contentsOf: URL(filePath: "\(directory.path)/x.db"))
    // As on a full disk, write() fails: with EFBIG, since SIGXFSZ is ignored.
    let outcome = try directory.run(
      "--version >/dev/null; trap '' XFSZ; ulimit -f 64; $tool replay $2 --sqlite x.db >/dev/null")
    #expect(outcome.status == 74 && outcome.errorLines.count == 1, "\(outcome.errors)")
    #expect(outcome.errors.contains("x.db: cannot be written: File too large"), "\(outcome.errors)")
    #expect(try Data(contentsOf: URL(filePath: "\(directory.path)/x.db")) == before)
    #expect(directory.names == ["x.db"])
  }
}
