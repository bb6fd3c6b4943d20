import Foundation
import Testing
import TraceSynth
import UnnamedFiles

/// A recording whose every text is hostile, through every verb and every output.
@Suite("Hostile text")
struct HostileTextTests {
  /// Clears the screen, sets a title, turns the text around, and computes.
  private static let poison = "=1+1\u{1b}[2J\u{7}\r\u{9b}31m\u{7f}\u{202e}\u{2066}\u{1b}]0;owned\u{7}"

  private static func recording() throws -> UnnamedFile {
    let text = EventFormat(
      system: "lab\u{1b}[31m", name: "talk", id: 900, fields: [EventField(.u64, "ip")], printFormat: "",
      textOverride: """
        name: talk
        ID: 900
        format:
        \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
        \tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;
        \tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;
        \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

        \tfield:char words[64];\toffset:8;\tsize:64;\tsigned:0;
        \tfield:void * where;\toffset:72;\tsize:8;\tsigned:0;

        print fmt: "%s from %ps", REC->words, REC->where

        """)
    let broken = EventFormat(
      system: "lab\u{1b}[31m", name: "x", id: 901, fields: [], printFormat: "",
      textOverride: "name: x\u{1b}[2J\nID: 901\nformat:\n")
    let flavour = TraceFlavour()
    var description = TraceDescription(
      flavour, formats: KVMEventFormats.all + [MarkerFormat.print, text, broken], cpus: 1)
    description.commandLines = [(7, poison), (8, "@" + poison)]
    description.kallsyms = "ffff800080000000 T \(poison)\n"
    description.options = [
      .uname("Linux host\(poison) 7.3.4\(poison) #1 aarch64\(poison)"), .clock("[local\(poison)] global"),
    ]
    let writer = TraceDatWriter(description)
    var page = SubBufferPageBuilder(flavour, timestamp: 1000)
    var time: UInt64 = 1000
    func append(_ payload: [UInt8]) {
      time += 1000
      precondition(page.append(payload, at: time))
    }
    for round in 0..<4 as Range<UInt64> {
      append(KVMEventFormats.entry.payload([0x1000], pid: 7, flavour: flavour))
      append(KVMEventFormats.exit.payload([2, 0x24, 0x1000], pid: 7, flavour: flavour))
      append(
        KVMEventFormats.guestFault.payload(
          [0x1000, 0x9200_0047, 0xffff_8000_0000_0000, 0x4000_0000 + round << 12], pid: 7, flavour: flavour))
    }
    append(MarkerFormat.payload("pkvm-replay:lab name=\(poison) \(poison)=x", pid: 8, flavour: flavour))
    append(MarkerFormat.payload("pkvm-replay:memory point=\(poison)", pid: 8, flavour: flavour))
    append(MarkerFormat.payload(poison, pid: 8, flavour: flavour))
    var talk = text.payload([0], pid: 8, flavour: flavour)[..<8] + Array(poison.utf8)
    // Bytes that are no UTF-8, and no end.
    talk += [0xff, 0xfe, 0x9b] + [UInt8](repeating: 0xc2, count: 72 - talk.count - 3)
    talk += [0x10, 0, 0, 0x80, 0, 0x80, 0xff, 0xff]
    append(Array(talk))
    try writer.append(page.finish(), cpu: 0)
    return try UnnamedFile(try writer.bytes())
  }

  /// Whether a terminal would obey anything in `text`; lines may end.
  private static func isClean(_ text: String) -> Bool {
    text.unicodeScalars.allSatisfy { scalar in
      switch scalar.value {
      case 0x0a: true
      case ..<0x20, 0x7f..<0xa0, 0x200e, 0x200f, 0x2028...0x202e, 0x2066...0x2069: false
      default: true
      }
    }
  }

  @Test(
    "no verb prints a control character",
    arguments: [
      ["info"], ["info", "--json"], ["info", "--memslots", "--infer-memslots"], ["events"],
      ["events", "--format", "csv"], ["events", "--format", "csv", "--event", "*"],
      ["events", "--format", "jsonl"], ["events", "--vm-column"], ["replay"], ["replay", "--json", "-"],
      ["replay", "--ops", "-"], ["replay", "--contention"],
      ["compare", "--profile", "6.14", "--profile", "7.3"],
      ["compare", "--json", "-", "--profile", "6.14", "--profile", "7.3"],
      ["capacity", "--vms", "2", "--memory", "1GiB"],
      ["capacity", "--vms", "2", "--memory", "1GiB", "--json", "-"],
      ["calibrate"], ["events", "--event", "\u{1b}[2J"], ["events", "--where", "\u{1b}[2J == 1"],
      ["replay", "--profile", "\u{1b}[2J"], ["replay", "--vm", "\u{9b}31m"],
    ])
  func verbs(arguments: [String]) throws {
    let file = try Self.recording()
    let outcome = try Tool.run(arguments + [file.path])
    #expect(Self.isClean(outcome.output) && Self.isClean(outcome.errors))
    #expect(!outcome.output.isEmpty || !outcome.errors.isEmpty)
  }

  @Test("a path is quoted safely in errors")
  func path() throws {
    for verb in ["info", "events", "replay", "calibrate"] {
      let outcome = try Tool.run([verb, "/nowhere/\u{1b}[2J\u{202e}\nx.dat"])
      #expect(outcome.status == 66 && outcome.errorLines.count == 1 && Self.isClean(outcome.errors))
      #expect(outcome.errors.contains("\\x1b[2J"))
    }
  }

  @Test("CSV has no formulas, and JSON has what was recorded")
  func content() throws {
    let file = try Self.recording()
    let csv = try Tool.run(["events", "--format", "csv", "--event", "talk", file.path]).output
    let row = try #require(csv.split(separator: "\n").dropFirst().first)
    #expect(row.contains("'@=1+1\\x1b[2J") && row.contains("'=1+1\\x1b[2J"))
    let line = try Tool.run(["events", "--format", "jsonl", "--event", "talk", file.path]).output
    let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
    #expect(object?["command"] as? String == "@" + Self.poison)
    let words = (object?["fields"] as? [String: Any])?["words"] as? String
    #expect(words?.hasPrefix(Self.poison) == true)
  }
}
