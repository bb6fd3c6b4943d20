import Foundation
import Testing
import TraceSynth
import UnnamedFiles

/// What `info --memslots` writes and `replay --memslots` reads.
@Suite("Memslots on the command line")
struct MemslotsOutputTests {
  private func operations(_ arguments: [String], of recording: String = Tool.recording) throws -> [Substring]
  {
    let outcome = try Tool.run(["replay", recording, "--ops", "-"] + arguments)
    #expect(outcome.status == 0)
    // What the coarse clock does not tell is said in any case.
    let isSaid = recording.hasSuffix("coarse-clock.dat")
    #expect(
      outcome.errorLines.allSatisfy { isSaid && $0.contains("clock") }, "\(recording): \(outcome.errors)")
    return outcome.output.split(separator: "\n")
  }

  /// Rows without the two bases.
  private func withoutBasis(_ rows: [Substring]) -> [[Substring]] { rows.map { Array(cells($0)[..<9]) } }

  private func cells(_ row: Substring) -> [Substring] {
    row.split(separator: ",", omittingEmptySubsequences: false)
  }

  @Test("A file of the trace's own memslots leads to the same operations, all of them assumed")
  func roundTrip() throws {
    let info = try Tool.run(["info", Tool.recording, "--memslots"])
    #expect(info.status == 0 && info.errors.isEmpty && info.output.hasPrefix("{"))
    let file = try UnnamedFile(info.output.utf8)
    let given = try operations(["--memslots", file.path])
    let recorded = try operations([])
    #expect(recorded.count > 1000)
    #expect(withoutBasis(given) == withoutBasis(recorded))
    #expect(given.dropFirst().allSatisfy { !cells($0)[9...].contains("derived") })
    #expect(recorded.contains { cells($0)[9] == "derived" })
  }

  @Test(
    "So does the file of a VM that was there before, and that of a clock by which slots come and go in a tick",
    arguments: ["kvm-nvhe-7.3.4-joined-guest", "pkvm-nvhe-7.3.4-coarse-clock"])
  func production(name: String) throws {
    let recording = Tool.root.appending(path: "traces/\(name).dat").path()
    let file = try UnnamedFile(try Tool.run(["info", recording, "--memslots"]).output.utf8)
    let given = try operations(["--memslots", file.path], of: recording)
    let told = try operations([], of: recording)
    #expect(told.count > 1000 && withoutBasis(given) == withoutBasis(told))
  }

  @Test("A file of another recording is told by what it was made of, and by the faults that are in no slot")
  func another() throws {
    let other = Tool.root.appending(path: "traces/kvm-vhe-7.3.4-16k-page-table.dat").path()
    let info = try Tool.run(["info", other, "--memslots"]).output
    #expect(info.contains(#""recording" : {"#) && info.contains("kvm-vhe-7.3.4-16k-page-table.dat"))
    let made = try UnnamedFile(info.utf8)
    for verb in [["replay"], ["capacity", "--vms", "1", "--memory", "1GiB"]] {
      let outcome = try Tool.run(verb + [Tool.recording, "--memslots", made.path])
      #expect(outcome.errors.contains("were made of another recording, "), "\(outcome.errors)")
      #expect(outcome.errors.contains("are in none of the memslots that were given"), "\(outcome.errors)")
    }
    let compared = try Tool.run([
      "compare", Tool.recording, "--memslots", made.path, "--profile", "auto", "--profile", "6.14",
    ])
    #expect(compared.errors.matches(of: /made of another recording/).count == 1, "\(compared.errors)")
    let words = compared.output.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    #expect(words.contains("were made of another recording"), "\(compared.output)")
    // One that somebody wrote says nothing of where it comes from.
    let written = try UnnamedFile(#"{"version": 1, "vms": [{"slots": [{"gfn": 1, "pages": 1}]}]}"#.utf8)
    let outcome = try Tool.run(["replay", Tool.recording, "--memslots", written.path])
    #expect(!outcome.errors.contains("made of") && outcome.errors.contains("they do not fit"))
  }

  @Test("Inferred memslots are written in the same form and lead to what replay infers itself")
  func inferred() throws {
    let recording = Tool.root.appendingPathComponent("traces/kvm-vhe-7.3.4-16k-page-table.dat").path
    let info = try Tool.run(["info", recording, "--memslots", "--infer-memslots"])
    #expect(info.output.contains(#""offsetBasis" : "derived""#) && info.output.contains(#""support" : 512"#))
    let file = try UnnamedFile(info.output.utf8)
    let given = try Tool.run(["replay", recording, "--ops", "-", "--memslots", file.path])
    let inferred = try Tool.run(["replay", recording, "--ops", "-", "--infer-memslots"])
    #expect(given.output == inferred.output && given.status == 0)
    let report = try Tool.run(["replay", recording, "--json", "-", "--infer-memslots"]).output
    for field in [
      #""confidence" : 1"#, #""contradictions" : 0"#, #""offsetBasis" : "derived""#, #""support" : 512"#,
    ] {
      #expect(report.contains(field))
    }
    let page = try Tool.run(["replay", recording, "--infer-memslots"]).output
    #expect(page.contains("2 slots (assumed), 1 of unknown host address"))
  }

  @Test("Synthetic VMs with the same guest addresses are told apart by what their threads saw")
  func synthetic() throws {
    let trace = try UnnamedFile()
    #expect(
      try Tool.run(["synth", trace.path, "--events", "60k", "--vms", "3", "--memory", "64MiB"]).status == 0)
    func slots(_ arguments: [String]) throws -> [[String: Any]] {
      let text = try Tool.run(["info", trace.path, "--memslots"] + arguments).output
      let object = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
      let vms = try #require(object?["vms"] as? [[String: Any]])
      return vms.compactMap { ($0["slots"] as? [[String: Any]])?.first }
    }
    func distance(_ slot: [String: Any]) throws -> UInt64 {
      let text = try #require(slot["hva"] as? String)
      let hva = try #require(UInt64(text.dropFirst(2), radix: 16))
      let gfn = try #require(slot["gfn"] as? NSNumber).uint64Value
      return hva &- gfn << 12
    }
    let recorded = try slots([]).map(distance)
    #expect(recorded.count == 3 && Set(recorded).count == 3)
    // Inferred VMs are in the order of their first faults, not of their slots.
    #expect(try Set(slots(["--infer-memslots"]).map(distance)) == Set(recorded))
  }

  @Test("A file that is no good is one line, and the status says what kind of no good")
  func failures() throws {
    let broken = try UnnamedFile(#"{"version": 1, "vms": [{"slots": [{"gfn": 0, "pages": 0}]}]}"#.utf8)
    for (path, status, word) in [
      (broken.path, 65, "line 1: vms[0].slots[0].pages: is 0"), (Tool.recording, 65, "is not JSON"),
      ("/nowhere/slots.json", 66, "No such file"), ("/", 65, "is a directory"),
    ] as [(String, Int32, String)] {
      let outcome = try Tool.run(["replay", Tool.recording, "--memslots", path])
      #expect(outcome.status == status && outcome.output.isEmpty)
      #expect(outcome.errorLines.count == 1 && outcome.errors.hasPrefix("pkvm-replay: \(path): "))
      #expect(outcome.errors.contains(word), "\(outcome.errors)")
    }
  }

  @Test(
    "Options that contradict each other are refused",
    arguments: [
      ["replay", "--memslots", "x.json", "--infer-memslots"], ["info", "--infer-memslots"],
      ["info", "--memslots", "--json"],
    ])
  func contradictions(arguments: [String]) throws {
    let outcome = try Tool.run([arguments[0], Tool.recording] + arguments.dropFirst())
    #expect(outcome.status == 64 && outcome.errorLines.count == 1 && outcome.output.isEmpty)
  }
}
