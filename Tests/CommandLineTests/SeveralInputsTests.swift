import Foundation
import Testing
import TraceSynth
import UnnamedFiles

/// `replay` of several recordings.
@Suite("Several inputs")
struct SeveralInputsTests {
  private static let other = Tool.root.appendingPathComponent("traces/kvm-vhe-7.3.4-16k-page-table.dat").path
  private static let both = [Tool.recording, other]

  private static func object(_ arguments: [String]) throws -> [String: Any] {
    let outcome = try Tool.run(["replay", "--json", "-"] + arguments)
    #expect(outcome.status == 0 && outcome.errors.isEmpty)
    return try #require(try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any])
  }

  /// As text, for comparison.
  private static func text(_ object: Any?) throws -> String {
    let data = try JSONSerialization.data(withJSONObject: try #require(object), options: [.sortedKeys])
    return String(decoding: data, as: UTF8.self)
  }

  @Test("Each has an entry, and its VMs are as in a report of its own, with the input's position")
  func report() throws {
    let several = try Self.object(Self.both)
    let vms = try #require(several["vms"] as? [[String: Any]])
    var seen = 0
    for (position, path) in Self.both.enumerated() {
      let alone = try Self.object([path])
      #expect(alone["replays"] == nil && alone["totals"] == nil)
      #expect(
        try Self.text((several["inputs"] as? [Any])?[position]) == Self.text((alone["inputs"] as? [Any])?[0]))
      let replay = try #require((several["replays"] as? [[String: Any]])?[position])
      for field in ["profile", "profileBasis", "agreement"] {
        #expect(try Self.text(replay[field]) == Self.text(alone[field]), "\(field)")
      }
      for vm in try #require(alone["vms"] as? [[String: Any]]) {
        #expect(vm["input"] == nil)
        var found = try #require(
          vms.first { $0["input"] as? Int == position && $0["id"] as? Int == vm["id"] as? Int })
        found["input"] = nil
        // Divergences say of which input they are.
        found["divergences"] = nil
        var own = vm
        own["divergences"] = nil
        #expect(try Self.text(found) == Self.text(own))
        seen += 1
      }
    }
    #expect(seen == vms.count && seen > 1)
  }

  @Test("Of an input none of whose VMs was asked for, the page says nothing")
  func oneVM() throws {
    let outcome = try Tool.run(["replay", "--vm", "1:0"] + Self.both)
    #expect(outcome.status == 0 && outcome.output.contains(Self.other))
    #expect(!outcome.output.contains(Tool.recording) && !outcome.output.contains("0 faults"))
    #expect(outcome.output == (try Tool.run(["replay", "--vm", "0", Self.other]).output))
  }

  @Test("What is unknown of one is in no sum as 0: the sum is unknown, and words say what is not in it")
  func unknownParts() throws {
    let part = try UnnamedFile()
    #expect(
      try Tool.run(["slice", Tool.recording, part.path, "--event", "kvm_entry,kvm_exit"]).status == 0)
    let alone = try Self.object([part.path])
    #expect(
      alone["unattributedFaults"] == nil
        && (alone["unattributedNotifiers"] as? [String: Any])?.isEmpty == true)
    for inputs in [[part.path, Tool.recording], [Tool.recording, part.path]] {
      let several = try Self.object(inputs)
      let totals = try #require(several["totals"] as? [String: Any])
      for field in ["faults", "faultsWithoutOperation", "hypercalls", "hypercallsTotal", "hypercallsBasis"] {
        #expect(totals[field] == nil, "\(field)")
      }
      #expect(several["unattributedFaults"] == nil)
      let rest = "and those of 1 VM are unknown"
      let text = try Tool.run(["replay"] + inputs)
      #expect(Tool.words(text.output).contains(rest), "\(text.output)")
      let page = try Tool.run(["replay", "--html", "-"] + inputs).output
      let row = try #require(page.firstMatch(of: />all<\/th>.*?<\/tr>/)).0
      #expect(row.contains(rest), "\(row)")
    }
  }

  @Test("How many faults are accesses to devices is unknown of all where it is of one")
  func unknownMMIO() throws {
    let part = try UnnamedFile()
    #expect(
      try Tool.run(["slice", Tool.recording, part.path, "--event", "kvm_guest_fault,kvm_entry,kvm_exit"])
        .status == 0)
    let totals = try #require(try Self.object([part.path, Tool.recording])["totals"] as? [String: Any])
    let faults = try #require(totals["faults"] as? [String: Any])
    #expect(faults["total"] != nil && faults["mmio"] == nil)
    #expect(
      try Tool.run(["replay", part.path, Tool.recording]).output.contains("unknown how many of them MMIO"))
  }

  @Test("Sums are those of the parts, and only what all have in common is said of all")
  func totals() throws {
    let several = try Self.object(Self.both)
    let parts = try Self.both.map { try Self.object([$0]) }
    let vms = try #require(several["vms"] as? [[String: Any]])
    let totals = try #require(several["totals"] as? [String: Any])
    let faults = vms.compactMap { ($0["faults"] as? [String: Any])?["total"] as? Int }
    #expect((totals["faults"] as? [String: Any])?["total"] as? Int == faults.reduce(0, +))
    #expect(totals["vms"] as? Int == vms.count)
    func maps(_ object: Any?) -> Int {
      (((object as? [String: Any])?["operations"] as? [String: Any])?["map"] as? [String: Any])?["count"]
        as? Int ?? 0
    }
    #expect(maps(totals) == vms.reduce(0) { $0 + maps($1) } && maps(totals) > 0)
    func matched(_ report: [String: Any]) -> Int {
      ((report["agreement"] as? [String: [String: Any]])?["map"])?["matched"] as? Int ?? 0
    }
    #expect(matched(several) == parts.reduce(0) { $0 + matched($1) } && matched(several) > 0)
    let profiles = parts.compactMap { $0["profile"] as? [String: Any] }
    let common = try #require(several["profile"] as? [String: Any])
    #expect(common["pageSize"] == nil && common["path"] == nil, "they differ")
    #expect(!common.isEmpty)
    for (field, value) in common {
      #expect(profiles.allSatisfy { "\($0[field] ?? "")" == "\(value)" }, "\(field)")
    }
  }

  @Test("The page has a part for each input, and the sums")
  func page() throws {
    let several = try Tool.run(["replay"] + Self.both)
    #expect(several.status == 0)
    let alone = try Self.both.map { try Tool.run(["replay", $0]).output }
    #expect(several.output.hasPrefix(alone[0] + "\n" + alone[1] + "\nall 2 recordings\n"))
  }

  @Test("Operations and series are kept apart")
  func files() throws {
    let several = try Tool.run(["replay", "--ops", "-"] + Self.both).output.split(separator: "\n")
    #expect(several.first == "timeNs,cpu,tid,vm,operation,address,size,prot,ret,basis,protBasis,input")
    let directory = FileManager.default.temporaryDirectory.appending(path: "series-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: directory) }
    _ = try Tool.run(["replay", "--csv", directory.path()] + Self.both)
    for (position, path) in Self.both.enumerated() {
      let alone = try Tool.run([
        "replay", "--ops", "-", "--csv", directory.appending(path: "alone").path(), path,
      ])
      let rows = several.filter { $0.hasSuffix(",\(position)") }.map { $0[..<$0.lastIndex(of: ",")!] }
      #expect(rows == alone.output.split(separator: "\n").dropFirst().map { $0[...] })
      for name in ["memory.csv", "lock.csv", "working-set.csv", "first-touch.csv", "idle.csv"] {
        let own = try Data(contentsOf: directory.appending(path: "alone/\(name)"))
        #expect(try Data(contentsOf: directory.appending(path: "\(position)/\(name)")) == own, "\(name)")
      }
    }
  }

  @Test("A VM is picked by its input's position and its number there")
  func vm() throws {
    let vms = try #require(try Self.object(Self.both + ["--vm", "1:0"])["vms"] as? [[String: Any]])
    #expect(vms.count == 1 && vms[0]["input"] as? Int == 1)
    #expect((try Self.object([Tool.recording, "--vm", "0:0"])["vms"] as? [Any])?.count == 1)
  }

  @Test("The exit status is that of the worst, and each has its line")
  func status() throws {
    let cut = try UnnamedFile(try Data(contentsOf: URL(filePath: Tool.recording)).dropLast(20_000))
    // 6.14 maps no blocks, so the recording contradicts it; the cut one lacks events, which is worse.
    let worst = try Tool.run(["replay", Tool.recording, cut.path, "--profile", "6.14"])
    #expect(worst.status == 2)
    #expect(worst.errorLines.count == 2, "\(worst.errors)")
    #expect(worst.errors.contains("contradict the model") && worst.errors.contains(cut.path))
    #expect(worst.output.contains("all 2 recordings"))
    #expect(try Tool.run(["replay", Tool.recording, Self.other, cut.path, "--allow-loss"]).status == 0)
  }

  @Test("An input that cannot be read is told before anything is replayed")
  func unreadable() throws {
    let text = try UnnamedFile(Array("This is not a trace.\n".utf8))
    let outcome = try Tool.run(["replay", Tool.recording, text.path, "/nowhere.dat"])
    #expect(outcome.status == 66 && outcome.output.isEmpty)
    #expect(outcome.errorLines.count == 2)
    #expect(outcome.errors.contains(text.path) && outcome.errors.contains("/nowhere.dat"))
  }

  @Test(
    "What does not go with several inputs is one line and status 64",
    arguments: [
      ["--vm", "0"], ["--vm", "2:0"], ["--vm", "1:7"], ["--memslots", "one.json"], ["--vm", "x:0"],
      ["-", "-"],
    ])
  func usage(arguments: [String]) throws {
    let outcome = try Tool.run(["replay"] + Self.both + arguments)
    #expect(
      outcome.status == 64 && outcome.errorLines.count == 1 && outcome.output.isEmpty, "\(outcome.errors)")
  }

  @Test(
    "Each can have its own memslots",
    arguments: [["replay", "--json", "-"], ["compare", "--json", "-", "--all"]])
  func memslots(verb: [String]) throws {
    let files = try Self.both.map { try UnnamedFile(try Tool.run(["info", $0, "--memslots"]).output.utf8) }
    let given = files.flatMap { ["--memslots", $0.path] }
    let without = try Tool.run(verb + Self.both)
    let with = try Tool.run(verb + Self.both + given)
    let auto = try Tool.run(verb + Self.both + ["--memslots", "auto", "--memslots", "auto"])
    #expect(with.status == 0 && auto.output == without.output)
    // Files of the other recording do not fit, or lead elsewhere.
    let swapped = try Tool.run(verb + Self.both + files.reversed().flatMap { ["--memslots", $0.path] })
    #expect(swapped.output != with.output)
    if verb[0] == "replay" {
      #expect(with.output.contains(#""basis" : "assumed""#) && with.output != without.output)
    } else {
      // The slots are the same, so what follows from them is; but a file's word makes it assumed.
      func figures(_ output: String) -> String { output.replacing("\"assumed\"", with: "\"derived\"") }
      #expect(figures(with.output) == figures(without.output))
    }
  }
}
