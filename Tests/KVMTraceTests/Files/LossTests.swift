import Foundation
import KVMTrace
import KVMTypes
import Testing
import TraceSynth
import UnnamedFiles

/// Events that the kernel lost because its buffer was full.
@Suite("Lost events")
struct LossTests {
  static let flavours = [
    TraceFlavour(), TraceFlavour(compression: .zstd),
    TraceFlavour(version: .v6, byteOrder: .big, userLongBytes: 4, kernelLongBytes: 4),
  ]

  private func page(
    _ flavour: TraceFlavour, at time: UInt64, _ missed: SubBufferPageBuilder.Missed
  ) -> [UInt8] {
    TraceBuilding.page(flavour, at: time) { page in
      page.event(TraceBuilding.entry(flavour), delta: 0)
      page.event(TraceBuilding.entry(flavour), delta: 1)
      page.missed = missed
    }
  }

  @Test("a loss stands before the first event of its page", arguments: flavours)
  func located(flavour: TraceFlavour) throws {
    let bytes = try TraceBuilding.file(
      flavour,
      pages: [
        [
          page(flavour, at: 100, .none), page(flavour, at: 300, .counted(12)),
          page(flavour, at: 500, .unknown),
        ],
        [page(flavour, at: 200, .none)],
      ])
    let reading = try Reading(bytes)
    #expect(reading.damage.isEmpty)
    let losses = reading.events.filter { $0.kind == .lost }
    #expect(losses.map(\.time) == [300, 500])
    #expect(losses.map { $0.record.lostCount } == [12, nil])
    #expect(losses.map(\.cpu) == [0, 0] && losses.allSatisfy { $0.payload.isEmpty && $0.tid == -1 })
    #expect(
      reading.events.map(\.kind) == [
        .entry, .entry, .entry, .entry, .lost, .entry, .entry, .lost, .entry, .entry,
      ])

    let statistics = reading.statistics
    #expect(statistics.total == 8, "a loss is no event")
    #expect(statistics.lossCount == 2 && statistics.lostTotal == 12)
    #expect(statistics.losses.map(\.count) == [12, nil])
    #expect(statistics.losses.map(\.before.rawValue) == [300, 500])
  }

  @Test(
    "losses are told whatever is selected",
    arguments: [EventSelection.replay(probes: false), .replay(probes: true)])
  func selected(selection: EventSelection) throws {
    let flavour = TraceFlavour()
    let reading = try Reading(
      try TraceBuilding.file(flavour, pages: [[page(flavour, at: 300, .counted(3))]]), selection)
    #expect(reading.statistics.lossCount == 1 && reading.statistics.lostTotal == 3)
    #expect(reading.events.contains { $0.kind == .lost })
  }

  @Test("losses whose sum no number holds are not few")
  func greatest() throws {
    let flavour = TraceFlavour()
    let pages = [UInt64.max, 2].enumerated().map { position, count in
      page(flavour, at: UInt64(100 * position), .counted(count))
    }
    let reading = try Reading(try TraceBuilding.file(flavour, pages: [pages, pages]))
    #expect(reading.statistics.lossCount == 4 && reading.statistics.lostTotal == .max)
  }

  @Test("a full page has no room for the number of lost events", arguments: flavours)
  func fullPage(flavour: TraceFlavour) throws {
    let full = TraceBuilding.page(flavour, at: 100) { page in
      page.event(TraceBuilding.entry(flavour), delta: 0)
      page.raw([UInt8](repeating: 0, count: page.room - 4))
      page.commitOverride = UInt64(flavour.pageDataBytes) | 3 << 30
    }
    let reading = try Reading(try TraceBuilding.file(flavour, pages: [[full]]))
    #expect(reading.statistics.losses.map(\.count) == [nil])
  }

  @Test("trace-cmd knows of the same losses", .enabled(if: TraceCmd.path != nil, TraceCmd.missing))
  func asTraceCmd() throws {
    let flavour = TraceFlavour()
    let file = try UnnamedFile(
      try TraceBuilding.file(
        flavour,
        pages: [
          [
            page(flavour, at: 100, .none), page(flavour, at: 300, .counted(12)),
            page(flavour, at: 500, .unknown),
          ],
          [page(flavour, at: 200, .counted(1))],
        ]))
    let report = try TraceCmd.rawReport(file.path)
    let trace = try TraceFile(path: file.path)
    let problems = report.withUnsafeBytes { bytes in
      var comparison = ReportComparison(trace, ReportLines(bytes))
      comparison.run()
      return comparison.problems
    }
    #expect(problems.isEmpty, "\(problems)")
  }
}
