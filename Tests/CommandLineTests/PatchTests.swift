import Foundation
import Testing
import ToyBackend

/// `patch`, `replay --backend` and `check-backend` with backends that are compiled here.
@Suite("Patch")
struct PatchTests {
  /// A directory with a toy for each macro, where files of the program go, too.
  private func inDirectory(
    _ macros: [String], _ body: (_ directory: URL, _ toys: [String]) throws -> Void
  )
    throws
  {
    let directory = FileManager.default.temporaryDirectory.appending(path: "patch-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    let toys = try macros.enumerated().map { number, macro in
      let built = try ToyBackend.build(macro.split(separator: " ").map(String.init))
      let place = directory.appending(path: "\(number).so")
      try FileManager.default.moveItem(at: URL(fileURLWithPath: built), to: place)
      return place.path
    }
    try body(directory, toys)
  }

  private func run(_ directory: URL, _ arguments: [String]) throws -> Tool.Outcome {
    try Tool.shell(
      "export XDG_CACHE_HOME=$1/cache; cd \"$1\"; shift; \"$tool\" \"$@\"", [directory.path] + arguments)
  }

  private func json(_ outcome: Tool.Outcome) throws -> [String: Any] {
    try #require(
      try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any],
      "\(outcome.errors)")
  }

  private func recordings(_ report: [String: Any]) throws -> [[String: Any]] {
    try #require(report["recordings"] as? [[String: Any]])
  }

  @Test("Two sides that are alike do not differ, and the stock side is tested once")
  func alike() throws {
    try inDirectory(["", ""]) { directory, toys in
      let arguments = ["patch", Tool.recording, "--before", toys[0], "--after", toys[1]]
      let outcome = try run(directory, arguments)
      #expect(outcome.status == 0 && outcome.output.contains("differences none"), "\(outcome.errors)")
      #expect(outcome.output.contains("100000 random calls as the model of 7.3"))
      #expect(outcome.output.contains("everything: it is a toy"))
      // Who reads that nothing differs reads of what that is not said.
      #expect(outcome.output.contains("No call of test_clear_young, relax"))
      #expect(!outcome.output.contains("something else than the model"))
      let stamps = directory.appending(path: "cache/pkvm-replay/self-tests").path
      #expect(try FileManager.default.contentsOfDirectory(atPath: stamps).count == 1)
      let inProcess = try run(directory, arguments + ["--in-process"])
      #expect(inProcess.output == outcome.output)
    }
  }

  @Test("What differs is told with the event that led to it, in text and JSON")
  func different() throws {
    try inDirectory(["", "TOY_WARNS=1"]) { directory, toys in
      let arguments = ["patch", Tool.recording, "--before", toys[0], "--after", toys[1]]
      let outcome = try run(directory, arguments + ["--json", "-"])
      #expect(outcome.status == 1, "\(outcome.errors)")
      let report = try json(outcome)
      #expect(report["verdict"] as? String == "differs")
      let recording = try recordings(report)[0]
      let first = try #require(recording["first"] as? [String: Any])
      #expect(first["operation"] as? String == "unmap" && first["kinds"] as? [String] == ["warnings"])
      #expect(first["timeNs"] != nil && first["tid"] != nil && first["ipa"] != nil)
      // The recording does not decide whose pages were where, so that what comes of all calls is no more than assumed.
      let metrics = try #require(report["metrics"] as? [String: [String: Any]])
      for name in ["hypercallsTotal", "operations.map.eagain", "warningsTotal"] {
        let basis = try #require(metrics[name]?["basis"] as? [String: String], "\(name)")
        #expect(basis == ["before": "assumed", "after": "assumed"], "\(name)")
      }
      #expect(metrics["warningsTotal"]?["kind"] as? String == "assumed")
      let piped = try run(directory, arguments + ["--json", "/dev/stdout"])
      #expect(piped.output == outcome.output, "nothing stands behind the file")
      let text = try run(directory, arguments)
      #expect(text.output.contains("warning: toy-backend.c:"), "\(text.output)")
      #expect(text.output.contains("first difference: warnings"), "\(text.output)")
      let allowed = try run(directory, arguments + ["--fail-if", "hypercallsTotal>0", "--quiet"])
      #expect(allowed.status == 0, "\(allowed.errors)")
      let exceeded = try run(directory, arguments + ["--fail-if", "warningsTotal>0"])
      #expect(exceeded.status == 1 && exceeded.errors.contains("exceeded: warningsTotal>0"))
      let unknown = try run(directory, arguments + ["--fail-if", "warningTotal>0"])
      #expect(unknown.status == 64 && unknown.errors.contains("did you mean warningsTotal?"))
    }
  }

  @Test("The page has what the text has")
  func page() throws {
    try inDirectory(["", "TOY_WARNS=1", "TOY_CRASH_AT=20"]) { directory, toys in
      func page(_ after: String, _ more: [String] = []) throws -> String {
        let arguments = [
          "patch", Tool.recording, "--before", toys[0], "--after", after, "--no-self-test", "--html", "-",
        ]
        let outcome = try run(directory, arguments + more)
        #expect(outcome.status == 1 && outcome.output.hasPrefix("<!DOCTYPE html>"), "\(outcome.errors)")
        return outcome.output
      }
      let warns = try page(toys[1], ["--fail-if", "warningsTotal>0"])
      for words in [
        "The sides differ in 1 of 1 recording.", "First difference: warnings", "warning: toy-backend.c:",
        "1 of 1 threshold is exceeded", "everything: it is a toy", "Warnings of the kernel",
      ] {
        #expect(warns.contains(words), "\(words)")
      }
      let crashes = try page(toys[2])
      #expect(crashes.contains("No call that could be compared differs, but VMs were lost."))
      #expect(crashes.contains("crashed with signal 4") && crashes.contains("patch --reproduce"))
      #expect(!crashes.contains("Where they differ first"))
      let both = ["patch", Tool.recording, "--before", toys[0], "--after", toys[1], "--html", "-"]
      #expect(try run(directory, both + ["--json", "-"]).status == 64)
    }
  }

  @Test("A figure of calls that nothing tells is unknown, as in compare, and no threshold is held against it")
  func untoldCalls() throws {
    try inDirectory([""]) { directory, toys in
      let sides = ["--before", toys[0], "--after", toys[0], "--no-self-test", "--json", "-"]
      func part(_ name: String, _ events: String) throws -> String {
        let path = directory.appending(path: name).path
        #expect(try Tool.run(["slice", Tool.recording, path, "--event", events]).status == 0)
        return path
      }
      let loop = "kvm_entry,kvm_exit,kvm_userspace_exit,kvm_age_hva"
      let withoutFaults = try part("without-faults.dat", "\(loop),kvm_unmap_hva_range")
      let withoutUnmaps = try part("without-unmaps.dat", "\(loop),kvm_guest_fault")
      for (recording, verdict, status) in [(withoutFaults, "unknown", 64), (withoutUnmaps, "same", 0)] {
        let outcome = try run(directory, ["patch", recording] + sides)
        let report = try json(outcome)
        #expect(outcome.status == status && report["verdict"] as? String == verdict, "\(outcome.errors)")
        let metrics = try #require(report["metrics"] as? [String: Any])
        for name in [
          "operations.unmap.count", "hypercallsTotal", "hypercalls.unshare_guest", "warningsTotal",
        ] {
          #expect(metrics[name] == nil, "\(name)")
          let refused = try run(directory, ["patch", recording, "--fail-if", "\(name)>0"] + sides)
          #expect(refused.status == 64 && refused.errors.contains("unknown of"), "\(refused.errors)")
        }
      }
      // A sum over recordings is unknown where that of one is.
      let both = try json(try run(directory, ["patch", withoutUnmaps, Tool.recording] + sides))
      let metrics = try #require(both["metrics"] as? [String: Any])
      #expect(metrics["operations.unmap.count"] == nil && metrics["operations.map.count"] != nil)
    }
  }

  @Test("A recording that leads to no call is no evidence, and damage and losses are told in every form")
  func nothingCompared() throws {
    try inDirectory([""]) { directory, toys in
      let sides = ["--before", toys[0], "--after", toys[0], "--no-self-test"]
      let untold = directory.appending(path: "entries.dat").path
      let slice = ["slice", Tool.recording, untold, "--event", "kvm_entry", "--to", "+0.1"]
      #expect(try Tool.run(slice).status == 0)
      let outcome = try run(directory, ["patch", untold, "--json", "-"] + sides)
      #expect(outcome.status == 64 && outcome.errors.contains("nothing was compared"), "\(outcome.errors)")
      let report = try json(outcome)
      #expect(report["verdict"] as? String == "unknown")
      let notes = try #require(report["notes"] as? [String])
      #expect(notes.contains { $0.contains("tells nothing of the patch") }, "\(notes)")
      let both = try json(try run(directory, ["patch", untold, Tool.recording, "--json", "-"] + sides))
      #expect(both["verdict"] as? String == "same" && (both["notes"] as? [String])?.isEmpty == false)
      let lost = Tool.root.appending(path: "traces/inputs/perf/lost.data").path
      let lossy = try json(try run(directory, ["patch", lost, "--json", "-"] + sides))
      #expect((lossy["notes"] as? [String])?.contains { $0.contains("the kernel lost") } == true)
      let page = try run(directory, ["patch", lost, "--html", "-"] + sides).output
      #expect(page.contains("its figures are of the events that are there"))
    }
  }

  @Test("A bound on what one side does not do is one on 0; one on what it does not tell is wrong usage")
  func untold() throws {
    try inDirectory(["", "TOY_ASKS=1", "TOY_TELLS_LEAVES=0"]) { directory, toys in
      func patch(_ after: String, _ bound: String) throws -> Tool.Outcome {
        try run(
          directory,
          [
            "patch", Tool.recording, "--no-self-test", "--quiet", "--before", toys[0], "--after", after,
            "--fail-if", bound,
          ])
      }
      let asks = try patch(toys[1], "hypercalls.toy>0")
      #expect(asks.status == 1 && asks.errors.contains("exceeded: hypercalls.toy>0: +"), "\(asks)")
      // The other figures are there, and no leaf differs.
      #expect(try patch(toys[2], "hypercallsTotal>0").status == 0)
      let untold = try patch(toys[2], "leaves.peak>0")
      #expect(untold.status == 64 && untold.errorLines.count == 1 && untold.output.isEmpty, "\(untold)")
      #expect(untold.errors.contains("--fail-if leaves.peak: unknown of after, Toy (as Linux 7.3.4)"))
      let model = try run(
        directory,
        ["patch", Tool.recording, "--before", "7.3", "--after", toys[0], "--fail-if", "warningsTotal>0"])
      #expect(model.status == 64 && model.errors.contains("--fail-if warningsTotal: unknown of before, "))
      let same = try run(
        directory, ["patch", Tool.recording, "--no-self-test", "--before", toys[0], "--after", toys[2]])
      #expect(same.status == 0 && same.output.contains("differences none"), "\(same.output)")
      #expect(same.output.contains("2 figures are not told by one of the sides"), "\(same.output)")
    }
  }

  @Test("Calls that return something else than the model are counted, on each side")
  func offCourse() throws {
    try inDirectory(["", "TOY_LOAD_FAILS=1"]) { directory, toys in
      let arguments = ["patch", Tool.recording, "--no-self-test", "--before", toys[0], "--after", toys[1]]
      let report = try json(try run(directory, arguments + ["--json", "-"]))
      let unlike = try #require(try recordings(report)[0]["unlikeModel"] as? [String: Int])
      #expect(unlike["before"] == 0 && unlike["after"] ?? 0 > 0, "\(unlike)")
      #expect((report["uncalled"] as? [String])?.contains("split") == true)
      let notes = try #require(report["notes"] as? [String])
      #expect(notes.contains { $0.contains(/: 0 calls before and [0-9,]+ after return something else/) })
      let text = try run(directory, arguments)
      #expect(text.output.contains(": 0 calls before and "), "\(text.output)")
    }
  }

  @Test("A crash loses its VM alone, and leaves the calls that show it once more")
  func crash() throws {
    try inDirectory(["", "TOY_CRASH_AT=20"]) { directory, toys in
      let outcome = try run(
        directory, ["patch", Tool.recording, "--before", toys[0], "--after", toys[1], "--json", "-"])
      #expect(outcome.status == 1, "\(outcome.errors)")
      let recording = try recordings(try json(outcome))[0]
      let lost = try #require(recording["lost"] as? [[String: Any]])
      #expect(!lost.isEmpty && lost.allSatisfy { $0["side"] as? String == "after" })
      #expect((lost[0]["reason"] as? String)?.hasPrefix("crashed with signal 4") == true)
      #expect(recording["differing"] as? Int == 0)
      // What was called for VMs that were lost, a recording led to.
      let notes = try #require(try json(outcome)["notes"] as? [String])
      #expect(!notes.contains { $0.contains("No recording leads to a call of") }, "\(notes)")
      let file = try #require(lost[0]["reproducer"] as? String)
      let again = try run(directory, ["patch", "--reproduce", file, "--after", toys[1]])
      #expect(again.status == 1 && again.output.contains("crashed with signal 4"), "\(again.errors)")
      let other = try run(directory, ["patch", "--reproduce", file, "--after", toys[0]])
      #expect(other.status == 0 && other.output.contains("calls return"), "\(other.errors)")
      // A VM of no shape, or of no number that a VM has, is none that can be made.
      let text = try String(contentsOf: directory.appending(path: file), encoding: .utf8)
      let number = text.split(separator: "\n").count + 1
      for (line, words) in [
        ("create vm=1 prot=0", "makes a VM that cannot be"),
        ("create vm=1 size=0x1ffffffff prot=3073", "makes a VM that cannot be"),
        ("create vm=1 size=31 prot=3073", "makes a VM that cannot be"),
        ("create vm=4294967294 size=48 prot=3073", "is no call of a stage-2 function"),
      ] {
        let place = directory.appending(path: "edited.calls")
        try Data("\(text)\(line)\n".utf8).write(to: place)
        for more in [[], ["--in-process"]] {
          let edited = try run(directory, ["patch", "--reproduce", place.path, "--after", toys[0]] + more)
          #expect(edited.status == 65 && edited.errorLines.count == 1, "\(edited)")
          #expect(edited.errors.contains("edited.calls: line \(number): \(words)"), "\(edited)")
        }
      }
    }
  }

  @Test(
    "A call that does not return loses its VM, be it the last one of a VM",
    arguments: [("TOY_HANG_AT=20", "map"), ("TOY_HANGS_AT_END=1", "release")])
  func hang(macro: String, function: String) throws {
    try inDirectory(["", macro]) { directory, toys in
      let outcome = try run(
        directory,
        ["patch", Tool.recording, "--no-self-test", "--before", toys[0], "--after", toys[1], "--json", "-"])
      #expect(outcome.status == 1, "\(outcome.errors)")
      let recording = try recordings(try json(outcome))[0]
      let lost = try #require((recording["lost"] as? [[String: Any]])?.first)
      #expect(lost["reason"] as? String == "did not return for 10 s" && lost["side"] as? String == "after")
      #expect((lost["words"] as? String)?.hasPrefix("\(function) of VM") == true, "\(lost)")
      #expect(recording["differing"] as? Int == 0)
    }
  }

  @Test("A side that writes over the memory that both processes share is one line, and not believed")
  func wild() throws {
    try inDirectory(["", "TOY_SCRIBBLES_AT=20"]) { directory, toys in
      let outcome = try run(
        directory, ["patch", Tool.recording, "--no-self-test", "--before", toys[0], "--after", toys[1]])
      #expect(outcome.status == 4 && outcome.errorLines.count == 1 && outcome.output.isEmpty, "\(outcome)")
      #expect(outcome.errors.contains("Toy (as Linux 7.3.4): wrote over the memory that it shares"))
    }
  }

  @Test("Sides that crash in every VM lose each of them, however many there are")
  func crashes() throws {
    try inDirectory(["TOY_CRASH_AT=1", "TOY_CRASH_AT=1"]) { directory, toys in
      let many = ["--events", "5k", "--vms", "64", "--vcpus", "1", "--memory", "8MiB", "--faults-only"]
      #expect(try run(directory, ["synth", "many.dat"] + many).status == 0)
      let sides = ["--before", toys[0], "--after", toys[1]]
      let outcome = try run(directory, ["patch", "many.dat", "--no-self-test", "--json", "-"] + sides)
      #expect(outcome.status == 1, "\(outcome.errors)")
      let found = try recordings(try json(outcome))[0]
      let lost = try #require(found["lost"] as? [[String: Any]])
      #expect(Set(lost.map { $0["vm"] as? Int }).count == 64 && found["differing"] as? Int == 0)
    }
  }

  /// Whether a process may have a /dev/shm of its own here.
  static let hasOwnMounts =
    (try? Tool.shell("unshare -rm mount -t tmpfs -o size=64k none /dev/shm 2>&1", []).status) == 0

  @Test("Where /dev/shm has no room, what both processes share is elsewhere", .enabled(if: hasOwnMounts))
  func sharedMemory() throws {
    try inDirectory(["", ""]) { directory, toys in
      let outcome = try Tool.shell(
        "exec unshare -rm sh -c 'mount -t tmpfs -o size=64k none /dev/shm; exec \"$@\"' sh \"$tool\" \"$@\"",
        ["patch", Tool.recording, "--no-self-test", "--before", toys[0], "--after", toys[1]])
      #expect(outcome.status == 0 && outcome.output.contains("differences none"), "\(outcome)")
    }
  }

  @Test("A side that makes no VM loses each, with its reason; in the place of the model it is an error")
  func refusal() throws {
    try inDirectory(["", "TOY_REFUSES=1"]) { directory, toys in
      let outcome = try run(
        directory, ["patch", Tool.recording, "--before", toys[0], "--after", toys[1]])
      #expect(outcome.status == 1, "\(outcome)")
      #expect(outcome.output.contains("after stopped: no VM can be made: it does not want to"))
      let replay = try run(directory, ["replay", Tool.recording, "--backend", toys[1]])
      #expect(replay.status == 4 && replay.errors.contains("cannot make a VM: it does not want to"))
      // Of another kind of host nothing is asked of it.
      let other = Tool.root.appending(path: "traces/kvm-nvhe-6.12.107-dirty-log-thp.dat").path
      let refused = try run(directory, ["replay", other, "--backend", toys[0]])
      #expect(refused.status == 4 && refused.errors.contains("does not have the traditional path"))
      #expect(refused.errorLines.count == 1 && refused.output.isEmpty, "\(refused)")
    }
  }

  @Test(
    "In the place of the model, a kernel that stops is told with its VM, and nothing of what it did not do")
  func stopped() throws {
    try inDirectory(["TOY_PANIC_AT=1", "TOY_WARNS=1"]) { directory, toys in
      func replay(_ toy: String, _ more: [String]) throws -> Tool.Outcome {
        try run(directory, ["replay", Tool.recording, "--backend", toy] + more)
      }
      let outcome = try replay(toys[0], ["--json", "-", "--no-series"])
      #expect(outcome.status == 4 && outcome.errorLines.count == 1, "\(outcome.errors)")
      #expect(
        outcome.errors.contains(/0\.so: its kernel stopped in VM 0: toy-backend\.c:[0-9]+: the n-th map/))
      let report = try json(outcome)
      let backend = try #require(report["backend"] as? [String: Any])
      let stop = try #require((backend["stops"] as? [[String: Any]])?.first)
      #expect(stop["vm"] as? Int == 0 && stop["timeNs"] != nil && backend["warnings"] == nil, "\(stop)")
      #expect((stop["text"] as? String)?.hasSuffix(": the n-th map") == true, "\(stop)")
      let vm = try #require((report["vms"] as? [[String: Any]])?.first)
      #expect(vm["hypercalls"] == nil && (vm["memory"] as? [String: Any])?["basis"] as? String == "unknown")
      let map = try #require((vm["operations"] as? [String: [String: Any]])?["map"])
      #expect(map["errors"] as? Int == 0 && map["count"] as? Int ?? 0 > 100, "\(map)")
      #expect((report["divergences"] as? [String: Any])?["unexplained"] as? Int == 0)
      let words = "the n-th map; it was not called"
      let text = try replay(toys[0], []).output
      #expect(text.contains(words) && !text.contains("contradict the model"), "\(text)")
      #expect(try replay(toys[0], ["--html", "-"]).output.contains(words))
      // A warning ends nothing.
      let warns = try replay(toys[1], ["--json", "-", "--no-series"])
      let told = try #require(try json(warns)["backend"] as? [String: Any])
      let warning = try #require((told["warnings"] as? [[String: Any]])?.first)
      #expect(warns.status == 0 && warning["count"] as? Int ?? 0 > 0 && told["stops"] == nil, "\(told)")
      for more in [[], ["--html", "-"]] {
        #expect(try replay(toys[1], more).output.contains(": TOY_WARNS, "))
      }
    }
  }

  @Test(
    "A side that counts what cannot be ends and hangs nothing, beside another one and in the place of the model"
  )
  func lies() throws {
    try inDirectory(["", "TOY_LIES=1"]) { directory, toys in
      let sides = ["--before", toys[0], "--after", toys[1], "--no-self-test"]
      for more in [[], ["--in-process"], ["--html", "-"], ["--json", "-"]] {
        let outcome = try run(directory, ["patch", Tool.recording] + sides + more)
        #expect(
          outcome.status == 1 && outcome.errors.isEmpty && !outcome.output.contains("did not return"),
          "\(more) \(outcome)")
      }
      for more in [[], ["--costs", "assumed"], ["--html", "-"], ["--json", "-"]] {
        let outcome = try run(directory, ["replay", Tool.recording, "--backend", toys[1]] + more)
        #expect(outcome.status <= 1 && outcome.output.count > 1000, "\(more) \(outcome)")
      }
    }
  }

  @Test("A VM that one side loses is released on the other one, which goes on with the next ones")
  func releasesLost() throws {
    let recording = Tool.root.appending(path: "traces/pkvm-nvhe-7.3.4-short-lived-guests.dat").path
    try inDirectory(["TOY_VMS_MAX=2", "TOY_PANIC_AT=1"]) { directory, toys in
      for more in [[], ["--in-process"]] {
        let outcome = try run(
          directory,
          ["patch", recording, "--json", "-", "--no-self-test", "--before", toys[0], "--after", toys[1]]
            + more)
        let compared = try recordings(try json(outcome))[0]
        let lost = try #require(compared["lost"] as? [[String: Any]])
        #expect(lost.count > 2 && lost.allSatisfy { $0["side"] as? String == "after" }, "\(lost)")
        #expect(lost.allSatisfy { ($0["reason"] as? String)?.hasSuffix("the n-th map") == true }, "\(lost)")
      }
    }
  }

  @Test("A process that is started once more makes no VM of which all has been told")
  func restarts() throws {
    let recording = Tool.root.appending(path: "traces/pkvm-nvhe-7.3.4-short-lived-guests.dat").path
    // Some of its VMs map less.
    try inDirectory(["TOY_SAYS=1 TOY_CRASH_AT=160"]) { directory, toys in
      let outcome = try run(
        directory, ["patch", recording, "--before", "7.3", "--after", toys[0], "--json", "-"])
      let compared = try recordings(try json(outcome))[0]
      let vms = try #require(compared["vms"] as? Int)
      let lost = try #require(compared["lost"] as? [[String: Any]])
      #expect((2..<vms).contains(lost.count), "\(lost)")
      #expect(outcome.errorLines.count { $0 == "the toy makes a VM" } == vms, "\(outcome.errors)")
    }
  }

  @Test("A VM that ends in the recording makes room for the next one")
  func ended() throws {
    let recording = Tool.root.appending(path: "traces/pkvm-nvhe-7.3.4-short-lived-guests.dat").path
    try inDirectory(["TOY_VMS_MAX=2", "TOY_VMS_MAX=2"]) { directory, toys in
      let sides = ["--before", toys[0], "--after", toys[1]]
      let outcome = try run(directory, ["patch", recording, "--json", "-", "--no-self-test"] + sides)
      #expect(outcome.status == 0, "\(outcome)")
      let compared = try recordings(try json(outcome))[0]
      #expect((compared["vms"] as? Int ?? 0) > 4 && (compared["lost"] as? [Any])?.isEmpty == true)
      // In one process one file is as good as two.
      let one = ["--before", toys[0], "--after", toys[0], "--in-process"]
      let inProcess = try run(directory, ["patch", recording, "--no-self-test"] + one)
      #expect(inProcess.status == 0 && inProcess.output.contains("differences none"), "\(inProcess)")
      func vms(_ more: [String]) throws -> [[String: Any]] {
        let outcome = try run(directory, ["replay", recording, "--json", "-", "--no-series"] + more)
        return try #require(try json(outcome)["vms"] as? [[String: Any]])
      }
      let (model, toy) = (try vms([]), try vms(["--backend", toys[0]]))
      #expect(model.count == toy.count)
      for (model, toy) in zip(model, toy) {
        for field in ["operations", "hypercalls", "divergences", "faults"] {
          #expect((model[field] as? NSObject) == (toy[field] as? NSObject), "\(field)")
        }
      }
    }
  }

  @Test("A directory that is no kernel tree is one line, and so is one that nothing can build")
  func trees() throws {
    try inDirectory([]) { directory, _ in
      let tree = directory.appending(path: "tree").path
      try FileManager.default.createDirectory(atPath: tree, withIntermediateDirectories: true)
      let arguments = ["patch", Tool.recording, "--before", tree, "--after", tree]
      let outcome = try run(directory, arguments)
      #expect(outcome.status == 4 && outcome.errorLines.count == 1 && outcome.output.isEmpty, "\(outcome)")
      #expect(outcome.errors.contains("no backend can be built of it"))
      #expect(outcome.errors.contains("is not the source of a kernel with KVM for arm64"))
      // Elsewhere there is nothing beside the program.
      let alone = try Tool.shell(
        "cd \"$1\"; cp \"$tool\" alone; shift; ./alone \"$@\"", [directory.path] + arguments)
      #expect(alone.status == 4 && alone.errorLines.count == 1 && alone.output.isEmpty, "\(alone)")
      #expect(alone.errors.contains("'tools/kernel-backend \(tree) --pages 4k' there prints"))
    }
  }

  @Test("A stock side that is not its model is told, with status 3; without a test it is compared")
  func selfTest() throws {
    try inDirectory(["TOY_LEAVES_OLD=1", ""]) { directory, toys in
      let arguments = ["patch", Tool.recording, "--before", toys[0], "--after", toys[1]]
      let outcome = try run(directory, arguments)
      #expect(outcome.status == 3 && outcome.errorLines.count == 1, "\(outcome.errors)")
      #expect(outcome.errors.contains("is not what the model of Linux 7.3 is"))
      // Whoever starts the program may ignore that processes end.
      let deaf = try Tool.shell(
        "export XDG_CACHE_HOME=$1/cache; shift; env --ignore-signal=CHLD \"$tool\" \"$@\"",
        [directory.path] + arguments)
      #expect(deaf.status == 3 && deaf.errors == outcome.errors, "\(deaf)")
      #expect(try run(directory, arguments + ["--no-self-test"]).status == 1)
      let check = try run(directory, ["check-backend", toys[0]])
      #expect(check.status == 3 && check.output.contains("# pkvm-replay patch reproducer 1"))
      #expect(try run(directory, ["check-backend", toys[1], "--calls", "5000"]).status == 0)
      #expect(try run(directory, ["check-backend", toys[1], "--calls", "0"]).status == 64)
    }
  }

  @Test("A recording through the toy gives the report that the model gives")
  func backend() throws {
    try inDirectory([""]) { directory, toys in
      func report(_ more: [String]) throws -> [String: Any] {
        try json(try run(directory, ["replay", Tool.recording, "--json", "-", "--no-series"] + more))
      }
      let (model, toy) = (try report([]), try report(["--backend", toys[0]]))
      let backend = try #require(toy["backend"] as? [String: Any])
      #expect(backend["path"] as? String == toys[0] && model["backend"] == nil)
      #expect(backend["restated"] as? [String] == ["everything: it is a toy"])
      let text = try run(directory, ["replay", Tool.recording, "--backend", toys[0]]).output
      #expect(text.contains("in the place of the model's stage 2 stood"), "\(text)")
      let vms = try [model, toy].map { try #require($0["vms"] as? [[String: Any]]) }
      #expect(!vms[0].isEmpty && vms[0].count == vms[1].count)
      for (model, toy) in zip(vms[0], vms[1]) {
        for field in ["operations", "hypercalls", "divergences", "faults"] {
          #expect((model[field] as? NSObject) == (toy[field] as? NSObject), "\(field)")
        }
      }
      #expect((model["divergences"] as? NSObject) == (toy["divergences"] as? NSObject))
      #expect((model["agreement"] as? NSObject) == (toy["agreement"] as? NSObject))
    }
  }

  @Test(
    "What is no side, or not enough of one, is one line",
    arguments: [
      (["--before", "7.3"], 64, "--after is missing"), (["--after", "none.so"], 64, "--before is missing"),
      (["--before", "7.3", "--after", "7.3"], 64, "compare holds one model against another"),
      (["--before", "/dev/null", "--after", "/dev/null"], 4, "/dev/null: cannot be loaded"),
      (["--before", "7.3", "--after", "none.so"], 66, "none.so"),
      (["--before", "7.3-traditional", "--after", "TOY"], 64, "has another MMU"),
    ] as [([String], Int32, String)])
  func usage(options: [String], status: Int32, words: String) throws {
    try inDirectory([""]) { directory, toys in
      let options = options.map { $0 == "TOY" ? toys[0] : $0 }
      let outcome = try run(directory, ["patch", Tool.recording] + options)
      #expect(outcome.status == status && outcome.errors.contains(words), "\(outcome)")
      #expect(outcome.errorLines.count == 1 && outcome.output.isEmpty, "\(outcome)")
    }
  }
}
