import Foundation
import Testing
import TraceSynth
import UnnamedFiles

/// Traces that were cut: what is there is shown, one line says what is missing, the status is 2.
@Suite("Damaged inputs")
struct DamagedInputTests {
  /// How much of a file is left, in hundredths.
  static let shares = [50, 75, 99]

  @Test("a v7 file that was cut", arguments: shares)
  func version7(percent: Int) throws {
    let whole = try Data(contentsOf: URL(fileURLWithPath: Tool.recording))
    try expectSalvage(whole.prefix(whole.count * percent / 100))
  }

  @Test("a v6 file that was cut", arguments: shares)
  func version6(percent: Int) throws {
    let whole = try Self.version6()
    try expectSalvage(Data(whole.prefix(whole.count * percent / 100)))
  }

  @Test("a cut file is accepted when it is allowed to be incomplete")
  func allowLoss() throws {
    let file = try UnnamedFile(try Self.version6().dropLast(100))
    let outcome = try Tool.run(["info", file.path, "--allow-loss"])
    #expect(outcome.status == 0)
    #expect(outcome.errors.isEmpty)
    #expect(outcome.output.contains("damage"))
  }

  private func expectSalvage(_ bytes: Data) throws {
    let file = try UnnamedFile(bytes)
    let info = try Tool.run(["info", file.path, "--json"])
    #expect(info.status == 2)
    #expect(info.errorLines.count == 1, "\(info.errors)")
    #expect(info.errors.contains("byte "), "\(info.errors)")
    let json = try #require(try JSONSerialization.jsonObject(with: Data(info.output.utf8)) as? [String: Any])
    let events = try #require(json["events"] as? Int)
    #expect(events > 0, "nothing was salvaged from \(bytes.count) bytes")

    let lines = try Tool.run(["events", file.path, "--format", "csv"])
    #expect(lines.status == 2)
    #expect(lines.errorLines.count == 1)
    #expect(lines.output.split(separator: "\n").count == events + 1)
  }

  /// A v6 file of two CPUs and forty pages.
  private static func version6() throws -> [UInt8] {
    let flavour = TraceFlavour(version: .v6)
    let writer = TraceDatWriter(TraceDescription(flavour, cpus: 2))
    for cpu in 0..<2 {
      var page = SubBufferPageBuilder(flavour, timestamp: 1000)
      for pageNumber in 0..<20 {
        page.reset(timestamp: UInt64(1_000_000 * (pageNumber + 1) + cpu))
        var time = page.timestamp
        while page.append(KVMEventFormats.entry.payload([0x1000], pid: 7, flavour: flavour), at: time) {
          time += 10
        }
        try writer.append(page.finish(), cpu: UInt32(cpu))
      }
    }
    return try writer.bytes()
  }

  @Test(
    "A loss that may have taken a memslot's commit contradicts nothing, and no unmap behind it is derived")
  func lostCommits() throws {
    let path = Tool.root.appendingPathComponent("traces/inputs/simultaneous/trace.txt.gz").path
    let outcome = try Tool.shell(
      #"""
      d=$(mktemp -d); trap 'rm -rf "$d"' EXIT
      for n in 1 2 3 4 5 8; do
        gzip -dc "$1" | awk -v n=$n '
          / commit: / && ++count == n { match($0, /\[[0-9]+\]/)
            print "CPU:" substr($0, RSTART + 1, RLENGTH - 2) + 0 " [LOST 1 EVENTS]"; next }
          { print }' >"$d/lost.txt"
        "$tool" replay --allow-loss "$d/lost.txt" >"$d/page" 2>/dev/null; echo "$? $(awk '$1 == "unmap" { print $6; exit }' "$d/page")"
      done
      """#, [path])
    let found = outcome.output.split(separator: "\n").map { $0.split(separator: " ").compactMap { Int($0) } }
    #expect(
      found.count == 6 && found.allSatisfy { $0.count == 2 && $0[0] == 0 },
      "\(outcome.output) \(outcome.errors)")
    // Behind an early loss those alone are derived that removals of slots make, and behind another one those that came before, too.
    let derived = found.compactMap(\.last)
    #expect(
      derived.prefix(3).allSatisfy { $0 < 10 } && derived.suffix(3).allSatisfy { (10..<150).contains($0) },
      "\(derived)")
  }
}
