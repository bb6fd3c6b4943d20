import Foundation
import Testing

/// One run that was recorded by all tools at once.
@Suite("One run in every form")
struct EveryFormTests {
  private static let folder = Tool.root.appendingPathComponent("traces/inputs/simultaneous")
  /// The forms, and whether each has the memslots and the creation of the VM.
  static let forms = [
    ("sim-instance.dat", true), ("sim-instance.report.txt.gz", true), ("sim.perfetto-trace.gz", true),
    ("trace.txt.gz", true), ("trace_pipe.txt.gz", true), ("sim-perf.data.gz", false),
    ("sim-perf.script-guestmount.txt.gz", false),
  ]
  /// What is counted in each, by event; kvm_exit and kvm_entry are one each for 1,355 runs of the guest.
  private static let counts = [
    "kvm_entry": 1355, "kvm_exit": 1355, "kvm_guest_fault": 1218, "kvm_unmap_hva_range": 158, "kvm_mmio": 122,
    "kvm_userspace_exit": 62, "kvm_get_timer_map": 1258, "kvm_timer_update_irq": 2613,
    "kvm_timer_save_state": 628, "kvm_timer_restore_state": 628, "kvm_timer_emulate": 628,
  ]

  private static func json(_ arguments: [String]) throws -> [String: Any] {
    let outcome = try Tool.run(arguments)
    #expect(outcome.status == 0, "\(outcome.errors)")
    return try #require(
      try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any])
  }

  @Test("Each has all events of kvm", arguments: forms)
  func events(name: String, hasSlots: Bool) throws {
    let info = try Self.json(["info", "--json", Self.folder.appendingPathComponent(name).path])
    let counts = try #require(info["eventCounts"] as? [String: Int])
    #expect(counts.filter { Self.counts[$0.key] != nil } == Self.counts)
    #expect(counts["commit"] == (hasSlots ? 11 : nil))
    #expect(info["lostEvents"] as? Int == 0 && (info["damage"] as? [Any])?.isEmpty == true)
  }

  @Test("Each replays alike, but for the memslots where those are not there", arguments: forms)
  func replay(name: String, hasSlots: Bool) throws {
    let report = try Self.json([
      "replay", "--json", "-", "--no-series", Self.folder.appendingPathComponent(name).path,
    ])
    let vms = try #require(report["vms"] as? [[String: Any]])
    #expect(vms.count == 1)
    let faults = try #require(vms[0]["faults"] as? [String: Any])
    #expect(faults["total"] as? Int == 1218 && faults["mmio"] as? Int == 62)
    let operations = try #require(vms[0]["operations"] as? [String: [String: Any]])
    let counts = operations.compactMapValues { $0["count"] as? Int }
    #expect(
      counts
        == (hasSlots
          ? ["map": 873, "unmap": 154, "relaxPerms": 109, "wrprotect": 4]
          : ["map": 861, "unmap": 149, "relaxPerms": 108]))
    #expect((report["divergences"] as? [String: Any])?["unexplained"] as? Int == 0)
    // Only the lab's own probes say that the host had pKVM for certain; that it had none is never said.
    #expect((report["profile"] as? [String: Any])?["path"] as? String == "pkvm")
  }

  @Test("A pipe will do, compressed or not", arguments: ["gzip -c", "zstd -qc", "cat"])
  func pipe(packing: String) throws {
    for name in ["sim.perfetto-trace.gz", "sim-perf.data.gz", "trace.txt.gz"] {
      let path = Self.folder.appendingPathComponent(name).path
      let outcome = try Tool.shell(#"gzip -dc "$1" | \#(packing) | "$tool" info - --json"#, [path])
      #expect(outcome.status == 0, "\(outcome.errors)")
      #expect(outcome.output.contains("\"kvm_guest_fault\" : 1218"), "\(name)")
    }
  }

  @Test("A file that fills the buffers to the last byte is whole", arguments: ["gzip", "zstd -q"])
  func fullBuffers(packing: String) throws {
    let path = Self.folder.appendingPathComponent("trace.txt.gz").path
    let outcome = try Tool.shell(
      #"{ gzip -dc "$1"; yes '# '; } | head -c 1572864 | \#(packing) -c | "$tool" info - --json"#, [path])
    #expect(!outcome.output.contains("compressed (") && outcome.output.contains("1218"), "\(outcome.output)")
  }

  @Test("Of a compressed file that is cut, what comes before is used, and the place is told")
  func cut() throws {
    let path = Self.folder.appendingPathComponent("trace.txt.gz").path
    let outcome = try Tool.shell(#"head -c 40000 "$1" | "$tool" info - --json"#, [path])
    #expect(outcome.status == 2)
    #expect(outcome.output.contains("the file ends inside what is compressed (gzip)"))
    #expect(outcome.output.contains("\"kvm_guest_fault\""))
  }

  @Test("That a text of perf script tells of no loss means nothing")
  func lossesUnknown() throws {
    let path = Self.folder.appendingPathComponent("sim-perf.script-guestmount.txt.gz").path
    let info = try Tool.run(["info", path]).output
    #expect(info.contains("lost        unknown"), "\(info)")
    let replay = try Tool.run(["replay", path]).output
    #expect(!replay.contains("complete"), "\(replay)")
    #expect(replay.contains("whether events were lost is unknown"), "\(replay)")
    let other = Self.folder.appendingPathComponent("trace.txt.gz").path
    #expect(try Tool.run(["info", other]).output.contains("lost        nothing"))
    // Whoever takes lines out of a text does not say which.
    let cut = try Tool.shell(
      #"cut() { gzip -dc "$1" | sed 1000,3000d; }; cut "$1" | "$tool" info -; echo $?; cut "$1" | "$tool" replay -"#,
      [other])
    #expect(cut.output.contains("lost        unknown: the text has fewer entries than its header tells of"))
    #expect(cut.output.contains("the header tells of 10036 entries, the text has 8035 of them"))
    #expect(cut.output.contains("\n2\n") && cut.status == 2)
    #expect(cut.output.contains("whether events were lost is unknown: the text has fewer entries"))
  }

  @Test("How many events were overwritten is told, though not of which CPU, and how fine stamps are")
  func overwritten() throws {
    let other = Self.folder.appendingPathComponent("trace.txt.gz").path
    let outcome = try Tool.shell(
      #"text() { gzip -dc "$1" | sed 's|10036/10036|10036/20036|'; }; text "$1" | "$tool" info - --json; text "$1" | "$tool" info -"#,
      [other])
    #expect(
      outcome.output.contains(#""lostEvents" : 10000"#) && outcome.output.contains(#""stampNs" : 1000"#))
    #expect(outcome.output.contains("at least 10,000 events in 2 places"))
    #expect(outcome.output.contains("stamps of 1 us"))
  }

  @Test("Where events may be lost without a word, nothing contradicts the model and nothing is derived")
  func lossesThatNobodyTells() throws {
    let path = Self.folder.appendingPathComponent("sim-perf.script-guestmount.txt.gz").path
    // What unmapped pages before they fault again is gone.
    let outcome = try Tool.shell(
      #"gzip -dc "$1" | grep -v kvm_unmap_hva_range | sed 4000,4400d | "$tool" replay - --json -"#, [path])
    #expect(outcome.status == 0, "\(outcome.errors)")
    let report = try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any]
    let divergences = try #require(report?["divergences"] as? [String: Any])
    #expect(divergences["unexplained"] as? Int == 0 && (divergences["unknown"] as? Int ?? 0) > 0)
    let vms = try #require(report?["vms"] as? [[String: Any]])
    for operation in try #require(vms.first?["operations"] as? [String: [String: Any]]).values {
      #expect((operation["basis"] as? [String: Int])?["derived"] == 0, "\(operation)")
    }
    let words = (report?["notKnown"] as? [[String: Any]])?.compactMap { $0["what"] as? String } ?? []
    #expect(words.contains("whetherEventsWereLost"), "\(words)")
  }

  @Test("info says where events were lost")
  func placesOfLosses() throws {
    let path = Tool.root.appendingPathComponent("traces/inputs/perf/lost.data").path
    let info = try JSONSerialization.jsonObject(
      with: Data(try Tool.run(["info", path, "--json"]).output.utf8))
    let losses = try #require((info as? [String: Any])?["losses"] as? [[String: Any]])
    let text = try Tool.run(["info", path]).output
    #expect(text.contains("before "), "\(text)")
    for loss in losses.prefix(20) {
      let nanoseconds = try #require(loss["beforeNs"] as? Int)
      let stamp =
        "\(nanoseconds / 1_000_000_000).\(String(1_000_000_000 + nanoseconds % 1_000_000_000).dropFirst())"
      #expect(text.contains(stamp), "\(stamp) in \(text)")
    }
  }

  @Test("Of a VM that had ended before a window nothing is made up")
  func windowBehindEnd() throws {
    let path = Self.folder.appendingPathComponent("sim-instance.dat").path
    #expect(try Tool.run(["replay", path]).output.contains(", having last "))
    let late = try Tool.run(["replay", path, "--from", "60"]).output
    #expect(late.contains("ended       at ") && !late.contains("having last"), "\(late)")
  }

  @Test("How many faults were accesses to devices is unknown where kvm_mmio was not recorded")
  func withoutMMIO() throws {
    let path = Self.folder.appendingPathComponent("trace.txt.gz").path
    let with = try Tool.run(["replay", path]).output
    #expect(with.contains(" of them MMIO)") && !with.contains("unknown how many"), "\(with)")
    let without = try Tool.shell(#"gzip -dc "$1" | grep -v kvm_mmio | "$tool" replay -"#, [path])
    #expect(without.output.contains("(unknown how many of them MMIO)"), "\(without.output)")
    let report = try Tool.shell(#"gzip -dc "$1" | grep -v kvm_mmio | "$tool" replay - --json -"#, [path])
    #expect(report.output.contains("\"permission\"") && !report.output.contains("\"mmio\""))
  }

  @Test("Where a text tells nothing of the size of pages, it is taken for 4 KiB")
  func pageSize() throws {
    let path = Self.folder.appendingPathComponent("trace.txt.gz").path
    let outcome = try Tool.shell(
      #"gzip -dc "$1" | grep -E '^#|kvm_entry' | head -100 | "$tool" info -"#, [path])
    #expect(outcome.output.contains("4 KiB pages (assumed)"), "\(outcome.output)")
  }

  @Test("What cannot be read is named for what it is, with what to do")
  func named() throws {
    let cases = [
      (#"head -c 5000 "$tool""#, "an ELF file"), (#"echo '{"traceEvents":[]}'"#, "a Chrome trace"),
      (#"printf '\xfd7zXZ\0aaaa'"#, "compressed with xz"), (#"echo hello"#, "a text file"),
      (#"printf 'name: kvm_entry\nID: 3\nformat:\n'"#, "a format file of tracefs"),
      (
        #"{ printf '\360M\231\335,\0\0\0\024\0\0\0\0\0\0\0\001\0\0\0aaaa\002\0\0\0aaaa\0\0\0\0'; head -c 4064 /dev/zero; }"#,
        "trace_pipe_raw"
      ),
      (#"gzip -c /dev/null"#, "nothing can be read of what it holds"),
    ]
    for (command, what) in cases {
      let outcome = try Tool.shell(#"\#(command) | "$tool" info -"#, [])
      #expect(outcome.status == 65, "\(command)")
      #expect(outcome.errorLines.count == 1 && outcome.errors.contains(what), "\(outcome.errors)")
    }
  }
}
