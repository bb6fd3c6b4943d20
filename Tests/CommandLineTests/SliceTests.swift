import Foundation
import Testing

/// What other commands say of a part that `slice` cut out of a recording.
@Suite("Parts of recordings")
struct SliceTests {
  private typealias Object = [String: Any]

  private static func path(_ name: String) -> String {
    Tool.root.appendingPathComponent("traces/\(name)").path
  }

  /// Runs a line of bash in a folder of its own, of which nothing is left, and takes its output as lines of JSON.
  private static func json(_ line: String, _ arguments: [String]) throws -> [Object] {
    let outcome = try Tool.shell(
      #"d=$(mktemp -d); trap 'rm -rf "$d"' EXIT; \#(line)"#, arguments)
    let objects = try outcome.output.split(separator: "\n").map {
      try JSONSerialization.jsonObject(with: Data($0.utf8)) as? Object ?? [:]
    }
    return try #require(objects.isEmpty ? nil : objects, "\(outcome.errors)")
  }

  /// Where two values differ, as paths.
  private static func differences(_ a: Any?, _ b: Any?, _ path: String = "") -> [String] {
    switch (a, b) {
    case (let a as Object, let b as Object):
      Set(a.keys).union(b.keys).sorted().flatMap { differences(a[$0], b[$0], "\(path).\($0)") }
    case (let a as [Any], let b as [Any]) where a.count == b.count:
      zip(a, b).flatMap { differences($0, $1, path) }
    case (let a as NSObject, let b as NSObject) where a == b: []
    case (nil, nil): []
    default: [path]
    }
  }

  /// What the file is, rather than what was replayed: it has less in it, and a marker more.
  private static let ofFile = ["events", "firstNs", "lastNs", "path"]

  @Test(
    "The report of a part is that of the whole with the same times, but for what it says of the file",
    arguments: [
      ("pkvm-nvhe-7.3.4-memslot-move.dat", "+20", "+40"),
      ("pkvm-nvhe-6.18.15-dirty-log-thp.dat", "+0.684", "+1.368"),
      ("kvm-nvhe-7.3.4-reset-guest.dat", "+2", "+4"),
      // Nor here of those that show that this is no pKVM, which is assumed of the whole.
      ("kvm-nvhe-7.2.12-page-table-thp.dat", "+0.521645910", "+0.619411759"),
      // Of this one the part has none of the faults that tell of the CPU.
      ("pkvm-nvhe-7.3.4-dirty-log-thp.dat", "+0.684", "+1.368"),
    ])
  func sameReport(name: String, from: String, to: String) throws {
    let reports = try Self.json(
      #"""
      "$tool" slice "$1" "$d/part.dat" --from "$2" --to "$3" || exit
      "$tool" replay "$1" --from "$2" --to "$3" --json - | tr -d '\n'; echo
      "$tool" replay "$d/part.dat" --json - | tr -d '\n'
      """#, [Self.path(name), from, to])
    try #require(reports.count == 2)
    let found = Self.differences(reports[0], reports[1]).map { $0.replacing(".inputs.", with: "") }
    let others = found.filter { !$0.hasPrefix("eventCounts.") && !Self.ofFile.contains($0) }
    let bases = try reports.map { try #require($0["profileBasis"] as? [String: String]) }
    for field in others {
      // What the whole derived, the part reads in its marker.
      try #require(field.hasPrefix(".profileBasis."), "\(field)")
      let name = String(field.dropFirst(".profileBasis.".count))
      #expect(bases[0][name] == "derived" && bases[1][name] == "recorded", "\(field)")
    }
    // Not for want of anything that could differ.
    #expect((reports[0]["vms"] as? [Object])?.first?["lock"] != nil)
  }

  @Test(
    "What a part has no event of is not taken for what was not recorded, as the whole shows",
    arguments: [
      // Memory ages, without a fault.
      ("pkvm-nvhe-7.3.4-memslot-move.dat", "+10", "+20"),
      // Nothing of KVM's happens.
      ("pkvm-nvhe-7.3.4-fellow-guests.dat", "+20", "+21"),
    ])
  func sameRecordedKinds(name: String, from: String, to: String) throws {
    let reports = try Self.json(
      #"""
      "$tool" slice "$1" "$d/part.dat" --from "$2" --to "$3" && "$tool" slice "$d/part.dat" "$d/again.dat" || exit
      "$tool" replay "$1" --from "$2" --to "$3" --no-series --json - | tr -d '\n'; echo
      for part in part again; do "$tool" replay "$d/$part.dat" --no-series --json - | tr -d '\n'; echo; done
      """#, [Self.path(name), from, to])
    try #require(reports.count == 3)
    for part in [1, 2] {
      #expect(Self.differences(reports[0]["notRecorded"], reports[part]["notRecorded"]) == [])
      #expect(Self.differences(reports[0]["vms"], reports[part]["vms"]) == [])
    }
  }

  @Test("Times of a part count from where it begins, and info says where that is")
  func relativeTimes() throws {
    let reports = try Self.json(
      #"""
      "$tool" slice "$1" "$d/part.dat" --from +30 --to +36 &&
        "$tool" slice "$d/part.dat" "$d/sub.dat" --from +2 --to +4 || exit
      "$tool" replay "$1" --from +32 --to +34 --json - --no-series | tr -d '\n'; echo
      "$tool" replay "$d/part.dat" --from +2 --to +4 --json - --no-series | tr -d '\n'; echo
      "$tool" replay "$d/sub.dat" --json - --no-series | tr -d '\n'; echo
      "$tool" info "$d/sub.dat" --json | tr -d '\n'
      """#, [Self.path("pkvm-nvhe-7.3.4-memslot-move.dat")])
    try #require(reports.count == 4)
    for part in [1, 2] {
      let found = Self.differences(reports[0], reports[part]).map { $0.replacing(".inputs.", with: "") }
      let others = found.filter { !$0.hasPrefix("eventCounts.") && !Self.ofFile.contains($0) }
      #expect(others.filter { !$0.hasPrefix(".profileBasis.") } == [])
    }
    let window = try #require((reports[0]["inputs"] as? [Object])?.first?["window"])
    #expect(Self.differences(window, reports[3]["window"]) == [])
  }

  @Test("The first time that events prints of a part is since its beginning")
  func relativeEvents() throws {
    let outcome = try Tool.shell(
      #"""
      d=$(mktemp -d); trap 'rm -rf "$d"' EXIT
      "$tool" slice "$1" "$d/part.dat" --from +20 --to +40 || exit
      first() { "$tool" events "$1" --relative --from "$2" --format csv | awk -F, 'NR == 2 { print $1 }'; }
      echo $(($(first "$1" +25) - 20000000000)); first "$d/part.dat" +5
      """#, [Self.path("pkvm-nvhe-7.3.4-memslot-move.dat")])
    let lines = outcome.output.split(separator: "\n")
    #expect(lines.count == 2 && lines[0] == lines[1], "\(outcome.output) \(outcome.errors)")
  }

  @Test("A VM that was there before a part has no boot in it, and no time before it")
  func capacity() throws {
    let plans = try Self.json(
      #"""
      "$tool" slice "$1" "$d/part.dat" --from +20 --to +40 || exit
      "$tool" capacity "$d/part.dat" --vms 2 --memory 1GiB --json - | tr -d '\n'
      """#, [Self.path("pkvm-nvhe-7.3.4-memslot-move.dat")])
    let sample = try #require((plans[0]["samples"] as? [Object])?.first)
    let curve = try #require(sample["curve"] as? Object)
    #expect(curve["beganMidLife"] as? Bool == true)
    #expect((curve["recordedNs"] as? Int).map { $0 <= 20_000_000_000 } == true)
  }

  @Test("A part is replayed on the machine of the whole, but for what is stated")
  func sameMachine() throws {
    let reports = try Self.json(
      #"""
      for path in "$1" "$2"; do
        # Without the waits that tell of the MMU.
        "$tool" slice "$path" "$d/part.dat" --event kvm_entry,kvm_exit,kvm_guest_fault --overwrite || exit
        for profile in auto pkvm traditional; do
          "$tool" replay "$d/part.dat" --profile $profile --no-series --json - | tr -d '\n'; echo
        done
      done
      """#, ["kvm-nvhe-7.2.12-16k-page-table.dat", "pkvm-nvhe-7.3.4-memslot-move.dat"].map(Self.path))
    let known = reports.map { report in
      ["path", "hardwareAF"].flatMap { field in
        [report["profile"], report["profileBasis"]].map { "\(($0 as? Object)?[field] ?? "none")" }
      }.joined(separator: " ")
    }
    #expect(
      known == [
        // What this part shows by itself.
        "traditional derived 0 derived", "pkvm assumed 0 derived", "traditional derived 0 derived",
        "pkvm recorded 1 assumed", "pkvm recorded 1 assumed", "traditional assumed 1 assumed",
      ])
  }

  @Test(
    "A part of a host with several VMs has the operations of the whole, and its vCPUs in their VMs",
    arguments: [
      ("kvm-vhe-7.3.4-two-guests.dat", ["+50 +60", "+88 +105"]),
      ("kvm-nvhe-7.3.4-twin-guests.dat", ["+2 +3.5", "+9 +10"]),
      ("pkvm-nvhe-7.3.4-fellow-guests.dat", ["+14 +17", "+19.9 +28"]),
      ("pkvm-nvhe-7.3.4-joined-guests.dat", ["+13.6 +16.3", "+19 +20.5"]),
    ])
  func severalVMs(name: String, windows: [String]) throws {
    for window in windows {
      let reports = try Self.json(
        #"""
        "$tool" slice "$1" "$d/part.dat" --from $2 --to $3 &&
          "$tool" slice --anonymize "$d/part.dat" "$d/anonymous.dat" || exit
        "$tool" replay "$1" --from $2 --to $3 --ops "$d/whole.csv" --json "$d/whole.json" >/dev/null
        for part in part anonymous; do
          "$tool" replay "$d/$part.dat" --ops "$d/$part.csv" --json "$d/$part.json" >/dev/null
        done
        [[ $(wc -l <"$d/part.csv") -gt 100 ]] && cmp "$d/whole.csv" "$d/part.csv" || exit
        cmp <(cut -d, -f1,2,4- "$d/part.csv") <(cut -d, -f1,2,4- "$d/anonymous.csv") || exit
        for report in whole part anonymous; do tr -d '\n' <"$d/$report.json"; echo; done
        """#, [Self.path(name)] + window.split(separator: " ").map(String.init))
      try #require(reports.count == 3)
      let vms = reports.map { $0["vms"] as? [Object] ?? [] }
      func members(_ field: String, _ vms: [Object]) -> [NSObject?] { vms.map { $0[field] as? NSObject } }
      for field in ["id", "pids", "vcpus"] {
        #expect(members(field, vms[0]) == members(field, vms[1]), "\(window) \(field)")
      }
      // Other numbers, as many of each VM.
      let counts = vms.map { $0.map { ($0["vcpus"] as? [Object])?.count } }
      #expect(vms[0].count > 1 && counts[0] == counts[2], "\(window)")
    }
  }

  /// Of each operation of a VM: how many there are, and how many of them are certain.
  private static func operations(
    _ report: Object, where isMeant: (Object) -> Bool
  ) -> [String: (all: Int, certain: Int)] {
    var found: [String: (all: Int, certain: Int)] = [:]
    for vm in report["vms"] as? [Object] ?? [] where isMeant(vm) {
      for (name, operation) in vm["operations"] as? [String: Object] ?? [:] {
        let basis = operation["basis"] as? [String: Int] ?? [:]
        found[name, default: (0, 0)].all += operation["count"] as? Int ?? 0
        found[name]?.certain += (basis["recorded"] ?? 0) + (basis["derived"] ?? 0)
      }
    }
    return found
  }

  @Test(
    "A part by VM has nothing of other VMs, and nothing in it is more certain than in the whole",
    arguments: [
      ("kvm-nvhe-7.3.4-twin-guests.dat", [0, 1], "+6"),
      ("pkvm-nvhe-7.3.4-joined-guests.dat", [0, 1], "+16.3"),
      ("pkvm-nvhe-7.3.4-fellow-guests.dat", [2, 3], "+14.5"),
    ])
  func oneVM(name: String, vms: [Int], from: String) throws {
    for vm in vms {
      for options in ["", "--from \(from)", "--from \(from) --anonymize"] {
        let reports = try Self.json(
          #"""
          options=$3
          "$tool" slice "$1" "$d/part.dat" --vm $2 $options || exit
          "$tool" replay "$1" ${options%--anonymize} --no-series --json - | tr -d '\n'; echo
          "$tool" replay "$d/part.dat" --no-series --json - | tr -d '\n'; echo
          """#, [Self.path(name), String(vm), options])
        try #require(reports.count == 2)
        #expect((reports[1]["vms"] as? [Object])?.count == 1, "\(vm) \(options)")
        let whole = Self.operations(reports[0]) { $0["id"] as? Int == vm }
        let part = Self.operations(reports[1]) { _ in true }
        for (operation, count) in part {
          #expect(count.certain <= whole[operation]?.certain ?? 0, "\(vm) \(options) \(operation)")
        }
        #expect(whole["map"]?.all == part["map"]?.all && part["map"]?.all ?? 0 > 0, "\(vm) \(options)")
      }
    }
  }

  @Test("That a part lacks VMs that were there at the same time is said where it is replayed")
  func otherVMs() throws {
    let outcome = try Tool.shell(
      #"""
      d=$(mktemp -d); trap 'rm -rf "$d"' EXIT
      "$tool" slice "$1" "$d/one.dat" --vm 1 && "$tool" slice "$1" "$d/both.dat" --vm 0 --vm 1 || exit
      for part in one both; do
        "$tool" replay "$d/$part.dat" 2>&1 >/dev/null | grep -c "events of other VMs, which were there at the same time"
      done
      """#, [Self.path("kvm-nvhe-7.3.4-twin-guests.dat")])
    #expect(outcome.output == "1\n0\n", "\(outcome.output) \(outcome.errors)")
  }

  @Test(
    "A part of which events were left out that its replay would miss is not replayed, unless losses are allowed",
    arguments: [
      (["--cpu", "1"], "chosen CPUs alone"), (["--where", "esr.level == 3"], "chosen values alone"),
      (["--tid", "141", "--cpu", "0"], "chosen CPUs and threads alone"),
      (["--from", "+20", "--to", "+40"], nil),
      (["--vm", "0"], nil), (["--event", "kvm:*"], nil),
    ])
  func leftOut(choice: [String], says: String?) throws {
    let outcome = try Tool.shell(
      #"""
      d=$(mktemp -d); trap 'rm -rf "$d"' EXIT; file=$1; shift
      "$tool" slice "$file" "$d/first.dat" "$@" && "$tool" slice "$d/first.dat" "$d/part.dat" || exit
      "$tool" replay "$d/part.dat" --no-series >/dev/null; echo $?
      "$tool" compare "$d/part.dat" "$file" >/dev/null; echo $?
      "$tool" compare "$d/part.dat" --profile auto --profile 6.12 >/dev/null; echo $?
      "$tool" capacity "$d/part.dat" --vms 2 --memory 1GiB >/dev/null; echo $?
      "$tool" replay --allow-loss "$d/part.dat" --no-series | grep -c .
      "$tool" info "$d/part.dat" >/dev/null && "$tool" events "$d/part.dat" >/dev/null; echo $?
      """#, [Self.path("pkvm-nvhe-7.3.4-memslot-move.dat")] + choice)
    let lines = outcome.output.split(separator: "\n")
    try #require(lines.count == 6, "\(outcome.errors)")
    #expect(lines[..<4].allSatisfy { $0 == (says == nil ? "0" : "2") }, "\(outcome.output) \(outcome.errors)")
    #expect(lines[4] != "0" && lines[5] == "0")
    let refusals = outcome.errorLines.filter { $0.contains("so that a replay would say nothing") }
    #expect(refusals.count == (says == nil ? 0 : 4) && refusals.allSatisfy { $0.contains(says ?? "") })
  }

  /// Writes a text of a recording: changes of a slot, each with a line of somebody else's before it; an unmap ahead of all of them, and
  /// one in their midst, by threads that do nothing else.
  private static let writeText = #"""
    {
      head="(      0) [000] .....     "
      unmap='kvm_unmap_hva_range: mmu notifier unmap range: 0x00ffffaea00000 -- 0x00ffffaf200000'
      echo "            idle-7       ${head}1.000000: $unmap"
      awk -v n="$1" -v head="$head" -v unmap="$unmap" 'BEGIN {
        for (i = 1; i <= n; i++) {
          time = sprintf("%d.%06d", 2 + int(i / 100000), i % 100000)
          print "             vmm-8       " head time ": tracing_mark_write: noise"
          if (i == n - 5) print "            idle-9       " head time ": " unmap
          print "             vmm-8       " head time ": commit: (kvm_arch_commit_memory_region+0x4/0x218) kvm=0xffff0000c41a6000 " \
            "change=3 gfn=0 npages=48 hva=281473626693632 id=0 flags=" i % 2 " ogfn=0 onpages=48"
        }
      }'
      echo "             vmm-8       ${head}9.000000: tracing_mark_write: noise"
    } >"$d/whole.txt"
    """#

  @Test(
    "Of what is printed before a part only what a replay needs is kept; more than may wait is in its order all the same",
    arguments: [100, 70_000])
  func context(commits: Int) throws {
    let outcome = try Tool.shell(
      #"""
      d=$(mktemp -d); trap 'rm -rf "$d"' EXIT
      \#(Self.writeText)
      "$tool" slice "$d/whole.txt" "$d/part.dat" --from 9 && "$tool" info "$d/part.dat" >/dev/null || exit
      "$tool" events "$d/part.dat" --format jsonl >"$d/events"
      for word in noise '"commit"' kvm_unmap_hva_range; do grep -c -e "$word" "$d/events"; done
      """#, [String(commits)])
    #expect(outcome.output == "1\n\(commits)\n2\n", "\(outcome.errors)")
  }

  @Test(
    "An unmap that was written because too much waits, and then ends, is no unmap under way where the part begins"
  )
  func endedUnmap() throws {
    let outcome = try Tool.shell(
      #"""
      d=$(mktemp -d); trap 'rm -rf "$d"' EXIT
      \#(Self.writeText)
      sed -i '$i\            idle-7       (      0) [000] .....     8.500000: kvm_entry: PC: 0x0000000040000000' "$d/whole.txt"
      "$tool" slice "$d/whole.txt" "$d/part.dat" --from 9 || exit
      "$tool" events "$d/part.dat" --tid 7 --format csv | cut -d, -f 5
      """#, ["70000"])
    #expect(
      outcome.output.contains("kvm_unmap_hva_range") && outcome.output.contains("kvm_entry"),
      "\(outcome.output) \(outcome.errors)")
  }

  @Test("What a part shows by itself counts, whatever its marker says")
  func shownInPart() throws {
    let outcome = try Tool.shell(
      #"""
      d=$(mktemp -d); trap 'rm -rf "$d"' EXIT
      "$tool" slice --compression none --from +0 "$1" "$d/part.dat" || exit
      sed -i 's/path=traditional/path=pkvm       /' "$d/part.dat"
      "$tool" replay --json "$d/json" "$d/part.dat" >/dev/null; tr -d ' \n' <"$d/json" | grep -o -e '"isPKVM":[a-z]*' -e '"path":"[a-z]*"' | sort -u
      "$tool" events "$d/part.dat" --event print | grep -c path=pkvm
      """#, [Self.path("kvm-nvhe-7.3.4-gigantic-guest.dat")])
    #expect(
      outcome.output.contains("traditional") && outcome.output.hasSuffix("\n1\n"),
      "\(outcome.output) \(outcome.errors)")
  }
}
