import Testing
import UnnamedFiles

@testable import KVMTrace

/// How many entries the header of `trace` tells of, and how many there are.
@Suite("Entries of texts")
struct TextEntriesTests {
  private static func line(_ cpu: Int, _ time: Int, _ text: String = "kvm_entry: PC: 0x1") -> String {
    "             vmm-139   [00\(cpu)]     1.00000\(time): \(text)"
  }

  private static func header(_ held: Int, _ written: Int? = nil, cpus: Int = 2) -> String {
    "# tracer: nop\n#\n# entries-in-buffer/entries-written: \(held)/\(written ?? held)   #P:\(cpus)\n#"
  }

  private static func read(_ lines: [String]) throws -> TextReading {
    try TextReading(lines.map { $0 + "\n" }.joined())
  }

  private static func statistics(_ lines: [String]) throws -> EventStatistics {
    let file = try UnnamedFile(lines.map { $0 + "\n" }.joined().utf8)
    return try TraceFile(path: file.path).forEachRun(.all) { _ in }
  }

  private static let both = [line(0, 1), line(1, 2), line(0, 3)]

  @Test("a text with fewer entries than its header tells of is cut, and where is not known")
  func cut() throws {
    let reading = try Self.read([Self.header(3548)] + Self.both)
    #expect(reading.events.count == 3)
    #expect(
      reading.damage == [Damage(offset: 16, what: "the header tells of 3548 entries, the text has 3 of them")]
    )
    #expect(reading.trace.untoldLosses == .missingEntries)
    #expect(reading.gaps.isEmpty)
  }

  @Test("one with as many, or more, is whole", arguments: [0, 1, 3])
  func whole(held: Int) throws {
    let reading = try Self.read([Self.header(held)] + Self.both)
    #expect(reading.damage.isEmpty)
    #expect(reading.trace.untoldLosses == nil)
  }

  @Test(
    "each of these is one entry, or none",
    arguments: [
      (1, "<stack trace>\n => a\n => b"), (1, "<user stack trace>\n =>  <00007fff>"), (1, "a <-b"),
      (1, "unknown: x"), (1, "tracing_mark_write: "),
      (1, "kvm_entry: PC: 0x1\n##### CPU 1 buffer started ####\n\n"),
      // What is damaged may be one.
      (1, "kvm_entry: PC: what"),
      (2, "kvm_entry: PC: 0x1\n             vmm-139   {000]     1.000005: kvm_entry: PC: 0x1"),
    ])
  func entries(count: Int, text: String) throws {
    let lines = Self.both + [Self.line(0, 4, text), Self.line(1, 5)]
    let whole = try Self.read([Self.header(4 + count)] + lines)
    #expect(whole.trace.untoldLosses == nil)
    #expect(whole.trace.damage.isEmpty)
    let short = try Self.read([Self.header(5 + count)] + lines)
    #expect(short.trace.untoldLosses == .missingEntries)
    #expect(
      short.trace.damage.map(\.what) == [
        "the header tells of \(5 + count) entries, the text has \(4 + count) of them"
      ])
  }

  @Test(
    "a loss of as many as a number holds is no lack of entries, whatever follows it",
    arguments: ["unknown line", "             vmm-139   [000]     1.000005: kvm_entry: PC: 0x1"])
  func greatestLoss(behind: String) throws {
    let lost = "CPU:0 [LOST \(UInt64.max) EVENTS]"
    let reading = try Self.read([Self.header(3548)] + Self.both + [lost, behind, behind, Self.line(0, 6)])
    #expect(reading.trace.untoldLosses == nil && reading.trace.damage.isEmpty)
  }

  @Test("nor are lines inside others one, where a loss leaves out but one of as many")
  func greatestCount() throws {
    let header =
      "# tracer: nop\n#\n# entries-in-buffer/entries-written: \(UInt64.max)/\(UInt64.max)   #P:2\n#"
    let joined = Self.joined(
      "kvm_entry: PC: what", Self.line(1, 5, "kvm_entry: PC: who") + Self.line(1, 5))
    let lost = "CPU:0 [LOST \(UInt64.max - 4) EVENTS]"
    let reading = try Self.read([header] + joined + [lost])
    #expect(reading.trace.untoldLosses == nil && reading.trace.damage.isEmpty)
  }

  @Test("a line that is cut behind such a loss is no lack either")
  func cutBehindGreatestLoss() throws {
    let lost = "CPU:0 [LOST \(UInt64.max) EVENTS]"
    let text = ([Self.header(3548)] + Self.both + [lost]).map { $0 + "\n" }.joined()
    let reading = try TextReading(text + "             vmm-139   [000]     1.0")
    #expect(reading.trace.untoldLosses == nil && reading.trace.damage.isEmpty)
  }

  /// A text of four entries, two of which have run into one line.
  private static func joined(_ first: String, _ second: String = line(1, 5)) -> [String] {
    [line(0, 1), line(0, 4, first) + second, line(1, 6)]
  }

  @Test(
    "lines that have run into one are told with their place, and nothing is missing besides",
    arguments: ["kvm_entry: PC: 0x1", "kvm_entry: PC: 0", "kvm_en", "tracing_mark_write: x", "unknown: x=1"])
  func joinedLines(first: String) throws {
    // That an event of no known kind may be anything, some lines of it have to show.
    let whole = [Self.line(0, 1, "unknown: x=1"), Self.line(0, 2, "unknown: x=2")]
    let lines = Self.joined(first)
    let reading = try Self.read([Self.header(6)] + whole + lines)
    #expect(reading.trace.untoldLosses == nil && reading.trace.damage.isEmpty)
    let bytes = ([Self.header(6)] + whole + lines[..<1]).reduce(0) { $0 + $1.utf8.count + 1 }
    #expect(reading.damage.map(\.offset) == [bytes], "\(reading.damage)")
    // One that is missing elsewhere.
    let short = try Self.read([Self.header(7)] + whole + lines)
    #expect(short.trace.untoldLosses == .missingEntries)
    #expect(
      short.trace.damage.map(\.what) == ["the header tells of 7 entries, the text has 6 of them"])
  }

  @Test("a line inside another one counts for the header that it stands behind alone")
  func joinedSections() throws {
    let lines = [Self.header(4)] + Self.joined("kvm_entry: PC: 0x1") + [Self.header(4)] + Self.both
    let reading = try Self.read(lines)
    #expect(reading.trace.untoldLosses == .missingEntries && reading.trace.damage.count == 1)
    #expect(reading.trace.damage[0].offset > 300)
  }

  @Test("a line that is inside another one, and was not cut off, is none of its own")
  func quotedLine() throws {
    // It is older: somebody quotes it, and the header counts one entry.
    let lines = [Self.line(0, 4), Self.line(1, 5, "tracing_mark_write: " + Self.line(0, 1)), Self.line(0, 6)]
    #expect(try Self.read([Self.header(3)] + lines).trace.untoldLosses == nil)
    #expect(try Self.read([Self.header(4)] + lines).trace.untoldLosses == .missingEntries)
  }

  @Test("a last line that is cut is told once")
  func cutEnd() throws {
    let text = ([Self.header(3)] + Self.both).joined(separator: "\n")
    #expect(try TextReading(text).damage.map(\.what) == ["the last line is cut; it is left out"])
    #expect(try TextReading(text).trace.untoldLosses == nil)
  }

  @Test(
    "what was lost while the text was made, a line tells",
    arguments: [
      (5, "2 ", true, 0), (3, "", true, 0), (5, "", false, 0), (4000, "", false, 0), (5, "1 ", false, 1),
    ])
  func toldLosses(held: Int, number: String, isWhole: Bool, damage: Int) throws {
    let reading = try Self.read([Self.header(held), "CPU:1 [LOST \(number)EVENTS]"] + Self.both)
    #expect((reading.trace.untoldLosses == nil) == isWhole)
    #expect(reading.trace.damage.count == damage)
  }

  @Test("each header counts for what follows it")
  func sections() throws {
    let texts = [Self.header(3)] + Self.both + [Self.header(9)] + Self.both + [Self.header(2)] + Self.both
    let reading = try Self.read(texts + [Self.header(4)] + Self.both)
    let what = reading.trace.damage.map(\.what)
    #expect(
      what == [
        "the header tells of 9 entries, the text has 3 of them",
        "the header tells of 4 entries, the text has 3 of them",
      ])
    // Each begins in its section's head.
    #expect(reading.trace.damage.map(\.offset).allSatisfy { $0 > 200 })
  }

  @Test("latency-format has the numbers elsewhere")
  func latency() throws {
    let head = """
      # tracer: nop
      #
      # nop latency trace v1.1.5 on 6.18.44
      # latency: 0 us, #HELD/9, CPU#0 | (M:PREEMPT(none) VP:0, KP:0, SP:0 HP:0 #P:4)
           vmm-139     2dl.1. 48522105us+: kvm_entry: PC: 0x1204
           vmm-139     1dl.1. 48522106us+: kvm_entry: PC: 0x1204

      """
    #expect(try TextReading(head.replacing("HELD", with: "2")).trace.damage.isEmpty)
    #expect(try TextReading(head.replacing("HELD", with: "3")).trace.damage.map(\.offset) == [54])
  }

  @Test(
    "the file of one CPU has the number of all in its header: whether it is whole is not known",
    arguments: [Array(repeating: line(1, 1), count: 3), []])
  func oneCPU(lines: [String]) throws {
    let reading = try Self.read([Self.header(10)] + lines)
    #expect(reading.damage.isEmpty)
    #expect(reading.trace.untoldLosses == .missingEntries)
    // Where there is but one CPU it is.
    guard !lines.isEmpty else { return }
    let single = try Self.read([Self.header(10, cpus: 1)] + [Self.line(0, 1)])
    #expect(single.damage.count == 1)
  }

  @Test("how many were overwritten is told, and of no CPU")
  func overwritten() throws {
    let statistics = try Self.statistics([Self.header(3, 10)] + Self.both)
    #expect(statistics.lostTotal == 7)
    #expect(statistics.losses.map(\.count) == [nil, nil])
    #expect(statistics.losses.map(\.cpu) == [0, 1])
    // Of one CPU they are its own, once.
    let counted = try Self.statistics([Self.header(2, 10), Self.line(1, 1), Self.line(1, 2)])
    #expect(counted.lostTotal == 8 && counted.losses.map(\.count) == [8])
    // Of the file of one among several nobody knows.
    let unknown = try Self.statistics([Self.header(3, 10), Self.line(1, 1), Self.line(1, 2)])
    #expect(unknown.lostTotal == 0 && unknown.losses.map(\.count) == [nil])
  }
}
