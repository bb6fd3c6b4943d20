import Foundation
import Testing
import TraceSynth
import UnnamedFiles

/// `events --event`, `--where`, `--relative`, `--vm-column`: what is printed of a recording.
@Suite("Chosen events")
struct EventChoiceTests {
  /// One line of JSON.
  private struct Event: Sendable {
    var name: String
    var system: String
    var cpu: Int
    var time: UInt64?
    /// The fields that are numbers, and those that are texts of digits.
    var fields: [String: UInt64] = [:]
    var texts: [String: String] = [:]

    init(_ line: Substring) throws {
      let object = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
      name = object["event"] as? String ?? ""
      system = object["system"] as? String ?? ""
      cpu = object["cpu"] as? Int ?? -1
      time = ((object["timeNs"] ?? object["relativeNs"]) as? NSNumber)?.uint64Value
      for (name, value) in object["fields"] as? [String: Any] ?? [:] {
        if let number = value as? NSNumber { fields[name] = number.uint64Value }
        if let text = value as? String { texts[name] = text }
      }
    }

    func number(_ name: String) -> UInt64? { fields[name] ?? texts[name].flatMap { UInt64($0) } }
  }

  private static let all: [Event] = (try? events([])) ?? []

  private static func events(_ arguments: [String]) throws -> [Event] {
    let outcome = try Tool.run(["events", Tool.recording, "--format", "jsonl"] + arguments)
    let note = outcome.output.isEmpty ? "0 of \\d+ events match" : "^$"
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(try outcome.errors.firstMatch(of: Regex(note)) != nil, "\(outcome.errors)")
    return try outcome.output.split(separator: "\n").map(Event.init)
  }

  @Test(
    "globs, systems and lists name events",
    arguments: [
      (["kvm_*"], #"kvm_.*"#), (["kvm:kvm_exit"], "kvm_exit"), (["kvm_e[nx]*"], "kvm_entry|kvm_exit"),
      (["kvm_exit,kvm_entry", "k*:kvm_guest_fault"], "kvm_exit|kvm_entry|kvm_guest_fault"), (["*"], ".*"),
      (["kvm_exi?"], "kvm_exit"),
    ])
  func names(patterns: [String], expected: String) throws {
    let expected = try Regex(expected)
    let found = try Self.events(patterns.flatMap { ["--event", $0] }).map(\.name)
    #expect(found == Self.all.map(\.name).filter { $0.wholeMatch(of: expected) != nil } && !found.isEmpty)
  }

  private static let conditions: [(String, @Sendable (Event) -> Bool)] = [
    (
      "ipa >= 0x40000000 && ipa < 0x40200000",
      { $0.number("ipa").map { (0x4000_0000..<0x4020_0000).contains($0) } ?? false }
    ),
    ("esr.level == 3", { $0.number("hsr").map { $0 & 0x3f < 0x10 && $0 & 3 == 3 } ?? false }),
    (
      "esr.write && !(cpu == 0)",
      { event in
        // kvm_is_write_fault: of a stage-1 walk (S1PTW) a permission fault, of any other data abort WnR.
        event.number("hsr").map { hsr in
          let isPermission = hsr & 0x3c == 0xc
          let isWrite = hsr & 0x80 != 0 ? isPermission : hsr >> 26 & 0x3f == 0x24 && hsr & 0x40 != 0
          return isWrite && event.cpu != 0
        } ?? false
      }
    ),
    ("event == 'kvm_exit' || event ~ kvm_en*", { ["kvm_exit", "kvm_entry"].contains($0.name) }),
    ("esr_ec & 0x20 == 0x20", { $0.number("esr_ec").map { $0 & 0x20 != 0 } ?? false }),
    ("cpu == 1 && system == kvm", { $0.cpu == 1 && $0.system == "kvm" }),
    ("esr.kind == permission", { $0.number("hsr").map { (0xc...0xf).contains($0 & 0x3f) } ?? false }),
    ("!(ipa != 0x40000000)", { $0.number("ipa") == 0x4000_0000 }),
  ]

  @Test("filters keep the events that fit", arguments: 0..<8)
  func filters(index: Int) throws {
    let (filter, isWanted) = Self.conditions[index]
    let found = try Self.events(["--where", filter])
    #expect(found.count == Self.all.count { isWanted($0) }, "\(filter)")
    #expect(found.allSatisfy { isWanted($0) }, "\(filter)")
  }

  @Test(
    "a mistake in a filter or a name is one line that says where",
    arguments: [
      (["--where", "ipaa == 1"], "character 1: no selected event has a field ipaa; near are ipa"),
      (["--where", "ipa = 1"], "character 5: = is written =="),
      (["--where", "ipa == x"], "character 8: the field is a number, and x is none"),
      (["--where", "ipa == "], "character 8: a number is missing after =="),
      (["--where", "ipa ~ 'x'"], "character 5: ~ compares texts"),
      (["--where", "(ipa == 1"], "character 10: a ) is missing"),
      (["--where", "comm == 'x"], "character 9: a text"),
      (["--where", "ipa == 1 ipa"], "character 10: ipa is not expected"), (["--where", ""], "character 1:"),
      (["--where", "ipa == 0x1ffffffffffffffff"], "character 8:"), (["--where", "comm & 1"], "character 6:"),
      (["--event", "kvm_exit", "--where", "ipa == 1"], "character 1: no selected event has a field ipa"),
      (
        ["--where", "esr.kind == \"permision\""],
        "character 13: no selected event has permision there; near are permission"
      ),
      (["--where", "event == kvm_guest_falt"], "near are kvm_guest_fault"),
      (["--where", "system == kwm"], "near are kvm"), (["--where", "vm == 9"], "VM"),
      (["--where", "ipa >"], "a number is missing after >"),
      (["--event", "kvm_exot"], "near are kvm_exit"),
      (["--event", "kvm:nothing_*"], "has no event named kvm:nothing_*"),
      (["--event", "kvm_exit,"], "empty name"),
    ])
  func mistakes(arguments: [String], message: String) throws {
    let outcome = try Tool.run(["events", Tool.recording] + arguments)
    #expect(outcome.status == 64 && outcome.output.isEmpty && outcome.errorLines.count == 1)
    #expect(outcome.errors.contains(message), "\(outcome.errors)")
  }

  @Test(
    "A name that every event has is asked of every event, though one has a field of that name",
    arguments: [("cpu == 0", 2), ("cpu == 5", 1), ("pid == 7", 3), ("comm ~ *", 0), ("time >= 0", 3)])
  func commonNames(condition: String, count: Int) throws {
    let flavour = TraceFlavour()
    let own = TraceSynth.EventFormat(
      system: "test", name: "own", id: 900, fields: [TraceSynth.EventField(.int, "cpu")],
      printFormat: "\"%d\", REC->cpu")
    let writer = TraceDatWriter(TraceDescription(flavour, formats: [KVMEventFormats.entry, own], cpus: 1))
    var page = SubBufferPageBuilder(flavour, timestamp: 1000)
    page.event(KVMEventFormats.entry.payload([1], pid: 7, flavour: flavour), delta: 0)
    page.event(own.payload([5], pid: 7, flavour: flavour), delta: 1)
    page.event(KVMEventFormats.entry.payload([2], pid: 7, flavour: flavour), delta: 1)
    try writer.append(page.finish(), cpu: 0)
    let file = try UnnamedFile(writer.bytes())
    let outcome = try Tool.run(["events", file.path, "--where", condition])
    #expect(outcome.output.split(separator: "\n").count == count, "\(outcome.output)\(outcome.errors)")
  }

  @Test("relative times count from the first event of the trace")
  func relative() throws {
    let first = try #require(Self.all.first?.time)
    let found = try Self.events(["--relative", "--event", "kvm_guest_fault"])
    let wanted = Self.all.filter { $0.name == "kvm_guest_fault" }.compactMap(\.time)
    #expect(found.compactMap(\.time) == wanted.map { $0 - first } && !found.isEmpty)
  }

  @Test("--from and --to count from the first event with a +")
  func relativeWindow() throws {
    let first = try #require(Self.all.first?.time)
    let found = try Self.events(["--from", "+0.5", "--to", "+1"])
    let wanted = Self.all.filter { event in
      event.time.map { (first + 500_000_000..<first + 1_000_000_000).contains($0) } ?? false
    }
    #expect(found.map(\.time) == wanted.map(\.time) && !found.isEmpty)
    let csv = try Tool.run([
      "events", Tool.recording, "--relative", "--format", "csv", "--where", "cpu == 99",
    ])
    #expect(csv.output.hasPrefix("relativeNs,cpu,"))
    #expect(csv.status == 0 && csv.errors.contains("0 of \(Self.all.count) events match"), "\(csv.errors)")
  }

  @Test("the VM column has the VMs that --vm knows")
  func vms() throws {
    let path = Tool.root.appendingPathComponent("traces/pkvm-nvhe-7.3.4-memslot-move.dat").path
    let column = try Tool.run([
      "events", path, "--vm-column", "--format", "csv", "--event", "kvm_guest_fault",
    ])
    let rows = column.output.split(separator: "\n").map {
      $0.split(separator: ",", omittingEmptySubsequences: false)
    }
    #expect(rows.first?[5] == "vm")
    for vm in ["0", "1"] {
      let only = try Tool.run(["events", path, "--vm", vm, "--format", "csv", "--event", "kvm_guest_fault"])
      let filtered = try Tool.run([
        "events", path, "--where", "vm == \(vm)", "--format", "csv", "--event", "kvm_guest_fault",
      ])
      let count = only.output.split(separator: "\n").count - 1
      #expect(rows.count { $0[5] == vm } == count && count > 0)
      #expect(filtered.output == only.output)
    }
  }

  @Test("numbers beyond 2^53 are strings in JSON lines, and CSV has the fields of KVM's events")
  func forms() throws {
    let pages = Self.all.filter { $0.name == "map" }
    #expect(
      !pages.isEmpty
        && pages.allSatisfy { $0.texts["pgt"].flatMap { UInt64($0) }.map { $0 > 1 << 53 } == true })
    #expect(Self.all.allSatisfy { $0.name != "kvm_guest_fault" || $0.fields["ipa"] != nil })
    let header = try Tool.shell(
      "\"$tool\" events --format csv \"$1\" 2>/dev/null | sed -n 1p || true", [Tool.recording])
    let columns = header.output.dropLast().split(separator: ",")
    #expect(columns.contains("ipa") && !columns.contains("lock_addr") && !columns.contains("buf"))
  }
}
