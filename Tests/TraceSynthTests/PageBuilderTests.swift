import Testing
import TraceSynth

/// Pages with everything that a ring buffer can hold, read by another program.
@Suite("Sub-buffer pages", .enabled(if: TraceCmd.path != nil, TraceCmd.missing))
struct PageBuilderTests {
  static let flavours = [
    TraceFlavour(), TraceFlavour(version: .v6, byteOrder: .big),
    TraceFlavour(byteOrder: .big, userLongBytes: 4, kernelLongBytes: 4, pageBytes: 16384),
    TraceFlavour(version: .v6, userLongBytes: 4, kernelLongBytes: 4),
  ]

  private func entry(_ pc: UInt64, _ flavour: TraceFlavour) -> [UInt8] {
    KVMEventFormats.entry.payload([pc], pid: 9, flavour: flavour)
  }

  private func report(_ flavour: TraceFlavour, _ pages: [[UInt8]]) throws -> TraceCmd.Report {
    let writer = TraceDatWriter(TraceDescription(flavour, cpus: 1))
    for page in pages { try writer.append(page, cpu: 0) }
    return try TraceCmd.report(try writer.bytes())
  }

  private func seen(_ report: TraceCmd.Report) -> [[UInt64]] {
    report.events.map { [$0.nanoseconds, $0.addresses.first ?? 0] }
  }

  @Test("Extends, stamps, discarded events and padding move the time as they should", arguments: flavours)
  func records(_ flavour: TraceFlavour) throws {
    var page = SubBufferPageBuilder(flavour, timestamp: 1_000_000_000)
    page.event(entry(1, flavour), delta: 5)
    page.timeExtend(1 << 40)
    page.event(entry(2, flavour), delta: 7)
    page.discarded(payloadBytes: 16, delta: 100)
    page.event(entry(3, flavour), delta: 1, longForm: true)
    page.absoluteStamp(2_000_000_000_000_000)
    page.event(entry(4, flavour), delta: 0)
    page.paddingToEnd()
    #expect(page.events == 4)
    #expect(page.timestamp == 2_000_000_000_000_000)
    let start: UInt64 = 1_000_000_005
    let expected: [[UInt64]] = [
      [start, 1], [start + (1 << 40) + 7, 2], [start + (1 << 40) + 108, 3], [2_000_000_000_000_000, 4],
    ]
    #expect(seen(try report(flavour, [page.finish()])) == expected)
  }

  @Test("Automatic stamps reach any time, also backwards", arguments: flavours)
  func automatic(_ flavour: TraceFlavour) throws {
    let times: [UInt64] = [
      5_000_000_000, 5_000_000_001, 5_134_217_728, 5_400_000_000, 5_300_000_000, 1 << 45,
    ]
    var page = SubBufferPageBuilder(flavour, timestamp: 0)
    for (index, time) in times.enumerated() {
      let fits = page.append(entry(UInt64(index), flavour), at: time)
      #expect(fits)
    }
    let events = try report(flavour, [page.finish()]).events
    #expect(events.map(\.nanoseconds) == times)
  }

  @Test("A full page refuses an event and keeps what it has")
  func full() throws {
    let flavour = TraceFlavour()
    var page = SubBufferPageBuilder(flavour, timestamp: 100)
    var count = 0
    while page.append(entry(UInt64(count), flavour), at: 100 + UInt64(count)) { count += 1 }
    // 20 bytes each of the 4080.
    #expect(count == 204)
    #expect(try report(flavour, [page.finish()]).events.count == count)
  }

  @Test("Missed events show with their number, or without", arguments: flavours)
  func missed(_ flavour: TraceFlavour) throws {
    var pages: [[UInt8]] = []
    let marks: [SubBufferPageBuilder.Missed] = [.none, .counted(123), .unknown, .none]
    for (index, mark) in marks.enumerated() {
      var page = SubBufferPageBuilder(flavour, timestamp: UInt64(index + 1) * 1_000_000)
      page.missed = mark
      page.event(entry(UInt64(index), flavour), delta: 1)
      pages.append(page.finish())
    }
    let report = try report(flavour, pages)
    #expect(report.events.count == 4)
    #expect(report.losses.count == 2)
    #expect(report.losses.first?.contains("[123 EVENTS DROPPED]") == true, "\(report.losses)")
    #expect(report.losses.last?.contains("[EVENTS DROPPED]") == true, "\(report.losses)")
  }

  @Test("A number of missed events that has no room is left out")
  func missedWithoutRoom() throws {
    let flavour = TraceFlavour()
    var page = SubBufferPageBuilder(flavour, timestamp: 100)
    page.missed = .counted(5)
    page.raw([UInt8](repeating: 0, count: page.room - 4))
    #expect(!page.storesMissedCount)
    // commit, little-endian: bit 31 without bit 30.
    #expect(page.finish()[11] == 0x80)
  }

  @Test("The commit word can lie")
  func commitOverride() {
    var page = SubBufferPageBuilder(TraceFlavour(), timestamp: 0)
    page.commitOverride = 0x1234
    #expect(Array(page.finish()[8..<16]) == [0x34, 0x12, 0, 0, 0, 0, 0, 0])
  }
}
