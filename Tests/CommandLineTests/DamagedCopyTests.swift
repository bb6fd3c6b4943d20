import Foundation
import Testing

/// What `convert` and `slice` make of recordings in which something is missing.
@Suite("Copies of damaged recordings")
struct DamagedCopyTests {
  private typealias Object = [String: Any]

  private static func path(_ name: String) -> String {
    Tool.root.appendingPathComponent("traces/\(name)").path
  }

  /// Runs a line of bash in a folder of its own, of which nothing is left.
  private static func shell(_ line: String, _ arguments: [String]) throws -> Tool.Outcome {
    try Tool.shell(#"d=$(mktemp -d); trap 'rm -rf "$d"' EXIT; \#(line)"#, arguments)
  }

  /// The JSON objects that it prints, one a line.
  private static func reports(_ line: String, _ arguments: [String]) throws -> [Object] {
    let outcome = try shell(line, arguments)
    return try outcome.output.split(separator: "\n").map {
      try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? Object, "\(outcome.errors)")
    }
  }

  /// How many divergences nothing explains, how many predictions were derived and wrong, and in how many places events are missing.
  private static func faults(of report: Object) throws -> (unexplained: Int, wrong: Int, places: Int) {
    let divergences = try #require(report["divergences"] as? Object)
    let agreement = report["agreement"] as? [String: Object] ?? [:]
    let input = try #require((report["inputs"] as? [Object])?.first)
    return (
      try #require(divergences["unexplained"] as? Int),
      agreement.values.reduce(0) { $0 + ($1["derivedWrong"] as? Int ?? 0) },
      (input["lossCount"] as? Int ?? 0) + ((input["damage"] as? [Any])?.count ?? 0)
    )
  }

  @Test(
    "A copy of a recording that was cut knows no more than the recording does",
    arguments: [
      ("pkvm-nvhe-7.3.4-plain-guest.dat", 130_000), ("pkvm-nvhe-7.3.4-plain-guest.dat", 350_000),
      ("kvm-nvhe-7.3.4-guest-boot.dat", 600_000),
    ])
  func cut(name: String, bytes: Int) throws {
    let reports = try Self.reports(
      #"""
      head -c "$2" "$1" >"$d/cut.dat"
      "$tool" convert --allow-loss "$d/cut.dat" "$d/copy.dat" || exit
      for file in cut copy; do "$tool" replay --allow-loss --json - "$d/$file.dat" | tr -d '\n'; echo; done
      """#, [Self.path(name), String(bytes)])
    try #require(reports.count == 2)
    for report in reports {
      let faults = try Self.faults(of: report)
      #expect(faults.unexplained == 0 && faults.wrong == 0 && faults.places > 0, "\(faults)")
    }
  }

  @Test(
    "A part of a recording that was cut says where it lacks events",
    arguments: [("+10", "+20"), ("+10", "+30"), ("+18", "+30")])
  func partOfCut(from: String, to: String) throws {
    let reports = try Self.reports(
      #"""
      head -c 600000 "$1" >"$d/cut.dat"
      "$tool" slice --allow-loss "$d/cut.dat" "$d/part.dat" --from "$2" --to "$3" || exit
      "$tool" replay --allow-loss --json - "$d/part.dat" | tr -d '\n'
      """#, [Self.path("kvm-nvhe-7.3.4-guest-boot.dat"), from, to])
    let faults = try Self.faults(of: try #require(reports.first))
    // A CPU's events end at 17 s, within two of the parts and before the third.
    #expect(faults.unexplained == 0 && faults.wrong == 0 && faults.places > 0, "\(faults)")
  }

  @Test("A part before the place where events are missing is complete")
  func partBeforeLoss() throws {
    let reports = try Self.reports(
      #"""
      head -c 600000 "$1" >"$d/cut.dat"
      "$tool" slice --allow-loss "$d/cut.dat" "$d/part.dat" --to +8 || exit
      "$tool" replay --json - "$d/part.dat" | tr -d '\n'
      """#, [Self.path("kvm-nvhe-7.3.4-guest-boot.dat")])
    let faults = try Self.faults(of: try #require(reports.first))
    #expect(faults.unexplained == 0 && faults.places == 0, "\(faults)")
  }

  @Test(
    "What was lost before a part is lost for its replay, and so is what is missing at its end",
    arguments: ["from", "to"])
  func lossBesidePart(side: String) throws {
    let path = Self.path("inputs/perf/lost.data")
    let line = #""$tool" info --allow-loss --json "$1" | tr -d '\n'"#
    let info = try #require(try Self.reports(line, [path]).first)
    let losses = try #require(info["losses"] as? [Object])
    let middle = try #require(losses.compactMap { $0["beforeNs"] as? Int }.sorted().first)
    // A microsecond behind the first event after a loss, or right before it.
    let moment = Double(middle + (side == "from" ? 1000 : -1)) / 1e9
    let outcome = try Self.shell(
      #"""
      "$tool" slice --allow-loss "$1" "$d/part.dat" "--$2" "$3" || exit
      "$tool" info "$d/part.dat" --json
      """#, [path, side, String(format: "%.9f", moment)])
    #expect(outcome.status == 2 && !outcome.output.contains("\"lossCount\" : 0"), "\(outcome.output)")
    if side == "to" { #expect(outcome.output.contains("\"behindLast\""), "\(outcome.output)") }
  }

  @Test("A recording of which no CPU can be read has a copy in which events are missing")
  func noCPU() throws {
    let outcome = try Self.shell(
      #"""
      for bytes in $(seq 2000 500 40000); do
        head -c "$bytes" "$1" >"$d/cut.dat"
        "$tool" info --allow-loss "$d/cut.dat" >"$d/info" 2>/dev/null || continue
        grep -q ' 0 CPUs' "$d/info" || continue
        "$tool" convert --allow-loss --overwrite "$d/cut.dat" "$d/copy.dat" || exit
        "$tool" info "$d/copy.dat" >/dev/null 2>&1; echo "$?"
      done
      """#, [Self.path("inputs/trace-dat/v7.dat")])
    let statuses = Set(outcome.output.split(separator: "\n"))
    #expect(statuses == ["2"], "\(outcome.output) \(outcome.errors)")
  }

  private static let missingEntries =
    "fewer entries than its header tells of, and no line says where they are missing"

  @Test(
    "Why a recording does not tell of losses is told by its copies, parts of them, and copies of those",
    arguments: [
      (
        "sim-perf.script-guestmount.txt.gz", "", "perf script tells of losses with --show-lost-events alone",
        "it is a copy of a text of perf script, which tells of losses with --show-lost-events alone"
      ),
      (
        "trace.txt.gz", "1000,3000d", "the text has \(missingEntries)",
        "it is a copy of a text that has \(missingEntries)"
      ),
      ("trace.txt.gz", "", nil, nil), ("trace_pipe.txt.gz", "", nil, nil),
      ("sim.perfetto-trace.gz", "", nil, nil),
    ])
  func unknownLosses(name: String, edit: String, why: String?, ofCopy: String?) throws {
    let reports = try Self.reports(
      #"""
      gzip -dc "$1" | if [[ $2 ]]; then sed "$2"; else cat; fi >"$d/0"
      "$tool" convert --allow-loss "$d/0" "$d/1" && "$tool" slice --allow-loss "$d/0" "$d/2" --from +0.1 &&
        "$tool" slice --allow-loss "$d/1" "$d/3" --to +2 && "$tool" convert --allow-loss "$d/3" "$d/4" || exit
      for copy in 0 1 2 3 4; do "$tool" info --allow-loss --json "$d/$copy" | tr -d '\n'; echo; done
      """#, [Self.path("inputs/simultaneous/\(name)"), edit])
    #expect(reports.map { $0["lossesUnknownWhy"] as? String } == [why] + Array(repeating: ofCopy, count: 4))
    #expect(
      reports.map { $0["lossesUnknown"] as? Bool } == Array(repeating: why == nil ? nil : true, count: 5))
  }

  @Test(
    "A text that is cut anywhere is replayed as its copy is",
    arguments: ["trace.txt.gz", "trace_pipe.txt.gz", "sim-instance.report.txt.gz"], ["head", "tail"])
  func cutText(name: String, side: String) throws {
    let reports = try Self.reports(
      #"""
      gzip -dc "$1" >"$d/whole"; $2 -c $(($(wc -c <"$d/whole") * 6 / 10)) "$d/whole" >"$d/0"
      "$tool" convert --allow-loss "$d/0" "$d/1" || exit
      for copy in 0 1; do "$tool" replay --allow-loss --json - "$d/$copy" | tr -d '\n'; echo; done
      """#, [Self.path("inputs/simultaneous/\(name)"), side])
    try #require(reports.count == 2)
    #expect(try Self.findings(reports[0]) == Self.findings(reports[1]))
  }

  @Test(
    "A page of zeros makes nothing diverge, and of a file without that page nothing is certain",
    arguments: [("kvm-nvhe-7.3.4-demand-paging.dat", 60), ("kvm-nvhe-7.2.12-page-table-thp.dat", 54)])
  func page(name: String, page: Int) throws {
    let reports = try Self.reports(
      #"""
      "$tool" convert --compression none "$1" "$d/whole" || exit
      cp "$d/whole" "$d/0" && dd if=/dev/zero of="$d/0" bs=4096 seek="$2" count=1 conv=notrunc status=none
      { head -c $(($2 * 4096)) "$d/whole"; tail -c +$((($2 + 1) * 4096 + 1)) "$d/whole"; } >"$d/1"
      "$tool" slice --allow-loss "$d/1" "$d/2" --from +0.09 --to +0.7 || exit
      for copy in 0 1 2; do "$tool" replay --allow-loss --json - "$d/$copy" | tr -d '\n'; echo; done
      """#, [Self.path(name), String(page)])
    try #require(reports.count == 3)
    for (report, isLacking) in zip(reports, [false, true, true]) {
      let faults = try Self.faults(of: report)
      #expect(faults.unexplained == 0 && faults.wrong == 0 && faults.places > 0, "\(faults)")
      let operations = try #require((report["vms"] as? [Object])?.first?["operations"] as? [String: Object])
      let derived = operations.values.reduce(0) { $0 + (($1["basis"] as? [String: Int])?["derived"] ?? 0) }
      #expect((derived == 0) == isLacking, "\(operations)")
    }
  }

  @Test("The copy of a text whose first line is cut says so, though nothing is missing between its events")
  func cutFirstLine() throws {
    let outcome = try Self.shell(
      #"""
      gzip -dc "$1" | grep -v '^#' | tail -c +20 >"$d/0"
      "$tool" convert --allow-loss "$d/0" "$d/1" || exit
      for copy in 0 1; do "$tool" info "$d/$copy" >/dev/null 2>&1; echo "$?"; done
      """#, [Self.path("inputs/simultaneous/trace_pipe.txt.gz")])
    #expect(outcome.output == "2\n2\n", "\(outcome.output) \(outcome.errors)")
  }

  @Test(
    "Of a text in which lines have run into one, what is not near that place is derived, and so in its copy")
  func joinedLines() throws {
    let reports = try Self.reports(
      #"""
      gzip -dc "$1" | sed -e '2000{N;s/\n//}' >"$d/0"
      "$tool" convert --allow-loss "$d/0" "$d/1" || exit
      for copy in 0 1; do "$tool" replay --allow-loss --json - "$d/$copy" | tr -d '\n'; echo; done
      """#, [Self.path("inputs/simultaneous/trace.txt.gz")])
    try #require(reports.count == 2)
    #expect(try Self.findings(reports[0]) == Self.findings(reports[1]))
    let words = (reports[0]["notKnown"] as? [Object])?.compactMap { $0["what"] as? String } ?? []
    #expect(words.contains("losses") && !words.contains("whetherEventsWereLost"), "\(words)")
    let operations = try #require((reports[0]["vms"] as? [Object])?.first?["operations"] as? [String: Object])
    #expect(
      operations.values.contains { (($0["basis"] as? [String: Int])?["derived"] ?? 0) > 100 }, "\(operations)"
    )
  }

  /// What a replay found, without times, which differ where several events of a text have one stamp.
  private static func findings(_ report: Object) throws -> NSDictionary {
    var divergences = try #require(report["divergences"] as? Object)
    divergences["items"] = nil
    let vms = try #require(report["vms"] as? [Object])
    return [
      "divergences": divergences, "agreement": report["agreement"] ?? [:],
      "vms": vms.map { vm in
        ["operations", "faults", "faultsWithoutOperation", "hypercalls"].map {
          vm[$0] ?? [:] as [String: Int]
        }
      },
    ]
  }

  @Test(
    "Of kinds that did not come a text does not say whether they were recorded, nor does its copy",
    arguments: [
      ("trace.txt.gz", "none came: not recorded, or none occurred"),
      ("trace_pipe.txt.gz", "none came: not recorded, or none occurred"),
      ("sim-perf.data.gz", nil), ("sim.perfetto-trace.gz", nil),
    ])
  func noneCame(name: String, why: String?) throws {
    let reports = try Self.reports(
      #"""
      gzip -dc "$1" >"$d/0"
      "$tool" convert --allow-loss "$d/0" "$d/1" && "$tool" slice --allow-loss "$d/0" "$d/2" --from +0.1 || exit
      for copy in 0 1 2; do "$tool" replay --allow-loss --json - "$d/$copy" | tr -d '\n'; echo; done
      """#, [Self.path("inputs/simultaneous/\(name)")])
    try #require(reports.count == 3)
    for report in reports {
      let missing = report["notRecorded"] as? [Object] ?? []
      let entries = missing.filter { ($0["events"] as? [String])?.contains("kvm_access_fault") == true }
      #expect(entries.map { $0["why"] as? String } == (why == nil ? [] : [why]), "\(missing)")
      #expect(
        why != nil || !missing.contains { ($0["why"] as? String)?.contains("none came") == true },
        "\(missing)")
    }
  }

  @Test("A kind that did not come and happened, as others show, was not recorded")
  func shownByOthers() throws {
    let lines = #"""
      gzip -dc "$1" | grep -v -e 'kvm_exit: ' -e entries-in-buffer | "$tool" replay --json - - | tr -d '\n'
      """#
    let report = try #require(
      try Self.reports(lines, [Self.path("inputs/simultaneous/trace.txt.gz")]).first)
    let missing = report["notRecorded"] as? [Object] ?? []
    let exits = try #require(missing.first { ($0["events"] as? [String]) == ["kvm_exit"] }, "\(missing)")
    #expect(exits["why"] == nil, "\(exits)")
  }

  @Test(
    "Waits of Perfetto's are unknown for want of the lock's address, which the report says, and of its copy")
  func lockNumbers() throws {
    let reports = try Self.reports(
      #"""
      "$tool" convert "$1" "$d/copy" || exit
      for file in "$1" "$d/copy"; do "$tool" replay --json - "$file" | tr -d '\n'; echo; done
      """#, [Self.path("inputs/simultaneous/sim.perfetto-trace.gz")])
    try #require(reports.count == 2)
    for report in reports {
      let missing = report["notRecorded"] as? [Object] ?? []
      let waits = missing.first { ($0["events"] as? [String])?.contains("contention_begin") == true }
      #expect(waits?["why"] as? String == "recorded without the lock's address", "\(missing)")
      #expect(missing.contains { $0["events"] as? [String] == ["errno of kvm_userspace_exit"] }, "\(missing)")
    }
  }

  @Test(
    "info says by what a part leaves events out",
    arguments: [
      ("--cpu 0", ["cpu"]), ("--cpu 0 --where 'esr.level == 3'", ["cpu", "filter"]), ("--from +20", nil),
      ("--vm 0 --tid 141", ["thread", "vm"]),
    ])
  func leftOut(options: String, by: [String]?) throws {
    let lines = #""$tool" slice "$1" "$d/part.dat" \#(options) && "$tool" info "$d/part.dat""#
    let path = Self.path("pkvm-nvhe-7.3.4-memslot-move.dat")
    let info = try #require(try Self.reports(lines + " --json | tr -d '\n'", [path]).first)
    #expect(info["leftOutBy"] as? [String] == by)
    let text = try Self.shell(lines, [path]).output
    #expect(text.contains("with the events of a chosen") == (by != nil), "\(text)")
  }

  @Test("A part takes the size of guest physical addresses that the whole suggests")
  func suggestedIPASize() throws {
    let reports = try Self.reports(
      #"""
      "$tool" slice "$1" "$d/part.dat" --from +40 --to +45 || exit
      "$tool" replay "$1" --from +40 --to +45 --json - | tr -d '\n'; echo
      "$tool" replay "$d/part.dat" --json - | tr -d '\n'
      """#, [Self.path("pkvm-nvhe-7.3.4-guest-damon.dat")])
    try #require(reports.count == 2)
    let sizes = reports.map { ($0["profile"] as? Object)?["ipaBits"] as? Int }
    #expect(sizes[0] != nil && sizes[0] == sizes[1])
    #expect(reports.map { ($0["profileBasis"] as? Object)?["ipaBits"] as? String } == ["assumed", "assumed"])
  }
}
