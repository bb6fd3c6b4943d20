import Foundation
import Testing
import UnnamedFiles

/// That no copy of a damaged recording, and no part of one, is more certain than the recording.
@Suite("What copies of damaged recordings are certain of")
struct CopyCertaintyTests {
  private typealias Object = [String: Any]

  private static func path(_ name: String) -> String {
    Tool.root.appendingPathComponent("traces/\(name)").path
  }

  /// Of a file of each name, how many operations its replay derives, and how many divergences nothing explains.
  private static let found = #"""
    found() {
      "$tool" replay --allow-loss --no-series --json - "$@" | tr -d '\n'; echo
    }
    """#

  private static func certainties(
    _ line: String, _ arguments: [String]
  ) throws -> [(derived: Int, unexplained: Int)] {
    let outcome = try Tool.shell(
      #"d=$(mktemp -d); trap 'rm -rf "$d"' EXIT; \#(found); \#(line)"#, arguments)
    return try outcome.output.split(separator: "\n").map { text in
      let report = try #require(
        try JSONSerialization.jsonObject(with: Data(text.utf8)) as? Object, "\(outcome.errors)")
      let divergences = try #require(report["divergences"] as? Object)
      let operations = try #require(report["vms"] as? [Object]).flatMap {
        ($0["operations"] as? [String: Object] ?? [:]).values
      }
      return (
        operations.reduce(0) { $0 + (($1["basis"] as? [String: Int])?["derived"] ?? 0) },
        try #require(divergences["unexplained"] as? Int)
      )
    }
  }

  /// Holds what comes of a recording, and of the copy of it, against each other: pair by pair.
  private static func expectNoCertainer(_ found: [(derived: Int, unexplained: Int)], pairs: Int) {
    #expect(found.count == 2 * pairs)
    for pair in stride(from: 0, to: found.count - 1, by: 2) {
      let (recording, copy) = (found[pair], found[pair + 1])
      #expect(copy.derived <= recording.derived, "pair \(pair / 2): \(recording) \(copy)")
      #expect(copy.unexplained <= recording.unexplained, "pair \(pair / 2): \(recording) \(copy)")
    }
  }

  /// A copy, parts of several kinds, and a copy of the copy, each behind what it is held against.
  private static let copies = #"""
    "$tool" convert --allow-loss "$d/0" "$d/1" && "$tool" convert --allow-loss "$d/1" "$d/2" || exit
    found "$d/0"; found "$d/1"
    found "$d/0"; found "$d/2"
    for part in "--from +$1" "--to +$1" "--from +$2 --to +$1"; do
      "$tool" slice --allow-loss --overwrite "$d/0" "$d/3" $part || exit
      "$tool" slice --allow-loss --overwrite "$d/1" "$d/4" --vm 0 $part || exit
      found "$d/0" $part; found "$d/3"
      found "$d/0" $part; found "$d/4"
    done
    """#

  @Test(
    "Lines of a text that have changed places with the next one of their CPU are as doubtful in a copy",
    arguments: [[110], [3010], [7010], [9910], [110, 5010, 9010]])
  func exchangedLines(lines: [Int]) throws {
    let found = try Self.certainties(
      #"""
      gzip -dc "$3" | awk -v lines="$4" '
        BEGIN { count = split(lines, list, " "); for (i = 1; i <= count; i++) at[list[i]] = 1 }
        { match($0, /\[[0-9]+\]/); cpu = substr($0, RSTART, RLENGTH) }
        NR in at && held == "" { held = $0; of = cpu; next }
        { print }
        held != "" && cpu == of { print held; held = "" }' >"$d/0"
      \#(Self.copies)
      """#,
      [
        "2.5", "1.5", Self.path("inputs/simultaneous/trace.txt.gz"),
        lines.map(String.init).joined(separator: " "),
      ])
    Self.expectNoCertainer(found, pairs: 8)
  }

  /// How a page of a trace.dat is damaged.
  enum PageDamage: CaseIterable {
    case zeros, stampBack, endOfEvents
  }

  @Test("A damaged page is as doubtful in a copy", arguments: PageDamage.allCases, [0.2, 0.5, 0.8])
  func damagedPage(damage: PageDamage, where part: Double) throws {
    let plain = try UnnamedFile([])
    let outcome = try Tool.shell(
      #""$tool" convert --compression none "$1" - >"$2""#,
      [Self.path("pkvm-nvhe-7.3.4-dirty-log-thp.dat"), plain.path])
    try #require(outcome.status == 0, "\(outcome.errors)")
    var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: plain.path)))
    let pages = stride(from: 0, to: bytes.count - 4095, by: 4096).filter { isPage(bytes, at: $0) }
    try #require(pages.count > 10)
    let page = pages[Int(Double(pages.count) * part)]
    switch damage {
    case .zeros: bytes.replaceSubrange(page..<page + 4096, with: repeatElement(0, count: 4096))
    case .stampBack:
      let stamp = word(bytes, at: page) - 50_000_000
      for byte in 0..<8 { bytes[page + byte] = UInt8(truncatingIfNeeded: stamp >> (8 * byte)) }
    case .endOfEvents: bytes.replaceSubrange(page + 2000..<page + 2064, with: repeatElement(0, count: 64))
    }
    let file = try UnnamedFile(bytes)
    Self.expectNoCertainer(
      try Self.certainties(#"cp "$3" "$d/0"; \#(Self.copies)"#, ["3", "1", file.path]), pairs: 8)
  }

  private func word(_ bytes: [UInt8], at offset: Int) -> UInt64 {
    (0..<8).reduce(0) { $0 | UInt64(bytes[offset + $1]) << (8 * $1) }
  }

  /// Whether a full page of the ring buffer lies there, and not text.
  private func isPage(_ bytes: [UInt8], at offset: Int) -> Bool {
    let (stamp, commit) = (word(bytes, at: offset), word(bytes, at: offset + 8))
    return (1_000_000_000..<1_000_000_000_000_000).contains(stamp) && (3000..<4081).contains(commit)
  }

  @Test("A copy says that it is one of a damaged recording, and what it lacks for that")
  func saysSo() throws {
    let outcome = try Tool.shell(
      #"""
      d=$(mktemp -d); trap 'rm -rf "$d"' EXIT
      gzip -dc "$1" | sed -e '2000s/.*/torn/' >"$d/0"
      "$tool" convert --allow-loss "$d/0" "$d/1" && "$tool" slice --allow-loss "$d/1" "$d/2" --to +2 || exit
      for copy in 1 2; do "$tool" info --allow-loss --json "$d/$copy" | tr -d '\n'; echo; done
      "$tool" info "$d/1" >/dev/null; echo "$?"
      """#, [Self.path("inputs/simultaneous/trace.txt.gz")])
    let lines = outcome.output.split(separator: "\n")
    try #require(lines.count == 3, "\(outcome.output) \(outcome.errors)")
    for line in lines.prefix(2) {
      let info = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? Object)
      #expect(info["lossCount"] as? Int == 1 && info["gapCount"] as? Int == 1, "\(line)")
      let damage = (info["damage"] as? [Object])?.compactMap { $0["what"] as? String }
      #expect(damage == ["the recording that this is a copy of is damaged in 1 place"], "\(line)")
    }
    #expect(lines[2] == "2" && outcome.errors.contains("is missing"))
    #expect(!outcome.errors.contains("the kernel lost"), "\(outcome.errors)")
  }

  @Test("A text that is joined with itself has a copy with all of its events")
  func joinedWithItself() throws {
    let outcome = try Tool.shell(
      #"""
      d=$(mktemp -d); trap 'rm -rf "$d"' EXIT
      cat "$1" "$1" >"$d/0"
      "$tool" convert --allow-loss "$d/0" "$d/1" && "$tool" convert --allow-loss "$d/1" "$d/2" || exit
      for copy in 0 1 2; do "$tool" info --allow-loss --json "$d/$copy" | grep '"events"'; done
      """#, [Self.path("inputs/text/trace.txt")])
    let counts = outcome.output.split(separator: "\n")
    #expect(counts.count == 3 && Set(counts).count == 1, "\(outcome.output) \(outcome.errors)")
  }
}

/// What is certain of a recording whose end is gone.
@Suite("Cut recordings")
struct CutRecordingTests {
  @Test(
    "Nothing is derived by what comes when events of another CPU are missing already",
    arguments: [
      ("kvm-nvhe-7.2.12-page-table-thp.dat", 196_608), ("kvm-nvhe-6.12.107-dirty-log-thp.dat", 360_448),
    ])
  func cut(name: String, bytes: Int) throws {
    let outcome = try Tool.shell(
      #"""
      d=$(mktemp -d); trap 'rm -rf "$d"' EXIT
      "$tool" convert --compression none "$1" "$d/whole.dat" && head -c "$2" "$d/whole.dat" >"$d/cut.dat" || exit
      "$tool" replay -q --allow-loss "$d/cut.dat" --no-series --json - | grep -o '"derivedWrong" : [0-9]*' | sort | uniq -c
      """#, [Tool.root.appendingPathComponent("traces/\(name)").path, String(bytes)])
    let lines = outcome.output.split(separator: "\n")
    #expect(
      lines.count == 1 && lines[0].hasSuffix("\"derivedWrong\" : 0"), "\(outcome.output) \(outcome.errors)")
  }
}
