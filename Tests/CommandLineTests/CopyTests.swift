import Foundation
import Testing
import TraceSynth
import UnnamedFiles

/// `convert` and `slice`.
@Suite("Copies of recordings")
struct CopyTests {
  private static func path(_ name: String) -> String {
    Tool.root.appendingPathComponent("traces/\(name)").path
  }

  /// Runs a line of bash in a folder of its own, of which nothing is left.
  private static func shell(_ line: String, _ arguments: [String]) throws -> Tool.Outcome {
    try Tool.shell(#"d=$(mktemp -d); trap 'rm -rf "$d"' EXIT; \#(line)"#, arguments)
  }

  static let inputs = [
    "pkvm-nvhe-7.3.4-memslot-move.dat", "inputs/simultaneous/sim.perfetto-trace.gz",
    "inputs/simultaneous/sim-perf.data.gz", "inputs/perf/lost.data", "inputs/perfetto/pf-lost.perfetto-trace",
  ]

  @Test("A copy has the events of the recording, word by word, and says what is missing", arguments: inputs)
  func sameEvents(name: String) throws {
    let outcome = try Self.shell(
      #"""
      "$tool" convert --allow-loss "$1" "$d/copy.dat" &&
        cmp <("$tool" events --allow-loss "$1") <("$tool" events --allow-loss "$d/copy.dat") && echo same
      """#, [Self.path(name)])
    #expect(outcome.output == "same\n", "\(outcome.errors)")
  }

  @Test(
    "A copy says the same of the host's page size as the recording, and so does a copy of the copy",
    arguments: [
      ("inputs/simultaneous/trace.txt.gz", ""), ("inputs/simultaneous/sim-perf.data.gz", ""),
      ("inputs/simultaneous/sim.perfetto-trace.gz", ""),
      // Nothing that tells of it: a text of entries alone.
      ("inputs/simultaneous/trace.txt.gz", "kvm_entry"),
    ])
  func pageSize(name: String, only: String) throws {
    let outcome = try Self.shell(
      #"""
      gzip -dc "$1" | grep -a "$2" >"$d/0"
      "$tool" convert --allow-loss "$d/0" "$d/1" && "$tool" convert --allow-loss "$d/1" "$d/2" || exit
      for copy in 0 1 2; do "$tool" info --allow-loss --json "$d/$copy" | grep -e '"pageSize' -e '"subBuffer'; done
      """#, [Self.path(name), only])
    let lines = outcome.output.split(separator: "\n")
    #expect(lines.count % 3 == 0 && lines.count >= 6, "\(outcome.output) \(outcome.errors)")
    #expect(Set(lines).count == lines.count / 3, "\(outcome.output)")
    if !only.isEmpty { #expect(outcome.output.contains("4096") && outcome.output.contains("assumed")) }
  }

  /// What `info` says of losses in each of two files, of which the second is a copy of the first.
  private static let losses = #"""
    "$tool" convert --allow-loss "$d/in" "$d/copy.dat" || exit
    "$tool" info --allow-loss --json "$d/copy.dat" | tr -d ' \n' | grep -o '"losses":\[[^]]*\]'
    """#

  @Test(
    "A damaged line of a text is one loss in its copy, none where it is the first one, and one of each CPU where it is the last one",
    arguments: [(1, 0), (300, 1), (1_000_000, 2)])
  func damagedLine(line: Int, losses: Int) throws {
    let outcome = try Self.shell(
      #"""
      gzip -dc "$1" | awk -v n="$2" 'NR == n { print "torn" } { print } END { if (n > NR) print "torn" }' >"$d/in"
      \#(Self.losses)
      """#, [Self.path("inputs/simultaneous/trace.txt.gz"), String(line)])
    #expect(
      outcome.output.components(separatedBy: "beforeNs").count == 1 + losses,
      "\(outcome.output) \(outcome.errors)")
  }

  /// A page with one `kvm_entry`.
  private static func page(
    at time: UInt64, lost: UInt64? = nil, _ flavour: TraceFlavour = TraceFlavour()
  ) -> [UInt8] {
    var page = SubBufferPageBuilder(flavour, timestamp: time)
    _ = page.append(KVMEventFormats.entry.payload([4096], pid: 7, flavour: flavour), at: time)
    if let lost { page.missed = .counted(lost) }
    return page.finish()
  }

  @Test("Where the time goes back, as many events are lost in the copy as in the recording")
  func stepBack() throws {
    let writer = TraceDatWriter(
      TraceDescription(TraceFlavour(), formats: [KVMEventFormats.entry], cpus: 1))
    for page in [Self.page(at: 5_000_000), Self.page(at: 1_000_000, lost: 5), Self.page(at: 6_000_000)] {
      try writer.append(page, cpu: 0)
    }
    let file = try UnnamedFile(try writer.bytes())
    let outcome = try Self.shell(
      #"""
      cp "$1" "$d/in"; \#(Self.losses)
      "$tool" info --allow-loss "$d/copy.dat" | grep -c 'goes back'
      """#, [file.path])
    #expect(
      outcome.output == #""losses":[{"beforeNs":1000000,"count":5,"cpu":0},{"beforeNs":5000000,"cpu":0}]"#
        + "\n1\n",
      "\(outcome.output) \(outcome.errors)")
  }

  @Test(
    "Buffers stand in the order of the recording, by which events with one stamp go",
    arguments: [["a", "", "b"], ["b", "a", ""], ["", "a"]])
  func orderOfBuffers(names: [String]) throws {
    let buffers = names.map { TraceBuffer(name: $0, cpus: [0, 1]) }
    let writer = TraceDatWriter(
      TraceDescription(TraceFlavour(), formats: [KVMEventFormats.entry], buffers: buffers))
    for buffer in buffers.indices {
      for cpu in buffers[buffer].cpus { try writer.append(Self.page(at: 1000), cpu: cpu, buffer: buffer) }
    }
    let file = try UnnamedFile(try writer.bytes())
    let outcome = try Self.shell(
      #"""
      "$tool" convert "$1" "$d/copy.dat" || exit
      for file in "$1" "$d/copy.dat"; do "$tool" info --json "$file" | tr -d ' \n' | grep -o '"buffers":[^]]*'; done
      for file in "$1" "$d/copy.dat"; do "$tool" events --format csv "$file" | sha256sum; done
      trace-cmd report -N "$d/copy.dat" | grep -c kvm_entry
      """#, [file.path])
    let lines = outcome.output.split(separator: "\n")
    try #require(lines.count == 5, "\(outcome.output) \(outcome.errors)")
    #expect(
      lines[0] == lines[1] && lines[2] == lines[3] && lines[4] == "\(2 * names.count)", "\(outcome.output)")
  }

  @Test("The marker of a part has the number of no event, though the format of one cannot be read")
  func markerNumber() throws {
    var other = KVMEventFormats.entry
    other.id = 5
    var unreadable = KVMEventFormats.exit
    unreadable.textOverride = "nobody knows\nID: 6\n"
    let description = TraceDescription(TraceFlavour(), formats: [other, unreadable], cpus: 1)
    let writer = TraceDatWriter(description)
    var page = SubBufferPageBuilder(TraceFlavour(), timestamp: 1000)
    _ = page.append(other.payload([4096], pid: 7, flavour: TraceFlavour()), at: 1000)
    _ = page.append([6, 0, 0, 0, 7, 0, 0, 0], at: 2000)
    try writer.append(page.finish(), cpu: 0)
    let file = try UnnamedFile(try writer.bytes())
    let outcome = try Self.shell(
      #"""
      "$tool" slice --allow-loss --from +0 "$1" "$d/part.dat" || exit
      "$tool" info --allow-loss --json "$d/part.dat" | grep -e '"print"' -e WithoutFormat | tr -d ' ,'
      """#, [file.path])
    #expect(
      outcome.output.split(separator: "\n").sorted() == [#""eventsWithoutFormat":1"#, #""print":1"#],
      "\(outcome.output) \(outcome.errors)")
  }

  @Test("A copy has room for the CPUs that have events, not for those of all buffers")
  func manyBuffers() throws {
    let flavour = TraceFlavour()
    let buffers = (0..<256).map { TraceBuffer(name: $0 == 0 ? "" : "b\($0)", cpus: [0, 65_000]) }
    let writer = TraceDatWriter(TraceDescription(flavour, formats: [KVMEventFormats.entry], buffers: buffers))
    for buffer in buffers.indices {
      for cpu in buffers[buffer].cpus {
        try writer.append(Self.page(at: UInt64(1000 + buffer)), cpu: cpu, buffer: buffer)
      }
    }
    let file = try UnnamedFile(try writer.bytes())
    let outcome = try Self.shell(
      #"""
      ulimit -v 2000000
      "$tool" convert "$1" "$d/copy.dat" && cmp <("$tool" events "$1") <("$tool" events "$d/copy.dat") &&
        "$tool" events "$d/copy.dat" | wc -l
      """#, [file.path])
    #expect(outcome.output == "512\n", "\(outcome.output) \(outcome.errors)")
  }

  @Test("trace-cmd reads a copy")
  func traceCmd() throws {
    for compression in ["none", "zstd"] {
      let outcome = try Self.shell(
        #"""
        "$tool" convert --compression "$2" "$1" "$d/copy.dat" && trace-cmd report -N "$d/copy.dat" | grep -c kvm_guest_fault
        """#, [Self.path("inputs/simultaneous/sim.perfetto-trace.gz"), compression])
      #expect(outcome.output == "1218\n", "\(outcome.errors)")
    }
  }

  @Test(
    "A copy without names replays as the recording does, and has none of them",
    arguments: ["pkvm-nvhe-7.3.4-memslot-move.dat", "pkvm-nvhe-7.3.4-guest-boot.dat"])
  func anonymized(name: String) throws {
    let outcome = try Self.shell(
      #"""
      "$tool" convert --anonymize "$1" "$d/copy.dat" || exit
      for file in "$1" "$d/copy.dat"; do
        "$tool" replay "$file" --no-series --ops "$d/ops" >/dev/null; cut -d, -f1,2,4- "$d/ops" | sha256sum
      done
      "$tool" events --format csv "$d/copy.dat" | grep -c -e vmm -e kswapd -e ffff0000
      """#, [Self.path(name)])
    let lines = outcome.output.split(separator: "\n")
    #expect(lines.count == 3 && lines[0] == lines[1], "\(outcome.output) \(outcome.errors)")
    #expect(lines.last == "0")
  }

  @Test(
    "Of an anonymized copy neither tagged pointers of the kernel tell anything, nor the names of points and hosts"
  )
  func anonymizedTagsAndNames() throws {
    let outcome = try Self.shell(
      #"""
      gzip -dc "$2" | sed 's/kvm=0xffff/kvm=0xf4ff/' >"$d/tags.txt"
      "$tool" convert --anonymize "$d/tags.txt" "$d/tags.dat" && "$tool" convert --anonymize "$1" "$d/points.dat" || exit
      grep -c 'kvm=0xf4ff' "$d/tags.txt"; "$tool" events "$d/tags.dat" --event commit | grep -c 'kvm=0xf4ff'
      for file in "$1" "$d/points.dat"; do
        "$tool" info "$file" | grep -o "the host's memory at.*"; "$tool" events "$file" | grep -c "host=kvm-nvhe"
      done
      """#,
      [
        Self.path("kvm-nvhe-7.2.12-16k-memslot-modification.dat"),
        Self.path("inputs/simultaneous/trace.txt.gz"),
      ])
    #expect(
      outcome.output == """
        11
        0
        the host's memory at 3 points: begin, memslot_modification_stress_test-ended, end
        1
        the host's memory at 3 points: begin, point1, end
        0

        """, "\(outcome.output) \(outcome.errors)")
  }

  /// A format with fields of four bytes, as kernels declare them.
  private static func format(
    _ system: String, _ name: String, id: UInt16, _ fields: [String]
  ) -> TraceSynth.EventFormat {
    let common = [
      "unsigned short common_type", "unsigned char common_flags", "unsigned char common_preempt_count",
    ]
    let heads = zip(common, [(0, 2), (2, 1), (3, 1)]).map {
      "\tfield:\($0);\toffset:\($1.0);\tsize:\($1.1);\tsigned:0;\n"
    }
    let own = fields.enumerated().map { index, field in
      "\tfield:\(field);\toffset:\(8 + 4 * index);\tsize:4;\tsigned:\(field.hasPrefix("u") ? 0 : 1);\n"
    }
    let text =
      "name: \(name)\nID: \(id)\nformat:\n" + heads.joined()
      + "\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n" + own.joined() + "\nprint fmt: \"\"\n"
    return TraceSynth.EventFormat(
      system: system, name: name, id: id, fields: [], printFormat: "", textOverride: text)
  }

  @Test("A copy without names has new numbers in every field that holds a thread's, and in no other")
  func anonymousThreads() throws {
    // sched_stick_numa of Linux 7.3, an event of file locks, something unknown, and a probe of one's own, of which nothing else is kept.
    let fields = [
      ("sched", ["pid_t src_pid", "pid_t src_tgid", "pid_t src_ngid", "int src_cpu", "pid_t peer"]),
      ("filelock", ["unsigned int fl_pid", "unsigned int pid2", "int pidfd"]),
      ("mine", ["u32 worker_tid", "s32 vpid", "u32 rapid"]),
      ("mine", ["u32 __probe_ip", "u32 owner", "u32 owner_pid"]),
      ("syscalls", ["int ret"]), ("syscalls", ["int ret"]),
    ]
    let names = ["sched_stick_numa", "locks", "unknown", "probe", "sys_exit_gettid", "sys_exit_read"]
    let formats = zip(fields, names).enumerated().map { index, event in
      Self.format(event.0.0, event.1, id: UInt16(1000 + index), event.0.1)
    }
    let writer = TraceDatWriter(TraceDescription(TraceFlavour(), formats: formats, cpus: 1))
    var page = SubBufferPageBuilder(TraceFlavour(), timestamp: 1000)
    for (format, event) in zip(formats, fields) {
      var data: [UInt8] = []
      for word in [UInt32(format.id), 4242] + event.1.map({ _ in 4242 }) {
        withUnsafeBytes(of: word.littleEndian) { data += Array($0) }
      }
      _ = page.append(data, at: 2000)
    }
    try writer.append(page.finish(), cpu: 0)
    let file = try UnnamedFile(try writer.bytes())
    let outcome = try Self.shell(
      #"""
      "$tool" convert --anonymize "$1" "$d/copy.dat" || exit
      "$tool" events --format jsonl "$d/copy.dat" | grep -oE '"[a-z_0-9]+":("?4242"?)' | cut -d'"' -f2 | LC_ALL=C sort | tr '\n' ' '
      "$tool" events --format jsonl "$d/copy.dat" | grep -c 1001
      """#, [file.path])
    #expect(outcome.output == "__probe_ip pidfd rapid ret src_cpu 6\n", "\(outcome.output) \(outcome.errors)")
  }

  @Test("Of a probe's arguments a copy without names keeps those alone that a replay reads, also of a text's")
  func anonymousArguments() throws {
    let outcome = try Self.shell(
      #"""
      gzip -dc "$1" | sed -E 's/(commit: .*)$/\1 owner=4242/; 0,/commit:/s/^(.*): commit: .*/&\n\1: myprobe: (do_filp_open+0x4\/0x218) who=4242 mine=4243/' >"$d/probes.txt"
      grep -c 'owner=4242' "$d/probes.txt"; grep -c 'who=4242' "$d/probes.txt"
      "$tool" convert --anonymize "$d/probes.txt" "$d/copy.dat" || exit
      "$tool" events --format jsonl "$d/copy.dat" | grep -cE '"(owner|who|mine)":424'
      "$tool" events --format jsonl "$d/copy.dat" --event commit | grep -c '"npages":0,'
      "$tool" replay "$d/copy.dat" --no-series >/dev/null; echo $?
      """#, [Self.path("inputs/simultaneous/trace.txt.gz")])
    let lines = outcome.output.split(separator: "\n")
    #expect(lines.count == 5 && lines[0] == "11" && lines[1] == "1", "\(outcome.output) \(outcome.errors)")
    #expect(lines.last == "0" && lines[2] == "0", "\(outcome.output) \(outcome.errors)")
  }

  @Test("What a part lacks besides what was chosen does not mislead its replay")
  func contextInPart() throws {
    let outcome = try Self.shell(
      #"""
      "$tool" slice "$1" "$d/part.dat" --from +5 --event 'kvm:*' && "$tool" replay "$d/part.dat" --no-series >/dev/null; echo $?
      """#, [Self.path("pkvm-nvhe-7.3.4-16k-plain-guest.dat")])
    #expect(outcome.output == "0\n", "\(outcome.errors)")
  }

  @Test("Events of a text keep the order of its lines, also where their stamps are equal")
  func order() throws {
    for name in ["trace.txt.gz", "sim-instance.report.txt.gz", "sim-perf.script-guestmount.txt.gz"] {
      let outcome = try Self.shell(
        #"""
        "$tool" convert "$1" "$d/copy.dat" || exit
        for file in "$1" "$d/copy.dat"; do "$tool" events "$file" --format csv | cut -d, -f 2- >"$d/$(basename "$file").csv"; done
        [[ $(wc -l <"$d/copy.dat.csv") -gt 1000 ]] && cmp "$d/"*.csv && echo same
        """#, [Self.path("inputs/simultaneous/\(name)")])
      #expect(outcome.output == "same\n", "\(outcome.output) \(outcome.errors)")
    }
  }

  @Test(
    "What is damaged behind the last event is missing in the copy, too",
    arguments: [
      ("inputs/simultaneous/sim-instance.dat", #"head -c 60000 "$1""#),
      ("inputs/simultaneous/trace.txt.gz", #"gzip -dc "$1" | head -c 400000"#),
      ("inputs/simultaneous/sim.perfetto-trace.gz", #"gzip -dc "$1" | head -c 300000"#),
      ("inputs/simultaneous/sim-perf.data.gz", #"gzip -dc "$1" | head -c 700000"#),
    ])
  func cut(name: String, command: String) throws {
    let outcome = try Self.shell(
      #"""
      \#(command) >"$d/cut"
      "$tool" convert "$d/cut" "$d/copy.dat" 2>/dev/null; echo $?
      "$tool" info "$d/copy.dat" >"$d/info"; echo $?
      "$tool" replay "$d/copy.dat" >/dev/null; echo $?
      """#, [Self.path(name)])
    // The formats of a perf.data stand behind its samples.
    let expected = name.contains("perf.data") ? "65\n66\n66\n" : "2\n2\n2\n"
    #expect(outcome.output == expected, "\(outcome.output) \(outcome.errors)")
  }

  @Test("A CPU of which nothing can be read is told in the copy")
  func lostCPU() throws {
    // The events of CPU 1 lie from 53,248 on.
    let outcome = try Self.shell(
      #"""
      { head -c 53260 "$1"; head -c 35000 /dev/zero; tail -c +88261 "$1"; } >"$d/damaged"
      "$tool" convert "$d/damaged" "$d/copy.dat" 2>/dev/null; echo $?
      "$tool" replay "$d/copy.dat" >"$d/report"; echo $?; grep -c incomplete "$d/report"
      """#, [Self.path("inputs/simultaneous/sim-instance.dat")])
    #expect(outcome.output == "2\n2\n1\n", "\(outcome.output) \(outcome.errors)")
  }

  @Test(
    "A part without names says that it is a part, also where the recording had no print events",
    arguments: ["sim.perfetto-trace.gz", "sim-perf.data.gz", "trace.txt.gz"])
  func anonymousPart(name: String) throws {
    let outcome = try Self.shell(
      #"""
      "$tool" slice --anonymize --from +0.5 "$1" "$d/part.dat" || exit
      "$tool" events "$d/part.dat" --event print --format csv | grep -c 'pkvm-replay:slice from='
      """#, [Self.path("inputs/simultaneous/\(name)")])
    #expect(outcome.output == "1\n", "\(outcome.output) \(outcome.errors)")
  }

  @Test("A file that may not grow is an error of its own")
  func fileLimit() throws {
    let outcome = try Self.shell(
      #"(ulimit -f 8; "$tool" convert "$1" "$d/copy.dat"; echo $?)"#,
      [Self.path("pkvm-nvhe-7.3.4-plain-guest.dat")])
    #expect(
      outcome.output == "74\n" && outcome.errors.contains("too large"), "\(outcome.output) \(outcome.errors)")
  }

  @Test("A loss behind the last event is in the copy")
  func losses() throws {
    let outcome = try Self.shell(
      #"""
      { gzip -dc "$1"; echo "CPU:1 [LOST 777 EVENTS]"; } >"$d/a.txt"
      "$tool" convert --allow-loss "$d/a.txt" "$d/copy.dat"; "$tool" info "$d/copy.dat" >/dev/null; echo $?
      """#, [Self.path("inputs/simultaneous/trace_pipe.txt.gz")])
    #expect(outcome.output == "2\n", "\(outcome.output) \(outcome.errors)")
  }

  @Test(
    "A part replays as the whole does with the same times",
    arguments: [
      ("pkvm-nvhe-7.3.4-memslot-move.dat", "+20", "+60"), ("kvm-nvhe-7.3.4-reset-guest.dat", "+2", "+4"),
      ("pkvm-nvhe-7.3.4-plain-guest.dat", "+5", "+9"),
    ])
  func sliced(name: String, from: String, to: String) throws {
    let outcome = try Self.shell(
      #"""
      "$tool" slice "$1" "$d/part.dat" --from "$2" --to "$3" || exit
      "$tool" replay "$1" --from "$2" --to "$3" --no-series --ops "$d/whole.csv" >/dev/null
      "$tool" replay "$d/part.dat" --no-series --ops "$d/part.csv" >/dev/null
      [[ $(wc -l <"$d/part.csv") -gt 100 ]] && cmp "$d/whole.csv" "$d/part.csv" && echo same
      """#, [Self.path(name), from, to])
    #expect(outcome.output == "same\n", "\(outcome.errors)")
  }

  @Test("Parts are cut by VM, thread, CPU, event and filter, as events chooses them")
  func chosen() throws {
    let path = Self.path("pkvm-nvhe-7.3.4-memslot-move.dat")
    for choice in [
      ["--cpu", "1"], ["--event", "kvm_guest_fault"], ["--where", "esr.level == 3"],
    ] {
      let outcome = try Self.shell(
        #"""
        file=$1; shift
        "$tool" slice "$file" "$d/part.dat" "$@" || exit
        cmp <("$tool" events "$file" "$@") <("$tool" events "$d/part.dat" "$@" | grep -v pkvm-replay:slice) && echo same
        """#, [path] + choice)
      #expect(outcome.output == "same\n", "\(choice) \(outcome.errors)")
    }
  }

  @Test("No copy takes the place of a recording, nor of its own input")
  func safe() throws {
    let outcome = try Self.shell(
      #"""
      cp "$1" "$d/a.dat"; cp "$1" "$d/b.dat"
      "$tool" convert "$d/a.dat" "$d/b.dat"; echo $?
      "$tool" slice "$d/a.dat" "$d/a.dat" --from +1 --overwrite; echo $?
      "$tool" convert "$d/a.dat" "$d/b.dat" --overwrite; echo $?
      """#, [Tool.smallRecording])
    #expect(outcome.output == "64\n64\n0\n", "\(outcome.errors)")
    #expect(outcome.errorLines.first?.hasSuffix("choose another file, or --overwrite replaces it") == true)
  }

  @Test("A recording is not written to a terminal", arguments: ["-", "/dev/tty"])
  func terminal(output: String) throws {
    for verb in ["convert $1", "slice $1 --to +1", "synth --events 2000"] {
      let outcome = try Self.shell(
        #"""
        script -qec "$tool \#(verb.replacing("$1", with: "'$1'")) '$2'; echo \$?" "$d/log" </dev/null >"$d/seen"; cat "$d/seen"
        """#, [Tool.smallRecording, output])
      let lines = outcome.output.split(whereSeparator: \.isNewline)
      #expect(lines.count == 2 && lines[0].contains("is a terminal") && lines[1] == "64", "\(verb): \(lines)")
    }
  }

  @Test("An empty TMPDIR is none")
  func emptyTemporaryDirectory() throws {
    let outcome = try Self.shell(
      #"""
      export TMPDIR=; cat "$1" | "$tool" convert - "$d/copy.dat" && "$tool" info "$d/copy.dat" >/dev/null; echo $?
      """#, [Tool.smallRecording])
    #expect(outcome.output == "0\n", "\(outcome.errors)")
  }
}
