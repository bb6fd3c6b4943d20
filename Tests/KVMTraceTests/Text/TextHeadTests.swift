import Testing

@testable import KVMTrace

/// Who, where and when: what stands before the name of an event.
@Suite("Heads of text lines")
struct TextHeadTests {
  /// The only event of a text.
  private func event(_ line: String) throws -> TextReading.Event {
    let reading = try TextReading(line + "\n")
    #expect(reading.damage.isEmpty)
    return try #require(reading.events.first)
  }

  @Test(
    "every form is read",
    arguments: [
      "             vmm-139     (    138) [002] dl.1.    48.522105: kvm_entry: PC: 0x1204",
      "             vmm-139     [002] dl.1.    48.522105: kvm_entry: PC: 0x1204",
      "             vmm-139     [002]    48.522105: kvm_entry: PC: 0x1204",
      "             vmm-139   (  138) [002]    48.522105: kvm_entry: PC: 0x1204",
      "             vmm-139   [002] (  138) d..1    48.522105: kvm_entry: PC: 0x1204",
      "             vmm-139   [002]    48.522105000: kvm_entry:            PC: 0x1204",
      "tc:              vmm-139   [002] d..1.    48.522105: kvm_entry:            PC: 0x1204",
      "                     vmm-139   [002]    48.522105: kvm_entry:            PC: 0x1204",
      "             vmm-139   [002]    48.522105: (+12) kvm_entry: PC: 0x1204",
      "             vmm     139 [002]    48.522105:                   kvm:kvm_entry: PC: 0x1204",
      "             vmm     138/139     [002]    48.522105:          1 kvm:kvm_entry: PC: 0x1204",
      "             vmm     139 [002]    48.522105000: kvm:kvm_entry: PC: 0x1204",
      "vmm     139 [002]    48.522105: kvm:kvm_entry: PC: 0x1204",
      "     vmm-139     2dl.1. 48522105us+: kvm_entry: PC: 0x1204",
      "     vmm-139     2dl.1. 48522105us : kvm_entry: PC: 0x1204",
      "     vmm-139     2d..1.    48.522105: kvm_entry:            PC: 0x1204",
      "             vmm     139   2 1 00000002 000000a2 [2e46379] 48522.105ms (+2.724ms): kvm_entry: PC: 0x1204",
    ])
  func forms(line: String) throws {
    let event = try event(line)
    #expect(event.kind == .entry)
    #expect(event["vcpu_pc"] == 0x1204)
    #expect(event.tid == 139)
    #expect(event.cpu == 2)
    #expect(event.time == 48_522_105_000)
  }

  @Test("without the CPU, events are those of CPU 0")
  func cpuless() throws {
    let event = try event("             vmm     138/139    48.522105: kvm:kvm_entry: PC: 0x1204")
    #expect(event.tid == 139 && event.cpu == 0 && event.time == 48_522_105_000)
  }

  @Test(
    "commands hold what they like",
    arguments: [
      "CPU 0/KVM", "a [001] b", "x-12 [000]", "foo: bar", "(1) -2 [1]", "kworker/0:2", "a-1 [0] 1.0: b",
      "<idle>", "[x]",
    ])
  func commands(command: String) throws {
    let padded = String(repeating: " ", count: 16 - command.count) + command
    for line in [
      "\(padded)-15363   (  15322) [001] ...1. 28246.465854: kvm_entry: PC: 0x1",
      "\(padded)   15322/15363   [001] 28246.465854: kvm:kvm_entry: PC: 0x1",
    ] {
      // The line before it shows the column.
      let first = line.replacingOccurrences(command, with: String(repeating: "v", count: command.count))
      let reading = try TextReading("\(first)\n\(line)\n")
      #expect(reading.events.map(\.tid) == [15363, 15363])
      #expect(reading.events.map(\.cpu) == [1, 1])
      #expect(reading.trace.commands == [15363: command])
      #expect(reading.trace.processes == [15363: 15322])
    }
  }

  @Test("processes are read from every line, on whatever side of the CPU they stand")
  func processes() throws {
    let reading = try TextReading(
      """
                   vmm-138   [002] (  138) d..1    48.522105: kvm_entry: PC: 0x1204
                   vmm-139   [002] (  138) d..1    48.522106: kvm_entry: PC: 0x1204
                   vmm-140   [002] (-----) d..1    48.522107: kvm_entry: PC: 0x1204

      """)
    #expect(reading.events.map(\.tid) == [138, 139, 140])
    #expect(reading.trace.processes == [138: 138, 139: 138])
  }

  @Test("a command that looks like a head does not stand for it where the column has moved")
  func misleading() throws {
    let reading = try TextReading(
      """
                   vmm-138     (    138) [002] d..1.    48.522105: kvm_entry: PC: 0x1
                a-1 [0]-1234567     (    138) [002] d..1.    48.522106: kvm_entry: PC: 0x2
        a-1 [0] d..1. x-12345678   (    138) [002] d..1.  48.522107: kvm_entry: PC: 0x3

      """)
    #expect(reading.damage.isEmpty)
    #expect(reading.events.map(\.tid) == [138, 1_234_567, 12_345_678])
    #expect(reading.events.map(\.cpu) == [2, 2, 2])
  }

  @Test("a column that moves is found again")
  func moving() throws {
    let reading = try TextReading(
      """
                   vmm-139   [000]     9.999999: kvm_entry: PC: 0x1
                   vmm-1390000   [000]    10.000000: kvm_entry: PC: 0x2
                   vmm-139   [1000] d..1. 12345678.000000: kvm_entry: PC: 0x3
                   vmm-139   [000]   12345679.500000: kvm_entry: PC: 0x4

      """)
    #expect(reading.damage.isEmpty)
    #expect(reading.events.map { $0["vcpu_pc"] } == [1, 2, 3, 4])
    #expect(reading.events.map(\.tid) == [139, 1_390_000, 139, 139])
    #expect(reading.events.map(\.cpu) == [0, 0, 1000, 0])
    #expect(
      reading.events.map(\.time) == [
        9_999_999_000, 10_000_000_000, 12_345_678_000_000_000, 12_345_679_500_000_000,
      ])
  }

  @Test(
    "stamps without a point are ticks, of a clock that their repetitions tell",
    arguments: [(3, "counter"), (2, "uptime")])
  func ticks(second: Int, clock: String) throws {
    let reading = try TextReading(
      """
                   vmm-139   [000]     2: kvm_entry: PC: 0x1
                   vmm-139   [000]     \(second): kvm_entry: PC: 0x2

      """)
    #expect(reading.events.map(\.time) == [2, UInt64(second)])
    #expect(reading.trace.clock == clock)
  }

  @Test(
    "how fine stamps are shows",
    arguments: [
      ("1.000001", 1000), ("1.000001000", 1), ("1.0", 100_000_000), ("48522105", nil),
    ] as [(String, UInt64?)])
  func fineness(stamp: String, nanoseconds: UInt64?) throws {
    let line = "             vmm-139   [000]     \(stamp): kvm_entry: PC: 0x1\n"
    #expect(try TextReading(line).trace.stampNs == nanoseconds)
    #expect(try TextReading("# tracer: nop\n").trace.stampNs == nil)
  }

  @Test("one microsecond's events stay in the order of their lines, across CPUs, too")
  func equalStamps() throws {
    let lines = (0..<40).map {
      "             vmm-1\($0 % 7)   [00\($0 % 3)]     1.000001: kvm_entry: PC: \($0)"
    }
    let reading = try TextReading(lines.joined(separator: "\n") + "\n")
    #expect(reading.events.map { $0["vcpu_pc"] } == (0..<40).map { UInt64("\($0)", radix: 16) })
  }

  @Test("what a CPU recorded a little late is put where it belongs")
  func late() throws {
    let stamps = (0..<3000).map { $0 % 10 == 9 ? $0 - 500 : $0 }.filter { $0 > 0 }
    let lines = stamps.map {
      "             vmm-1   [00\($0 % 10 == 9 ? 1 : 0)]     1.\(String($0 + 100_000)): kvm_entry: PC: 0x1"
    }
    let reading = try TextReading(lines.joined(separator: "\n") + "\n")
    #expect(reading.events.count == stamps.count)
    #expect(reading.events.map(\.time) == reading.events.map(\.time).sorted())
    #expect(reading.damage.isEmpty)
  }

  @Test(
    "a stamp that is written as no other is damaged, and so is its line alone",
    arguments: ["48746956", "48.74695", "48746956us"])
  func otherForm(stamp: String) throws {
    let reading = try TextReading(
      """
                   vmm-139   [000]    48.746955: kvm_entry: PC: 0x1
                   vmm-139   [000]    \(stamp): kvm_entry: PC: 0x2
                   vmm-139   [000]    48.746957: kvm_entry: PC: 0x3

      """)
    #expect(reading.trace.clock == "")
    #expect(reading.events.map(\.time) == [48_746_955_000, 48_746_957_000])
    #expect(reading.gaps == [.init(index: 1, cpu: 0, lost: nil)])
    #expect(reading.damage.map(\.offset) == [62])
    #expect(
      reading.damage.map(\.what) == [
        "the stamp of a line is not written as nearly all are; the line is left out"
      ])
  }

  @Test("the time of one CPU does not go back, whatever that of others does")
  func stepBack() throws {
    let reading = try TextReading(
      """
                   vmm-139   [000]    48.746955: kvm_entry: PC: 0x1
                   vmm-140   [001]    48.700000: kvm_entry: PC: 0x2
                   vmm-139   [000]    18.746956: kvm_entry: PC: 0x3
                   vmm-140   [001]    48.699995: kvm_entry: PC: 0x4

      """)
    #expect(reading.events.count == 4)
    #expect(reading.damage.map(\.offset) == [124])
    #expect(
      reading.damage.map(\.what) == [
        "the time of CPU 0 goes back by 29999999000 ns, from 48746955000 ns to 18746956000 ns"
      ])
  }

  @Test("with latency-format, a buffer's name before the command is none of it")
  func bufferName() throws {
    let reading = try TextReading(
      """
      tc:      vmm-139      0d..1.    19.705202: kvm_entry: PC: 0x1204
      tc: kdamond.-49       0d..1.    19.705611: kvm_entry: PC: 0x1204

      """)
    #expect(reading.trace.commands == [139: "vmm", 49: "kdamond."])
  }

  @Test("the header says how many CPUs there are, and which kernel it is")
  func facts() throws {
    let line = "             vmm     139 [002]    48.522105: kvm:kvm_entry: PC: 0x1\n"
    let perf = try TextReading(
      "# ========\n# hostname : box\n# os release : 7.3.4-arm64\n# arch : aarch64\n# nrcpus online : 8\n# ========\n#\n\(line)"
    )
    #expect(perf.trace.uname == "Linux box 7.3.4-arm64 aarch64")
    #expect(perf.trace.cpuCount == 8)
    let latency = try TextReading(
      """
      # tracer: nop
      #
      # nop latency trace v1.1.5 on 6.18.44
      # latency: 0 us, #2/9, CPU#0 | (M:PREEMPT(none) VP:0, KP:0, SP:0 HP:0 #P:4)
           vmm-139     2dl.1. 48522105us+: kvm_entry: PC: 0x1204

      """)
    #expect(latency.trace.uname == "Linux (none) 6.18.44")
    #expect(latency.trace.cpuCount == 4)
    #expect(latency.gaps == [.init(index: 0, cpu: 2, lost: 0)])
    let report = try TextReading(
      "cpus=3\nLinux (none) 7.3.4 aarch64\n             vmm-139   [000]     1.000000: kvm_entry: PC: 0x1\n")
    #expect(report.trace.uname == "Linux (none) 7.3.4 aarch64")
    #expect(report.trace.cpuCount == 3)
    #expect(report.damage.isEmpty)
  }
}

extension String {
  fileprivate func replacingOccurrences(_ part: String, with other: String) -> String {
    guard let range = firstRange(of: part) else { return self }
    return replacingCharacters(in: range, with: other)
  }

  fileprivate func replacingCharacters(in range: Range<Index>, with other: String) -> String {
    String(self[..<range.lowerBound]) + other + String(self[range.upperBound...])
  }
}
