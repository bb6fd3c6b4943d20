import Foundation
import Testing
import UnnamedFiles

/// Two recordings in one file.
@Suite("Joined recordings")
struct JoinedInputTests {
  private static func path(_ name: String) -> String {
    Tool.root.appendingPathComponent("traces/inputs/\(name)").path
  }

  @Test(
    "That another recording follows is told with its place, and what splits it off; the first one is read",
    arguments: [
      "trace-dat/v6.dat", "trace-dat/v6-big-endian-32-bit.dat", "trace-dat/v7.dat", "trace-dat/v7-zstd.dat",
      "perf/lost.data",
    ],
    ["cat", "gzip -c", "zstd -qc"])
  func joined(name: String, packing: String) throws {
    let outcome = try Tool.shell(
      #"""
      d=$(mktemp -d); trap 'rm -rf "$d"' EXIT
      cat "$1" "$2" >"$d/both"; $3 "$d/both" >"$d/in"
      "$tool" info "$d/in" >"$d/info"; echo $?
      grep -o "another recording begins here.*" "$d/info" | head -1
      tail -c +$(($(stat -c %s "$1") + 1)) "$d/both" | cmp - "$2" && echo apart
      for file in "$1" "$d/in"; do "$tool" events --allow-loss "$file" | sha256sum; done | sort -u | wc -l
      """#, [Self.path(name), Self.path("trace-dat/v7-zstd.dat"), packing])
    let size = try #require(try FileManager.default.attributesOfItem(atPath: Self.path(name))[.size] as? Int)
    #expect(
      outcome.output == """
        2
        another recording begins here, a trace.dat, and is not read; tail -c +\(size + 1) splits it off
        apart
        1

        """, "\(outcome.output) \(outcome.errors)")
  }

  @Test(
    "What is no recording is told, too, where it is not zeros",
    arguments: ["trace-dat/v7.dat", "perf/lost.data"])
  func somethingBehind(name: String) throws {
    let outcome = try Tool.shell(
      #"""
      d=$(mktemp -d); trap 'rm -rf "$d"' EXIT
      (cat "$1"; seq 5000) >"$d/text"; (cat "$1"; head -c 9000 /dev/zero) >"$d/zeros"
      (cat "$1"; gzip -c "$1") >"$d/packed"
      for file in text packed zeros; do "$tool" info "$d/$file" | grep -c "what follows it in the file is not read"; done
      """#, [Self.path(name)])
    #expect(outcome.output == "1\n1\n0\n", "\(outcome.output) \(outcome.errors)")
  }

  @Test("That a perf.data follows another one is told")
  func joinedPerfData() throws {
    let header = Array("PERFILE2".utf8) + [16, 0, 0, 0, 0, 0, 0, 0]
    let file = try UnnamedFile(Data(header))
    let outcome = try Tool.shell(
      #"""
      d=$(mktemp -d); trap 'rm -rf "$d"' EXIT
      cat "$1" "$2" >"$d/both"; "$tool" info "$d/both" | grep -c "another recording begins here, a perf.data"
      """#, [Self.path("perf/lost.data"), file.path])
    #expect(outcome.output == "1\n", "\(outcome.output) \(outcome.errors)")
  }
}
