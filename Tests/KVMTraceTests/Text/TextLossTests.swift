import Foundation
import Testing
import UnnamedFiles

@testable import KVMTrace

/// What is missing in a text, and what of it cannot be read.
@Suite("Losses and damage of texts")
struct TextLossTests {
  private static func line(_ cpu: Int, _ time: Int, _ text: String = "kvm_entry: PC: 0x1") -> String {
    "             vmm-139   [00\(cpu)]     1.00000\(time): \(text)"
  }

  private static func read(_ lines: String...) throws -> TextReading {
    try TextReading(lines.map { $0 + "\n" }.joined())
  }

  @Test(
    "lost events stand before the next one of their CPU",
    arguments: [
      ("CPU:1 [LOST 12 EVENTS]", 12), ("CPU:1 [LOST EVENTS]", 0), ("CPU:1 [12 EVENTS DROPPED]", 12),
      ("CPU:1 [EVENTS DROPPED]", 0),
      ("tc: CPU:1 [12 EVENTS DROPPED]", 12), ("##### CPU 1 buffer started ####", 0),
    ] as [(String, UInt64)])
  func lost(text: String, count: UInt64) throws {
    let reading = try Self.read(Self.line(0, 1), text, Self.line(0, 2), Self.line(1, 3), Self.line(1, 4))
    #expect(reading.gaps == [.init(index: 2, cpu: 1, lost: count)])
    #expect(reading.damage.isEmpty)
    #expect(reading.events.count == 4)
  }

  @Test(
    "a line of blanks stands where something else was; an empty one says nothing", arguments: [0, 1, 10, 70])
  func blanks(count: Int) throws {
    let blank = String(repeating: " ", count: count)
    let reading = try Self.read(Self.line(0, 1), blank, Self.line(0, 2))
    #expect(reading.events.count == 2 && reading.damage.count == (count == 0 ? 0 : 1))
    #expect(reading.damage.allSatisfy { $0.offset == Self.line(0, 1).utf8.count + 1 })
    let last = try Self.read(Self.line(0, 1), blank)
    #expect(last.damage.count == (count == 0 ? 0 : 1))
  }

  @Test("two losses in one place are one, of an unknown number if that of one is")
  func twice() throws {
    let known = try Self.read("CPU:0 [LOST 2 EVENTS]", "CPU:0 [LOST 3 EVENTS]", Self.line(0, 1))
    #expect(known.gaps.map(\.lost) == [5])
    let unknown = try Self.read("CPU:0 [LOST 2 EVENTS]", "CPU:0 [LOST EVENTS]", Self.line(0, 1))
    #expect(unknown.gaps.map(\.lost) == [0])
  }

  @Test("a loss behind the last event of its CPU is damage")
  func last() throws {
    let reading = try Self.read(Self.line(0, 1), "CPU:1 [LOST 2 EVENTS]")
    #expect(reading.damage.map(\.what) == ["events of CPU 1 were lost behind its last one"])
  }

  @Test("overwritten events are missing before the first one of each CPU")
  func overwritten() throws {
    let header = "# tracer: nop\n#\n# entries-in-buffer/entries-written: 3/10   #P:2\n#"
    let reading = try Self.read(header, Self.line(0, 1), Self.line(1, 2), Self.line(0, 3))
    #expect(reading.gaps == [.init(index: 0, cpu: 0, lost: 0), .init(index: 1, cpu: 1, lost: 0)])
    #expect(reading.damage.isEmpty)
    // Where all that are left are of one CPU, so are the others.
    let one = try Self.read(header, Self.line(0, 1), Self.line(0, 2), Self.line(0, 3))
    #expect(one.gaps == [.init(index: 0, cpu: 0, lost: 7)])
  }

  @Test("a later header tells of a loss of every CPU where it stands")
  func laterHeader() throws {
    let header = "# tracer: nop\n#\n# entries-in-buffer/entries-written: 2/"
    let lines = [Self.line(0, 1), Self.line(1, 2), header + "9   #P:2", Self.line(1, 3), Self.line(1, 4)]
    let reading = try Self.read(header + "2   #P:2", lines[0], lines[1], lines[2], lines[3], lines[4])
    #expect(reading.gaps == [.init(index: 2, cpu: 1, lost: 0)])
    #expect(reading.damage.isEmpty)
    #expect(try Self.read(lines[0], lines[1], header + "2   #P:2", lines[3]).gaps == [])
    let last = try Self.read(lines[0], lines[1], lines[2])
    #expect(last.damage.map(\.what) == ["events were lost behind the last one"])
  }

  @Test(
    "a header counts for every CPU, also for one of which a loss was told before, or of which it counted before"
  )
  func headerOfAll() throws {
    let header = "# entries-in-buffer/entries-written: 1/9   #P:3"
    let reading = try Self.read(
      Self.line(0, 1), Self.line(1, 1), "CPU:2 [LOST 5 EVENTS]", header, header, Self.line(0, 2),
      "CPU:1 [LOST 7 EVENTS]", Self.line(1, 3), header, Self.line(1, 4), Self.line(2, 5), Self.line(2, 6),
      Self.line(0, 7))
    #expect(
      reading.gaps == [
        .init(index: 2, cpu: 0, lost: 0), .init(index: 3, cpu: 1, lost: 0), .init(index: 4, cpu: 1, lost: 0),
        .init(index: 5, cpu: 2, lost: 0), .init(index: 7, cpu: 0, lost: 0),
      ])
    #expect(reading.damage.isEmpty)
  }

  @Test(
    "an event of perf script that has two lines of one nanosecond is one",
    arguments: [("568915904", 3), ("568915", 4)])
  func twice(fraction: String, count: Int) throws {
    let line = "vmm     139 [000]    48.\(fraction): kvm:kvm_entry: PC: 0x1"
    let other = line.replacing("0x1", with: "0x2").replacing("48.", with: "49.")
    let again = line.replacing("48.", with: "50.")
    let reading = try Self.read(line, "\tffffbcb2c0853524 run+0x4 ([kernel.kallsyms])", line, other, again)
    #expect(reading.events.count == count)
    let note =
      "1 line is the same as the one before it, to the nanosecond; of lines of one event, one is read"
    #expect(reading.trace.notes == (count == 3 ? [note] : []))
  }

  @Test("by a coarse clock, lines that are the same are of two events", arguments: [(1, 1000), (80, 2000)])
  func coarse(equal: Int, count: Int) throws {
    // Pairs that are the same; of some the second has another text.
    let lines = (0..<1000).flatMap { number in
      let line = "vmm     139 [000]    48.\(100_000_000 + number): kvm:kvm_entry: PC: 0x1"
      return [line, number < equal ? line.replacing("0x1", with: "0x2") : line]
    }
    let reading = try TextReading(lines.map { $0 + "\n" }.joined())
    #expect(reading.events.count == (count == 2000 ? 2000 : count + equal))
    #expect(
      reading.trace.notes
        == (count == 2000
          ? []
          : [
            "999 lines are the same as the ones before them, to the nanosecond; of lines of one event, one is read"
          ]))
  }

  @Test(
    "frames of a call chain are no events",
    arguments: ["\tffffbcb2c0853524 run+0x4 ([kernel.kallsyms])", "\t               0 [unknown] ([unknown])"])
  func frames(frame: String) throws {
    let line = "vmm     139 [000]    48.000001: kvm:kvm_entry: PC: 0x1"
    let reading = try Self.read(line, frame, "", line)
    #expect(reading.events.count == 2)
    #expect(reading.damage.isEmpty)
  }

  @Test("a line that cannot be read is told, and missing before the next one")
  func unreadable() throws {
    let reading = try Self.read(
      Self.line(0, 1), "Segmentation fault", Self.line(0, 2), Self.line(0, 3, "kvm_entry: PC: what"),
      Self.line(0, 4, "UNKNOWN TYPE 5"), Self.line(0, 5))
    #expect(reading.events.map(\.time) == [1_000_001_000, 1_000_002_000, 1_000_005_000])
    #expect(reading.gaps == [.init(index: 1, cpu: 0, lost: nil), .init(index: 2, cpu: 0, lost: nil)])
    let length = Self.line(0, 1).utf8.count + 1
    #expect(reading.damage.map(\.offset) == [length, 2 * length + 19, 3 * length + 20])
    #expect(
      reading.damage.map(\.what) == [
        "a line has no thread, CPU, stamp and event; it is left out",
        "the text of an event kvm_entry cannot be read; it is left out",
        "a line has no name of an event; it is left out",
      ])
  }

  @Test(
    "the first event is told where its line is damaged, as any other is",
    arguments: [
      ("[", "{"), ("]", "}"), ("1.000001", "1?000001"), ("1:", "1;"), ("-139", " 139"), ("001]", "4096]"),
      ("001]", "10000000000000000000000]"), ("139", "99999999999999999999"), ("kvm_entry:", "kvm_entry"),
      ("kvm_entry: PC: 0x1", ""),
    ])
  func firstEvent(part: String, damaged: String) throws {
    let lines = (1...4).map { Self.line(1, $0) }
    let first = lines[0].replacing(part, with: damaged, maxReplacements: 1)
    for header in [
      "# tracer: nop\n#\n", "cpus=2\n", "cpus=2\nCPU 0 is empty\nLinux (none) 7.3.4 aarch64\n\n",
    ] {
      let reading = try TextReading(header + ([first] + lines[1...]).map { $0 + "\n" }.joined())
      #expect(reading.events.map(\.cpu) == [1, 1, 1])
      #expect(reading.damage.map(\.offset) == [header.utf8.count])
      #expect(reading.gaps == [.init(index: 0, cpu: 1, lost: nil)])
    }
    // Behind a first line that is cut, which is told by itself.
    let pipe = try TextReading("_entry: PC: 0x1\n" + ([first] + lines[1...]).map { $0 + "\n" }.joined())
    #expect(pipe.events.count == 3)
    #expect(pipe.damage.map(\.offset) == [0, 16])
  }

  @Test("a vCPU's thread whose line is damaged is no remark of trace-cmd's")
  func firstEventOfQEMU() throws {
    let line = "CPU 0/KVM-139   [001]     1.000001: kvm_entry: PC: 0x1"
    let reading = try Self.read("cpus=2", line.replacing("[", with: "{"), line)
    #expect(reading.events.count == 1)
    #expect(reading.damage.map(\.offset) == [7])
  }

  @Test(
    "a first line of perf script with a damaged CPU does not say that no line has one",
    arguments: ["{001]", "[001}"])
  func firstCPU(damaged: String) throws {
    let lines = (1...3).map { "vmm     139 [001]    48.00000\($0): kvm:kvm_entry: PC: 0x1" }
    let reading = try Self.read(lines[0].replacing("[001]", with: damaged), lines[1], lines[2])
    #expect(reading.events.map(\.cpu) == [1, 1])
    #expect(reading.damage.count == 1)
  }

  @Test("256 damaged places are told, and all events are read")
  func manyPlaces() throws {
    let lines = (0..<600).map { _ in "no event\n" + Self.line(0, 1) + "\n" }
    let reading = try TextReading(Self.line(0, 1) + "\n" + lines.joined())
    #expect(reading.events.count == 601)
    #expect(reading.damage.count == 256)
  }

  @Test("the last line is left out where it is cut")
  func cutEnd() throws {
    let reading = try TextReading(Self.line(0, 1) + "\n" + Self.line(0, 2, "kvm_entry: PC: 0x12"))
    #expect(reading.events.count == 1)
    #expect(reading.damage.map(\.what) == ["the last line is cut; it is left out"])
    #expect(reading.gaps.isEmpty)
  }

  @Test(
    "what is no trace is refused with what it looks like",
    arguments: [
      ("hello\nworld\n", "is a text file that is no trace"),
      ("{\"a\": 1}\n", "is a text file that is no trace"),
      (
        "278 0 192696372720 type: 1581\n",
        "is a trace as text with the option raw or hex, which has no names of events"
      ),
      (
        "# tracer: nop\n#\n00003d70 00000000 000019b591cf9a68 type: 367\n",
        "is a trace as text with the option raw or hex, which has no names of events"
      ),
      (
        "# tracer: function_graph\n#\n 0)   1.234 us    |  kvm_vcpu_load();\n",
        "is a text of the tracer function_graph, whose events have no stamps"
      ),
      ("kvm:kvm_entry: PC: 0x1\n", "has the names of events without threads and stamps"),
      (
        "# tracer: nop\n#\nsched_process_exit: comm=timeout pid=15728\n",
        "is a trace as text whose lines have no threads and stamps"
      ),
      ("\n", "is a text file that is no trace"),
    ])
  func refused(text: String, what: String) throws {
    let error = #expect(throws: IngestError.self) { try TextReading(text) }
    #expect(error?.kind == .notATrace)
    #expect(error?.what == what)
    #expect(error?.advice?.contains("trace-cmd record -e kvm") == true)
  }

  @Test("a large file that is no text is not read to its end")
  func binary() throws {
    let size = 40 << 20
    let file = try UnnamedFile([UInt8](repeating: 0x01, count: size))
    var furthest = 0
    let bytes = try FileBytes(path: "binary", descriptor: open(file.path, O_RDONLY)) {
      furthest = max(furthest, $3 + $2)
      return pread($0, $1, $2, off_t($3))
    }
    let error = #expect(throws: IngestError.self) { try TextReading(bytes) }
    #expect(error?.what == "is not a trace")
    #expect(furthest < size / 2)
  }

  @Test(
    "an empty trace is a trace",
    arguments: ["# tracer: nop\n#\n# entries-in-buffer/entries-written: 0/0   #P:2\n#\n", "cpus=2\n"])
  func empty(text: String) throws {
    let reading = try TextReading(text)
    #expect(reading.events.isEmpty)
    #expect(reading.damage.isEmpty)
    #expect(reading.trace.cpuCount == 2)
  }

  @Test("events that nothing here knows are events")
  func noKVM() throws {
    let reading = try Self.read(Self.line(0, 1, "sched_wakeup: comm=a pid=1 prio=120 target_cpu=001"))
    #expect(reading.counts == ["probes:sched_wakeup": 1])
  }
}
