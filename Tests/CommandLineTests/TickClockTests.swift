import Foundation
import Testing
import TraceSynth
import UnnamedFiles

/// Clocks that count no nanoseconds: what is printed of them is ticks.
@Suite("Clocks of ticks")
struct TickClockTests {
  /// A vCPU that faults a page in, by a clock.
  private func trace(_ clock: String) throws -> UnnamedFile {
    let flavour = TraceFlavour()
    var page = SubBufferPageBuilder(flavour, timestamp: 0)
    let slot: [UInt64] = [0, 0xffff_0000, 0, 0x40000, 512, 0xff00_0000_1000, 0, 0, 0, 0]
    let fault: [UInt64] = [0x1000, 0x9200_0045, 0x4000_0000, 0x4000_0000]
    let events: [(EventFormat, [UInt64])] = [
      (KVMEventFormats.slotCommit, slot), (KVMEventFormats.entry, [0x1000]),
      (KVMEventFormats.exit, [2, 0x24, 0x1000]), (KVMEventFormats.guestFault, fault),
      (KVMEventFormats.entry, [0x1000]),
    ]
    for (position, event) in events.enumerated() {
      let payload = event.0.payload(event.1, pid: 7, flavour: flavour)
      precondition(page.append(payload, at: 1500 + UInt64(position)))
    }
    var description = TraceDescription(
      flavour, formats: KVMEventFormats.all, buffers: [TraceBuffer(clock: clock, cpus: [0])])
    description.options = [.clock("local global [\(clock)]"), .uname("Linux lab 7.3.4 aarch64")]
    let writer = TraceDatWriter(description)
    try writer.append(page.finish(), cpu: 0)
    return try UnnamedFile(writer.bytes())
  }

  @Test("info, replay and events print ticks, and say so", arguments: ["counter", "uptime"])
  func printed(clock: String) throws {
    let file = try trace(clock)
    let tick = clock == "counter" ? "an event" : "10 ms"
    let info = try Tool.run(["info", file.path])
    #expect(info.output.contains("1,500 ticks to 1,504 ticks (4 ticks); a tick is \(tick)"), "\(info.output)")
    let replay = try Tool.run(["replay", file.path])
    #expect(replay.status == 0 && replay.errors.contains("does not tell how long anything takes"))
    #expect(replay.output.contains("5 events in 4 ticks"), "\(replay.output)")
    #expect(replay.output.contains("\(clock), a tick of which is \(tick)"), "\(replay.output)")
    let json = try Tool.run(["replay", "--json", "-", file.path])
    let report = try #require(
      try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any])
    let input = try #require((report["inputs"] as? [[String: Any]])?.first)
    #expect(input["clockUnit"] as? String == "ticks" && input["clock"] as? String == clock)
    let events = try Tool.run(["events", file.path])
    #expect(events.output.contains(" [000]         1500: commit:"), "\(events.output)")
    let lines = try Tool.run(["events", "--format", "jsonl", file.path])
    #expect(lines.output.hasPrefix("{\"timeTicks\":1500,"), "\(lines.output)")
  }

  @Test("Series count in ticks, and are labelled so")
  func series() throws {
    let file = try trace("counter")
    let directory = FileManager.default.temporaryDirectory.appending(path: "ticks-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: directory) }
    let json = try Tool.run(["replay", file.path, "--csv", directory.path(), "--json", "-"]).output
    let report = try #require(
      try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
    #expect(report["seriesUnit"] as? String == "ticks" && report["seriesIntervalNs"] as? Int == 1)
    func rows(_ name: String) throws -> [Substring] {
      try String(contentsOf: directory.appending(path: "\(name).csv"), encoding: .utf8).split(separator: "\n")
    }
    #expect(try rows("first-touch") == ["vm,timeTicks,gfn", "0,1504,262144"])
    #expect(try rows("working-set").first == "vm,timeTicks,touchedPages,firstTouchedPages")
    #expect(try rows("working-set").last == "0,1504,1,1")
    #expect(try rows("memory").first?.hasPrefix("vm,timeTicks,") == true)
    #expect(try rows("idle").first == "vm,idleTicks,pages")
  }

  @Test("Nanoseconds are what they were")
  func nanoseconds() throws {
    let file = try trace("mono")
    let events = try Tool.run(["events", file.path])
    #expect(events.output.contains(" [000]     0.000001500: commit:"), "\(events.output)")
    let report = try Tool.run(["replay", "--json", "-", file.path])
    #expect(!report.output.contains("clockUnit") && report.errors.isEmpty)
    #expect(!report.output.contains("seriesUnit") && report.output.contains("\"seriesIntervalNs\" : 1000"))
  }

  @Test("--from, --to and --where count ticks")
  func moments() throws {
    let file = try trace("counter")
    for arguments in [
      ["--from", "1501", "--to", "1503"], ["--from", "+1", "--to", "+3"],
      ["--where", "time >= 1501 && time < 1503"],
    ] {
      let events = try Tool.run(["events", file.path] + arguments)
      #expect(
        events.output.split(separator: "\n").count == 2, "\(arguments): \(events.output)\(events.errors)")
    }
    let replay = try Tool.run(["replay", file.path, "--from", "1502"])
    #expect(replay.output.contains("from 1,502 ticks"), "\(replay.output)\(replay.errors)")
    let part = try Tool.run(["replay", file.path, "--from", "1.5"])
    #expect(part.status == 64 && part.errors.contains("counts ticks"))
    let behind = try Tool.run(["replay", file.path, "--from", "9999"])
    #expect(behind.status == 64 && behind.errors.contains("1,500 ticks to 1,504 ticks"), "\(behind.errors)")
  }

  @Test("calibrate, which asks how long things took, refuses a clock that does not tell")
  func refused() throws {
    let file = try trace("counter")
    let outcome = try Tool.run(["calibrate", file.path])
    #expect(outcome.status == 64 && outcome.output.isEmpty && outcome.errorLines.count == 1)
    #expect(
      outcome.errors.contains("its clock, counter, counts ticks (one is an event)"), "\(outcome.errors)")
  }

  @Test("capacity tells what memory costs, and leaves out what needs time")
  func memory() throws {
    let plan = ["capacity", "--vms", "2", "--memory", "1GiB"]
    let recording = Tool.root.appending(path: "traces/pkvm-nvhe-7.3.4-coarse-clock.dat").path()
    let made = try trace("counter")
    for path in [made.path, recording] {
      let outcome = try Tool.run(plan + [path])
      #expect(outcome.status == 0 && outcome.output.contains("most recorded (0:"), "\(outcome.errors)")
      #expect(outcome.errors.contains("the clock does not tell how long anything takes"))
      let words = outcome.output.split(whereSeparator: \.isWhitespace).joined(separator: " ")
      #expect(words.contains("the clock of the trace does not tell"), "\(outcome.output)")
      #expect(!outcome.output.contains("shares of the VM's time") && !outcome.output.contains("host lock "))
    }
    let curve = try Tool.run(plan + ["--curve", "-", recording])
    #expect(curve.output.split(separator: "\n").count == 1, "\(curve.output)")
  }

  @Test("Plots of a clock of ticks have an interval for each of a few ticks, not one for a thousand")
  func plots() throws {
    let path = Tool.root.appending(path: "traces/pkvm-nvhe-7.3.4-coarse-clock.dat").path()
    let page = try Tool.run(["replay", path, "--html", "-"]).output
    let figure = try #require(
      page.components(separatedBy: "<figure").first { $0.contains("id=\"r0-vm0-faults\"") })
    let times = try #require(figure.firstMatch(of: /\{"t":\[([\d,]*)\]/)).1.split(separator: ",")
    #expect(times.count > 20, "\(times)")
    let text = try Tool.run(["replay", path, "--heatmap"]).output
    let column = try #require(text.firstMatch(of: /ticks, (\d+) ticks? a column/)).1
    #expect(try #require(Int(column)) < 20, "\(text)")
  }
}
