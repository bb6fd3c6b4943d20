import Foundation
import SeededRandom
import Testing
import UnnamedFiles

@testable import KVMTrace

/// Texts that are damaged, or that somebody made to do harm.
@Suite("Damaged texts")
struct TextRobustnessTests {
  private static let samples = TextSampleTests.alike + ["trace-fields.txt", "report-wrapped.txt"]

  /// How many lines of `bytes` have an end.
  private static func lines(_ bytes: ArraySlice<UInt8>) -> Int { bytes.count { $0 == 0x0a } }

  @Test("a cut text has all events of its whole lines", arguments: samples)
  func truncation(name: String) throws {
    let bytes = try TextSampleTests.bytes(name)
    let whole = try TextReading(bytes)
    // Where the lines are that are no events, and the end of each line that is one.
    var ends: [Int] = []
    var begin = 0
    for (offset, byte) in bytes.enumerated() where byte == 0x0a {
      if TextReadingLine.isEvent(bytes[begin..<offset]) { ends.append(offset) }
      begin = offset + 1
    }
    #expect(ends.count == whole.events.count)
    for length in stride(from: ends[0] + 1, to: bytes.count, by: 1511) {
      let reading = try TextReading(bytes[..<length])
      let expected = ends.prefix { $0 < length }.count
      #expect(reading.events.count == expected)
      #expect(reading.events.map(\.values) == whole.events.prefix(expected).map(\.values))
    }
  }

  @Test("mutants lose no more than what they damage", arguments: samples, Mutation.allCases)
  func mutants(name: String, mutation: Mutation) throws {
    let bytes = try TextSampleTests.bytes(name)
    let whole = try TextReading(bytes)
    for seed in MutantSeeds.first(8) {
      let mutant = mutation.apply(to: bytes, seed: seed)
      guard let reading = try? TextReading(mutant) else {
        // A text whose first event is gone is none.
        #expect(mutation == .truncate)
        continue
      }
      #expect(reading.events.count <= Self.lines(mutant[...]))
      if mutation != .truncate { #expect(reading.events.count + 9 >= whole.events.count) }
    }
  }

  @Test(
    "where the end of a line is lost, no event is without a word", arguments: samples,
    Array("J 0(".utf8))
  func lostEnd(name: String, byte: UInt8) throws {
    let bytes = try TextSampleTests.bytes(name)
    let whole = try TextReading(bytes)
    var (begin, lastEnd) = (0, Int?.none)
    for (offset, end) in bytes.enumerated() where end == 0x0a {
      defer { begin = offset + 1 }
      guard TextReadingLine.isEvent(bytes[begin..<offset]) else {
        lastEnd = nil
        continue
      }
      defer { lastEnd = offset }
      guard let lastEnd else { continue }
      var damaged = bytes
      damaged[lastEnd] = byte
      let reading = try TextReading(damaged)
      #expect(reading.events.count == whole.events.count - 2, "\(lastEnd)")
      #expect(reading.damage.count == whole.damage.count + 1, "\(lastEnd)")
    }
  }

  @Test(
    "a text that may hold anything holds no other line",
    arguments: [
      "tracing_mark_write: a b", "print: 0xffffbcd79f0b86c4: a", "x: a", "x: a=1 b=2",
      "y: (z+0x4/0x8) a=1 b=\"c [001] d\"", "y: (z+0x4/0x8) a=1 b=x y", "v <-w", "<stack trace>",
    ])
  func lostEndOfOpenText(text: String) throws {
    for (head, other) in [
      (
        "             vmm-139   [000]     1.000001: ",
        "             vmm-139   [000]     1.000002: kvm_entry: PC: 0x1"
      ),
      (
        "     vmm-139     0d..1.    48.522105: ",
        "     vmm-140     0d..1.    48.522106: kvm_entry:            PC: 0x1204"
      ),
    ] {
      let line = head + text + "\n"
      let whole = try TextReading(line + line + other + "\n")
      #expect(whole.events.count == 3 && whole.damage.isEmpty)
      let reading = try TextReading(line + head + text + "J" + other + "\n" + line)
      #expect(reading.events.count == 2)
      #expect(reading.damage.map(\.offset) == [line.utf8.count])
      // What the first line is does not say what fields the event has.
      let first = try TextReading(head + text + "J" + other + "\n" + line + line)
      #expect(first.events.map(\.values) == Array(repeating: whole.events[0].values, count: 2))
      #expect(first.damage.map(\.offset) == [0])
    }
  }

  @Test("zeros make no text a binary file, wherever they are", arguments: samples)
  func zeros(name: String) throws {
    let bytes = try TextSampleTests.bytes(name)
    let whole = try TextReading(bytes)
    let places =
      [(20 * bytes.count / Self.lines(bytes[...]), 1 << 20)]
      + stride(from: 0, to: 4096, by: 241).flatMap { [($0, 1), ($0, 64)] }
    for (place, count) in places {
      var damaged = bytes
      if count > 64 {
        damaged.insert(contentsOf: [UInt8](repeating: 0, count: count), at: place)
      } else {
        damaged.replaceSubrange(place..<(place + count), with: [UInt8](repeating: 0, count: count))
      }
      let file = try UnnamedFile(damaged)
      let format = try TraceFile(path: file.path).format
      let reading = try TextReading(FileBytes(path: file.path))
      // Without its header a text may be that of another writer.
      if place > 16 { #expect(format == whole.trace.format) }
      #expect(reading.events.count + 3 >= whole.events.count)
    }
  }

  @Test("what has zeros and no line that is an event is no text")
  func binary() {
    let event = Array("             vmm-139   [000]     1.000001: kvm_entry: PC: 0x1".utf8)
    #expect(RecordingSignature(prefix: [0x01, 0x00] + event + [0x0a]) == .binary)
    #expect(RecordingSignature(prefix: [0x01, 0x00, 0x0a] + event + [0x0a]) == .text)
    #expect(RecordingSignature(prefix: [0x01, 0x00, 0x0a] + event.reversed() + [0x0a]) == .binary)
    for seed in MutantSeeds.first(32) {
      var generator = SplitMix64(seed: seed)
      let bytes = (0..<4096).map { _ in UInt8.random(in: 0...255, using: &generator) }
      #expect(RecordingSignature(prefix: bytes) != .text)
    }
  }

  @Test("a line without end takes no memory, and what follows is read")
  func longLine() throws {
    let line = "             vmm-139   [000]     1.000001: kvm_entry: PC: 0x1\n"
    for filler in ["x", " ", "[0]", ": ", "-1 ", "\0", "CPU:", "a=1 ", "("] {
      let long = String(repeating: filler, count: (3 << 20) / filler.utf8.count)
      let reading = try TextReading(line + long + "\n" + line)
      #expect(reading.events.count == 2)
      #expect(reading.damage.map(\.what) == ["a line is longer than 65536 bytes; it is left out"])
      #expect(reading.gaps == [.init(index: 1, cpu: 0, lost: nil)])
      // As long as a line may just be.
      let most = String(repeating: filler, count: 65_000 / filler.utf8.count)
      for begin in [
        "", "             vmm-139   [000]     1.000001: kvm_entry: ",
        "             vmm-139   [000]     1.000001: trap_reg: ",
      ] {
        #expect(try TextReading(line + begin + most + "\n" + line).events.count >= 2)
      }
    }
  }

  @Test("thousands of events' names and threads are only so many")
  func manyNames() throws {
    let lines = (0..<6000).map { "             vmm-\($0)   [000]     1.000001: event_\($0): a=\($0)\n" }
    let reading = try TextReading(lines.joined())
    #expect(reading.events.count == TextEvents.eventsMax)
    #expect(reading.damage.count == 256)
    #expect(reading.trace.commands.count == 6000)
  }

  @Test("long texts of events are cut, and lie in pages")
  func longTexts() throws {
    let text = String(repeating: "y", count: 60_000)
    let lines = (0..<300).map {
      "             vmm-1   [000]     1.000001: tracing_mark_write: \($0)\(text)\n"
    }
    let reading = try TextReading(lines.joined())
    #expect(reading.events.count == 300)
    guard case .text(let first) = reading.events[0].values["buf"] else {
      Issue.record("a marker has a text")
      return
    }
    #expect(first.utf8.count == RecordSlot.textBytesMax)
    #expect(reading.damage.count == 256)
    #expect(
      reading.damage.first?.what
        == "a text of an event tracing_mark_write is longer than 8192 bytes; the rest is left out")
    #expect(reading.gaps.isEmpty)
  }

  @Test("numbers that have no room are no numbers")
  func overflow() throws {
    let line = "             vmm-139   [000]     1.000001: kvm_entry: PC: 0x1\n"
    for bad in [
      "             vmm-99999999999   [000]     1.000001: kvm_entry: PC: 0x1",
      "             vmm-139   [99999]     1.000001: kvm_entry: PC: 0x1",
      "             vmm-139   [000]     99999999999.000001: kvm_entry: PC: 0x1",
      "             vmm-139   [000]     1.0000000000: kvm_entry: PC: 0x1",
      "             vmm-139   [000]     1.000001: kvm_entry: PC: 0x10000000000000000",
      "CPU:99999 [LOST 1 EVENTS]",
    ] {
      let reading = try TextReading(line + bad + "\n" + line)
      #expect(reading.events.count == 2)
      #expect(reading.damage.count == 1)
    }
    let mmio = "             vmm-139   [000]     1.000001: kvm_mmio: mmio read len LEN gpa 0x1 val 0x0\n"
    for (length, count) in [("4294967295", 2), ("-1", 2), ("4294967296", 1), ("99999999999", 1)] {
      let reading = try TextReading(
        [mmio.replacing("LEN", with: "4"), mmio.replacing("LEN", with: length)].joined())
      #expect(reading.events.count == count)
      #expect(reading.damage.count == 2 - count)
    }
    let losses = "CPU:0 [LOST 18446744073709551615 EVENTS]\n"
    #expect(try TextReading(losses + losses + line).gaps.map(\.lost) == [UInt64(Int64.max)])
    #expect(try TextReading("CPU:0 [LOST 99999999999999999999999 EVENTS]\n" + line).gaps.map(\.lost) == [0])
  }
}

/// Whether a line of a sample is an event, as a person sees it.
private enum TextReadingLine {
  static func isEvent(_ line: ArraySlice<UInt8>) -> Bool {
    let text = String(decoding: line, as: UTF8.self)
    return text.contains("] ") && text.contains(": ") && !text.hasPrefix("#") && !text.hasPrefix("CPU:")
      && !text.hasPrefix("kvm_arch")
  }
}
