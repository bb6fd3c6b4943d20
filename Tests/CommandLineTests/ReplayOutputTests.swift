import Foundation
import Testing
import UnnamedFiles

/// What `replay` and `profiles` print and write.
@Suite("Replay and profiles")
struct ReplayOutputTests {
  @Test("The operations file has its header and one row for each operation, in the order of time")
  func operations() throws {
    let outcome = try Tool.run(["replay", Tool.recording, "--ops", "-"])
    #expect(outcome.status == 0 && outcome.errors.isEmpty)
    let lines = outcome.output.split(separator: "\n")
    #expect(lines.first == "timeNs,cpu,tid,vm,operation,address,size,prot,ret,basis,protBasis")
    #expect(lines.count > 1000)
    let names: Set<Substring> = [
      "map", "unmap", "wrprotect", "relax_perms", "mkyoung", "test_clear_young", "flush", "split",
    ]
    var last: UInt64 = 0
    for line in lines.dropFirst() {
      let cells = line.split(separator: ",", omittingEmptySubsequences: false)
      try #require(cells.count == 11, "\(line)")
      let time = try #require(UInt64(cells[0]))
      #expect(time >= last)
      last = time
      #expect(names.contains(cells[4]), "\(line)")
      #expect(UInt64(cells[5]) != nil && UInt64(cells[6]) != nil, "\(line)")
      #expect(["derived", "assumed"].contains(cells[9]), "\(line)")
      let protBases: Set<Substring> = cells[7].isEmpty ? [""] : ["derived", "assumed"]
      #expect(protBases.contains(cells[10]), "\(line)")
    }
  }

  /// A recording in which rights are assumed where the operation is derived.
  @Test("The rows of the operations file, counted by operation and basis, are the table of the report")
  func operationBases() throws {
    let file = try UnnamedFile()
    let outcome = try Tool.run(["replay", Tool.guestBoot, "--ops", file.path, "--json", "-"])
    let rows = try String(contentsOfFile: file.path, encoding: .utf8).split(separator: "\n").dropFirst()
    var counted: [String: Int] = [:]
    for row in rows {
      let cells = row.split(separator: ",", omittingEmptySubsequences: false)
      counted["\(cells[3]) \(cells[4]) \(cells[9])", default: 0] += 1
    }
    #expect(rows.contains { $0.hasSuffix(",derived,assumed") })
    let report = try #require(
      try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any])
    var reported: [String: Int] = [:]
    let names = ["relaxPerms": "relax_perms", "testClearYoung": "test_clear_young"]
    for vm in try #require(report["vms"] as? [[String: Any]]) {
      let id = try #require(vm["id"] as? Int)
      for (kind, entry) in try #require(vm["operations"] as? [String: [String: Any]]) {
        for (basis, count) in try #require(entry["basis"] as? [String: Int]) where count > 0 {
          reported["\(id) \(names[kind] ?? kind) \(basis)"] = count
        }
      }
    }
    #expect(counted == reported)
  }

  @Test("JSON goes to a file beside the page of text, or to standard output in its place")
  func json() throws {
    let file = try UnnamedFile()
    let both = try Tool.run(["replay", Tool.recording, "--json", file.path])
    #expect(both.output.contains("VM 0") && !both.output.contains("{"))
    let alone = try Tool.run(["replay", Tool.recording, "--json", "-"])
    #expect(alone.output == (try String(contentsOfFile: file.path, encoding: .utf8)))
    let object = try #require(
      try JSONSerialization.jsonObject(with: Data(alone.output.utf8)) as? [String: Any])
    for key in ["schemaVersion", "tool", "inputs", "profile", "profileBasis", "vms", "agreement"] {
      #expect(object[key] != nil, "\(key)")
    }
    let vm = try #require((object["vms"] as? [[String: Any]])?.first)
    for key in ["id", "pids", "vcpus", "slots", "faults", "operations", "hypercalls", "memory"] {
      #expect(vm[key] != nil, "\(key)")
    }
  }

  @Test("The rules and their exceptions are listed, with what is not checked and why")
  func rules() throws {
    let list = try Tool.run(["rules"])
    #expect(list.status == 0 && list.errors.isEmpty)
    for name in ["D1 ", "D25 ", "O2 ", "L1 ", "E1 ", "E21 "] {
      #expect(list.output.contains("\n  \(name)"), "\(name)")
    }
    let words = list.output.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    #expect(words.contains("not checked: no event at EL1 shows a hypercall"))
    let json = try Tool.run(["rules", "--json"])
    let object = try #require(
      try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any])
    #expect((object["rules"] as? [Any])?.count == 28 && (object["exceptions"] as? [Any])?.count == 21)
  }

  @Test("Of a rule that is named all is said: what it demands, what breaks it, and what may account for that")
  func oneRule() throws {
    let rule = try Tool.run(["rules", "d6"])
    let words = rule.output.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    #expect(rule.status == 0 && rule.output.hasPrefix("D6: access flag fault without an age\n"))
    #expect(words.contains("demands a second access flag fault on a leaf needs an age in between"))
    for id in ["E2", "E4", "E6", "E7", "E14"] { #expect(rule.output.contains("\n  \(id) "), "\(id)") }
    // Those of other rules, and what explains nothing, are not there.
    for id in ["E1", "E5", "E12", "E20"] { #expect(!rule.output.contains("\n  \(id) "), "\(id)") }
    let others = try Tool.run(["rules", "D25", "E1"])
    #expect(others.output.contains("never: no event at EL1 shows a hypercall"))
    #expect(others.output.contains("E1: stale TLB\n") && !others.output.contains("D6"))
  }

  @Test("Who asks for a VM that is not there is told which are")
  func noSuchVM() throws {
    let one = try Tool.run(["replay", Tool.smallRecording, "--vm", "7"])
    #expect(
      one.status == 64 && one.errors.contains(/has no VM 7; there is VM 0 of process \d+\n/), "\(one.errors)")
    let twins = Tool.root.appendingPathComponent("traces/kvm-nvhe-7.3.4-twin-guests.dat").path
    let two = try Tool.run(["replay", twins, "--vm", "2"])
    #expect(
      two.errors.contains(/has no VM 2; there are VM 0 of process \d+ and VM 1 of process \d+\n/),
      "\(two.errors)")
  }

  @Test("A trace that contradicts the model exits with 1, and says where")
  func divergence() throws {
    // The host mapped blocks, which 6.14 does not.
    let outcome = try Tool.run(["replay", Tool.recording, "--profile", "6.14"])
    #expect(outcome.status == 1)
    #expect(
      outcome.errors.split(separator: "\n").count == 1 && outcome.errors.contains("contradict the model"))
    #expect(
      outcome.output.contains("divergences: ") && outcome.output.contains("  observed    permission fault"))
    let clean = try Tool.run(["replay", Tool.recording])
    #expect(clean.status == 0 && clean.errors.isEmpty)
  }

  @Test("Probes can be left out of account")
  func ignoreProbes() throws {
    let with = try Tool.run(["replay", Tool.recording])
    let without = try Tool.run(["replay", Tool.recording, "--ignore-probes"])
    #expect(with.output.contains("prediction against the probes"))
    // Recorded time under the lock comes from probes; what is before it does not.
    let common = without.output.split(separator: "\n").prefix { !$0.hasPrefix("time under") }.map(String.init)
    #expect(common.count > 10)
    #expect(with.output.split(separator: "\n").map(String.init).starts(with: common))
  }

  @Test("The MMU can be named, and a profile given")
  func profile() throws {
    let traditional = try Tool.run(["replay", Tool.recording, "--profile", "traditional"])
    #expect(traditional.output.contains("traditional MMU") && !traditional.output.contains("hypercalls"))
    let old = try Tool.run(["replay", Tool.recording, "--profile", "6.14"])
    // A kernel that maps no blocks takes no faults on them.
    #expect(old.status == 1 && old.output.contains("of 6.14") && old.output.contains("0 blocks"))
    let unknown = try Tool.run(["replay", Tool.recording, "--profile", "no-kernel"])
    #expect(unknown.status == 66 && unknown.errorLines.count == 1 && unknown.output.isEmpty)
  }

  @Test("One VM can be picked, if there is one")
  func vm() throws {
    let recording = Tool.root.appendingPathComponent("traces/pkvm-nvhe-7.3.4-page-fault.dat").path
    let third = try Tool.run(["replay", recording, "--vm", "3"])
    #expect(third.output.contains("VM 3 ") && !third.output.contains("VM 132 "))
    let none = try Tool.run(["replay", recording, "--vm", "1000"])
    #expect(none.status == 64 && none.errorLines.count == 1 && none.errors.contains("1000"))
  }

  @Test("A stretch of time can be picked")
  func time() throws {
    let whole = try Tool.run(["replay", Tool.recording, "--ops", "-"])
    let part = try Tool.run(["replay", Tool.recording, "--ops", "-", "--from", "49.2", "--to", "49.5"])
    let times = part.output.split(separator: "\n").dropFirst().compactMap { UInt64($0.prefix { $0 != "," }) }
    #expect(!times.isEmpty && times.count < whole.output.split(separator: "\n").count)
    #expect(times.allSatisfy { (49_200_000_000..<49_500_000_000).contains($0) })
  }

  @Test("Profiles are listed, printed, and printed as files that can be read again")
  func profiles() throws {
    let list = try Tool.run(["profiles"])
    #expect(list.status == 0 && list.output.contains("7.3-pkvm") && list.output.contains("v3-traditional"))
    let one = try Tool.run(["profiles", "7.3"])
    #expect(one.output.contains("faultLock") && one.output.contains("write"))
    let json = try Tool.run(["profiles", "7.3-traditional", "--json"])
    let file = try UnnamedFile(json.output.utf8)
    let again = try Tool.run(["profiles", file.path, "--json"])
    #expect(again.status == 0 && again.output == json.output)
    for (name, era) in [("9.9", "7.3"), ("6.1-pkvm", "6.14")] {
      let unlisted = try Tool.run(["profiles", name])
      #expect(unlisted.output.contains("is not known: modelled as \(era) (assumed)"), "\(unlisted.output)")
    }
    for page in [list, one] {
      #expect(page.output.contains("6.17 is") && page.output.contains("v3 is the third version"))
      #expect(!page.output.contains("is not known"))
    }
    let broken = try UnnamedFile(#"{"base": "7.3-pkvm", "faultLock": "red"}"#.utf8)
    let refused = try Tool.run(["profiles", broken.path])
    #expect(refused.status == 65 && refused.errorLines.count == 1 && refused.errors.contains("faultLock"))
  }

  @Test("Hypercalls have a total, divergences a line when there are none, the lock its longest times")
  func summary() throws {
    let outcome = try Tool.run(["replay", Tool.recording, "--longest", "3", "--json", "-"])
    let object = try #require(
      try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any])
    let vm = try #require((object["vms"] as? [[String: Any]])?.first)
    let hypercalls = try #require(vm["hypercalls"] as? [String: Int])
    #expect(vm["hypercallsTotal"] as? Int == hypercalls.values.reduce(0, +))
    let holds = try #require((vm["lock"] as? [String: Any])?["longestHolds"] as? [[String: Any]])
    let held = holds.compactMap { $0["heldNs"] as? Int }
    #expect(held.count == 3 && held == held.sorted(by: >))
    let text = try Tool.run(["replay", Tool.recording, "--longest", "0"]).output
    #expect(text.contains("\ndivergences: ") && !text.contains("longest holds"))
    for name in hypercalls.keys { #expect(text.contains(name), "\(name)") }
    let none = try Tool.run([
      "replay", Tool.root.appendingPathComponent("traces/pkvm-hvhe-7.3.4-demand-paging.dat").path,
    ])
    #expect(none.output.contains("\ndivergences: "))
    let tooMany = try Tool.run(["replay", Tool.recording, "--longest", "1001"])
    #expect(tooMany.status == 64 && tooMany.errorLines.count == 1)
  }

  @Test("A simulated lock has one population beside its share")
  func contention() throws {
    let recording = Tool.root.appendingPathComponent("traces/pkvm-hvhe-7.3.4-demand-paging.dat").path
    let outcome = try Tool.run(["replay", recording, "--contention", "--scale", "1", "--json", "-"])
    let object = try #require(
      try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any])
    let vm = try #require((object["vms"] as? [[String: Any]])?.first)
    let cases = try #require((vm["contention"] as? [String: Any])?["cases"] as? [[String: Any]])
    for item in cases {
      let waits = try #require(item["waits"] as? [String: Any])
      let share = try #require(waits["share"] as? Double)
      let mean = try #require(waits["meanNs"] as? Double)
      let longest = try #require(waits["maxNs"] as? Double)
      #expect(mean <= longest && (0...1).contains(share))
      let all = try #require(item["meanWaitNs"] as? Double)
      #expect(abs(mean * share - all) <= all / 1000 + 1)
      // Of all acquisitions 99 percent wait nothing where fewer than one in a hundred waits.
      if share < 0.01 { #expect(item["waitP99Ns"] as? Int == 0) }
    }
  }
}
