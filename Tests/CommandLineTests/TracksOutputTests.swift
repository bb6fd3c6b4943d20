import Foundation
import Testing
import UnnamedFiles

/// `replay --perfetto`.
@Suite("Tracks for the Perfetto UI")
struct TracksOutputTests {
  private static func scratch() -> URL {
    FileManager.default.temporaryDirectory.appending(path: "tracks-\(UUID().uuidString)")
  }

  @Test("The file is a Perfetto trace, the report is as without it, and standard output takes it alone")
  func file() throws {
    let path = Self.scratch().path()
    defer { try? FileManager.default.removeItem(atPath: path) }
    let with = try Tool.run(["replay", Tool.smallRecording, "--perfetto", path])
    let without = try Tool.run(["replay", Tool.smallRecording])
    #expect(with.status == without.status && with.output == without.output)
    let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    #expect(bytes.count > 10_000 && bytes.first == 0x0a)
    let names = String(decoding: bytes, as: UTF8.self)
    for name in ["VM 0", "vCPU 0, thread", "translation fault", "mmu_lock held", "stage 2, total"] {
      #expect(names.contains(name), "\(name)")
    }
    let piped = try Tool.shell(
      "$tool replay \"$1\" --perfetto - | cmp - \"$2\"", [Tool.smallRecording, path])
    #expect(piped.status == without.status && piped.output.isEmpty, "\(piped.output)")
  }

  @Test(
    "An earlier file of tracks is replaced; a recording is not, with tracks behind it or before it, nor what is cut off"
  )
  func replaced() throws {
    let folder = Self.scratch()
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let tracks = folder.appending(path: "tracks").path()
    let written = try Tool.run(["replay", Tool.smallRecording, "--perfetto", tracks])
    let again = try Tool.run(["replay", Tool.recording, "--perfetto", tracks])
    #expect(again.status == written.status && !again.errors.contains("exists"), "\(again.errors)")
    let own = try Data(contentsOf: URL(fileURLWithPath: tracks))
    #expect(String(decoding: own, as: UTF8.self).contains("VM 0"))
    let perfetto = Tool.root.appendingPathComponent("traces/inputs/perfetto/pf-lost.perfetto-trace")
    let recording = try Data(contentsOf: perfetto)
    for (name, content) in [
      ("recording", recording), ("behind", recording + own), ("before", own + recording),
      ("cut", own.dropLast(9)),
      ("other", own + Data([0x0a, 0x02, 0x40, 0x01])),
    ] {
      let path = folder.appending(path: name).path()
      try content.write(to: URL(fileURLWithPath: path))
      for option in ["--perfetto", "--json"] {
        let outcome = try Tool.run(["replay", Tool.smallRecording, option, path])
        #expect(
          outcome.status == 64 && outcome.errors.contains("exists and is a Perfetto trace"),
          "\(name) \(option)")
      }
      #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == content, "\(name)")
    }
    // Those of two inputs, as replay writes them and as cat does.
    let two = folder.appending(path: "two").path()
    try (own + own).write(to: URL(fileURLWithPath: two))
    let last = try Tool.run(["replay", Tool.smallRecording, Tool.recording, "--perfetto", two])
    #expect(!last.errors.contains("exists") && last.status == 0, "\(last.errors)")
    let third = try Tool.run(["replay", Tool.smallRecording, "--perfetto", two])
    #expect(!third.errors.contains("exists"), "\(third.errors)")
  }

  @Test("What is told of losses does not point to a list that is not there")
  func damaged() throws {
    let whole = Tool.root.appendingPathComponent("traces/pkvm-nvhe-7.3.4-plain-guest.dat").path
    // The end of its last section is missing, and no event.
    let damaged = try UnnamedFile(Data(contentsOf: URL(fileURLWithPath: whole)).dropLast(10))
    let outcome = try Tool.shell(
      "$tool replay \"$1\" --allow-loss --perfetto - | strings | grep -a 'by the kernel'", [damaged.path])
    #expect(outcome.output.contains("nothing by the kernel; what "), "\(outcome.output)")
    #expect(!outcome.output.contains("below"), "\(outcome.output)")
  }

  @Test("A clock that Perfetto does not know is told, with what to do")
  func clock() throws {
    let outcome = try Tool.shell("$tool replay \"$1\" --perfetto - >/dev/null", [Tool.smallRecording])
    #expect(
      outcome.errorLines.contains { $0.contains("clock, local,") && $0.contains("-C boot") },
      "\(outcome.errors)")
  }

  @Test("What cannot be is one line and a status")
  func refused() throws {
    let two = try Tool.run(["replay", Tool.smallRecording, "--perfetto", "-", "--json", "-"])
    #expect(two.status == 64 && two.errors.contains("cannot both go to standard output"))
    let own = try Tool.run(["replay", Tool.smallRecording, "--perfetto", Tool.smallRecording])
    #expect(own.status == 64 && own.errors.contains("is an input and would be overwritten"))
    let terminal = try Tool.shell(
      #"script -qec "$tool replay '$1' --perfetto -; echo \$?" /dev/null </dev/null"#, [Tool.smallRecording])
    let lines = terminal.output.split(whereSeparator: \.isNewline)
    #expect(lines.first?.contains("is a terminal, and a Perfetto trace is no text") == true, "\(lines)")
    #expect(lines.count == 2 && lines.last == "64")
  }
}
