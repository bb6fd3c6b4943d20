import Foundation
import Testing
import UnnamedFiles

/// `compare`.
@Suite("Compare")
struct CompareTests {
  @Test("A recording under the kernel that made it differs from itself in nothing")
  func same() throws {
    let outcome = try Tool.run([
      "compare", Tool.guestBoot, "--profile", "auto", "--profile", "7.3", "--json", "-", "--fail-if",
      "hypercalls>0", "--fail-if", "hypercalls<0", "--fail-if", "totalBytes.peak>0", "--fail-if",
      "faults.total>0",
      "--fail-if", "faults.total<0",
    ])
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(
      outcome.errors
        == "pkvm-replay: not exceeded: hypercalls>0 (0), hypercalls<0 (0), totalBytes.peak>0 (0 B), faults.total>0 (0), faults.total<0 (0)\n"
    )
    let report = try #require(
      try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any])
    #expect((report["exceeded"] as? [String])?.isEmpty == true)
    let metrics = try #require(report["metrics"] as? [String: [String: Any]])
    #expect(metrics.count > 10)
    for (name, metric) in metrics {
      let difference = try #require(metric["difference"] as? [String: Double])
      #expect(difference == ["least": 0, "most": 0], "\(name)")
    }
  }

  @Test("A kernel that maps pages only needs more; a threshold makes that a failure")
  func regression() throws {
    let outcome = try Tool.run([
      "compare", Tool.recording, "--profile", "7.3", "--profile", "6.14", "--fail-if",
      "mappingTreeBytes.peak>+5%",
    ])
    #expect(outcome.status == 1)
    #expect(outcome.errorLines.count == 1, "\(outcome.errors)")
    let found = outcome.errors.firstMatch(
      of: /exceeded: mappingTreeBytes\.peak>\+5%: \+([\d.,]+) %(?: to \+([\d.,]+) %)?\n/)
    #expect(found.flatMap { Double(($0.2 ?? $0.1).filter { $0 != "," }) }.map { $0 > 5 } == true)
    #expect(outcome.output.contains("mappingTreeBytes.peak"))
  }

  @Test("What compare does not model is told, without an empty table")
  func unmodelled() throws {
    let file = try UnnamedFile(Array(#"{"base": "auto", "name": "read lock", "faultLock": "read"}"#.utf8))
    let outcome = try Tool.run(["compare", Tool.recording, "--profile", "auto", "--profile", file.path])
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(outcome.output.contains("faultLock (write and read), which compare does not model"))
    #expect(!outcome.output.contains("before") && !outcome.output.contains("assumed:"), "\(outcome.output)")
  }

  @Test("Recordings of unlike hosts, and files that are given twice, are told")
  func unlike() throws {
    let outcome = try Tool.run(["compare", Tool.recording, Tool.smallRecording])
    #expect(outcome.output.contains("The sides differ in"), "\(outcome.output)")
    let twice = try Tool.run(["compare", Tool.smallRecording, Tool.smallRecording])
    let said = twice.output.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    #expect(said.contains("on the other side: no independent sample"), "\(twice.output)")
    #expect(!twice.output.contains("The sides differ in"))
    let folder = URL(fileURLWithPath: Tool.recording).deletingLastPathComponent()
      .appendingPathComponent("inputs/simultaneous")
    let forms = try Tool.run(
      ["compare"] + ["sim-instance.dat", "sim-perf.data.gz"].map { folder.appendingPathComponent($0).path })
    let words = forms.output.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    #expect(words.contains("memslots (recorded; not recorded)"), "\(forms.output)")
    let page = try Tool.run(
      ["compare", "--html", "-"]
        + ["sim-instance.dat", "sim-perf.data.gz"].map { folder.appendingPathComponent($0).path })
    #expect(page.output.contains("not recorded <span class=\"basis unknown\">"))
    #expect(!page.output.contains("not recorded <span class=\"basis recorded\">"))
  }

  @Test("That a side is damaged, or may have lost events, stands in every form of the output")
  func incomplete() throws {
    let whole = Tool.root.appendingPathComponent("traces/pkvm-nvhe-7.3.4-plain-guest.dat").path
    let damaged = try Tool.damaged(whole)
    let note =
      "\(damaged.path): damaged in 1 place; what is missing: at least 1 event in 1 place: its figures are of the events that "
      + "are there."
    for sides in [
      [damaged.path, whole], [whole, damaged.path], [damaged.path, "--profile", "auto", "--profile", "6.14"],
    ] {
      for form in [[], ["--json", "-"], ["--html", "-"]] {
        let outcome = try Tool.run(["compare", "--allow-loss"] + sides + form)
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(Tool.words(outcome.output).contains(note), "\(sides) \(form)")
      }
    }
    let complete = try Tool.run(["compare", whole, Tool.recording, "--json", "-"])
    #expect(!complete.output.contains("its figures are of the events"))
    let text = Tool.root.appendingPathComponent(
      "traces/inputs/simultaneous/sim-perf.script-guestmount.txt.gz"
    ).path
    let untold = try Tool.run(["compare", text, Tool.smallRecording, "--json", "-"])
    #expect(untold.output.contains("lost events: unknown, for "), "\(untold.errors)")
  }

  @Test("A misspelt metric is told the one that was meant")
  func misspeltMetric() throws {
    let outcome = try Tool.run([
      "compare", Tool.recording, "--profile", "7.3", "--profile", "6.14", "--fail-if", "fault.totl>1",
    ])
    #expect(outcome.status == 64 && outcome.errors.contains("did you mean faults.total?"))
  }

  @Test("A threshold on what a recording does not tell names the recording and why, and is no wrong usage")
  func untoldThreshold() throws {
    let damaged = Tool.root.appendingPathComponent(
      "traces/inputs/failed/trace-dat-format-string-of-printk-of-two-bytes"
    ).path
    for sides in [
      [damaged, Tool.recording], [Tool.recording, damaged], [damaged, damaged],
      [damaged, "--profile", "7.3", "--profile", "6.14"],
    ] {
      let outcome = try Tool.run(["compare"] + sides + ["--fail-if", "faults.total>0"])
      #expect(outcome.status == 64 && outcome.output.isEmpty)
      let line = try #require(outcome.errorLines.last)
      #expect(line.hasPrefix("pkvm-replay: --fail-if faults.total: unknown of \(damaged) ("))
      #expect(line.contains("kvm_guest_fault (recorded without the fields that tell)"), "\(line)")
      #expect(line.contains("12 more places are damaged") && !line.contains("--help"), "\(line)")
      #expect(!line.contains(Tool.recording))
    }
  }

  @Test(
    "How often notifiers led to a call is unknown, not 0, where they were not recorded, and no regression")
  func untoldNotifiers() throws {
    let whole = Tool.root.appendingPathComponent("traces/pkvm-nvhe-7.3.4-plain-guest.dat").path
    for (events, untold, told) in [
      (
        "kvm_guest_fault,kvm_entry,kvm_exit",
        [
          "operations.unmap.count", "operations.testClearYoung.count", "hypercalls.unshare_guest",
          "hypercallsTotal",
        ], ["operations.map.count", "hypercalls.share_guest", "faults.total"]
      ),
      (
        "kvm_guest_fault,kvm_entry,kvm_exit,kvm_unmap_hva_range,kvm_userspace_exit",
        [
          "operations.testClearYoung.count", "hypercalls.test_clear_young_guest", "hypercallsTotal",
          "treeNodesVisited",
        ],
        ["operations.unmap.count", "hypercalls.unshare_guest"]
      ),
    ] {
      let part = try UnnamedFile()
      #expect(try Tool.run(["slice", whole, part.path, "--event", events]).status == 0)
      for sides in [[part.path, whole], [whole, part.path]] {
        let outcome = try Tool.run(["compare"] + sides + ["--json", "-"])
        #expect(outcome.status == 0, "\(outcome.errors)")
        let report = try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any]
        let metrics = try #require(report?["metrics"] as? [String: [String: Any]])
        for name in untold {
          let metric = try #require(metrics[name], "\(name)")
          #expect(metric["verdict"] as? String == "unknown" && metric["difference"] == nil, "\(name)")
          #expect((metric["before"] == nil) != (metric["after"] == nil), "\(name)")
        }
        for name in told { #expect(metrics[name]?["difference"] != nil, "\(name)") }
        let notes = try #require(report?["notes"] as? [String])
        #expect(notes.contains { $0.hasPrefix(part.path) && $0.contains("test_clear_young is unknown") })
        let held = try Tool.run(["compare"] + sides + ["--fail-if", "\(untold[1])>+5%"])
        #expect(held.status == 64 && held.errors.contains("unknown of \(part.path) ("), "\(held.errors)")
      }
    }
  }

  @Test("Two recordings are compared with their times")
  func recordings() throws {
    let outcome = try Tool.run(["compare", Tool.recording, Tool.recording, "--all"])
    #expect(outcome.status == 0)
    #expect(outcome.output.contains("lock.write.heldP99Ns") && outcome.output.contains("no noise floor"))
    let caveat =
      "Durations are those of the recorded hosts: where these were emulated, they say nothing of hardware."
    #expect(outcome.output.split(whereSeparator: \.isWhitespace).joined(separator: " ").contains(caveat))
    let json = try Tool.run(["compare", Tool.recording, Tool.recording, "--json", "-"])
    #expect(json.output.contains(caveat))
  }

  @Test("Several recordings a side have a noise floor")
  func severalRecordings() throws {
    let recordings = [Tool.recording, Tool.smallRecording]
    let outcome = try Tool.run(
      ["compare", "--before"] + recordings + ["--after"] + recordings + ["--json", "-"])
    #expect(outcome.status == 0, "\(outcome.errors)")
    let report = try #require(
      try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any])
    #expect(report["confidence"] as? Double == 0.99)
    let metrics = try #require(report["metrics"] as? [String: [String: Any]])
    #expect(
      metrics.values.allSatisfy { $0["exact"] as? Bool == false && $0["verdict"] as? String != "differs" })
    #expect((metrics["lock.write.heldNs"]?["basis"] as? [String: String])?["before"] == "recorded")
  }

  @Test(
    "A recording that is given twice on a side counts once, whatever it is called: one a side has no noise floor"
  )
  func repeated() throws {
    let copy = try UnnamedFile(Data(contentsOf: URL(filePath: Tool.smallRecording)))
    for second in [Tool.smallRecording, copy.path] {
      let outcome = try Tool.run([
        "compare", "--before", Tool.smallRecording, second, "--after", Tool.recording, "--json", "-",
      ])
      #expect(outcome.status == 0, "\(outcome.errors)")
      let report = try #require(
        try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any])
      #expect(
        report["replays"] as? [String: Int] == ["before": 1, "after": 1] && report["confidence"] == nil)
      let notes = try #require(report["notes"] as? [String])
      #expect(
        notes.first == "\(second): counted once, for it is the same recording as \(Tool.smallRecording)")
    }
  }

  @Test("A side without a VM is unknown, not 0: no percentage, and no threshold that it passes")
  func withoutVM() throws {
    let empty = Tool.root.appendingPathComponent(
      "traces/inputs/failed/trace-dat-format-string-of-printk-of-two-bytes"
    ).path
    let arguments = ["compare", Tool.smallRecording, empty, "--allow-loss"]
    let page = FileManager.default.temporaryDirectory.appending(path: "compare-\(UUID().uuidString).html")
    defer { try? FileManager.default.removeItem(at: page) }
    let text = try Tool.run(arguments + ["--all", "--html", page.path()])
    #expect(
      text.status == 0 && text.output.contains("unknown") && !text.output.contains("100.0 %"),
      "\(text.output)")
    #expect(try !String(contentsOf: page, encoding: .utf8).contains("-100"))
    let json = try Tool.run(arguments + ["--json", "-"])
    let report = try #require(
      try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any])
    let metrics = try #require(report["metrics"] as? [String: [String: Any]])
    #expect(metrics.count > 10)
    #expect(metrics.values.allSatisfy { $0["relative"] == nil && $0["verdict"] as? String == "unknown" })
    let threshold = try Tool.run(arguments + ["--fail-if", "faults.total>+5%"])
    #expect(threshold.status == 64 && threshold.errors.contains("unknown of"), "\(threshold.errors)")
  }

  @Test(
    "What cannot be compared is one line and status 64",
    arguments: [
      [], ["--profile", "7.3"], ["--fail-if", "x"],
      ["--profile", "7.3", "--profile", "6.14", "--fail-if", "nothing>1"],
    ])
  func usage(arguments: [String]) throws {
    let outcome = try Tool.run(["compare", Tool.recording] + arguments)
    #expect(outcome.status == 64)
    #expect(outcome.errorLines.count == 1, "\(outcome.errors)")
  }
}
