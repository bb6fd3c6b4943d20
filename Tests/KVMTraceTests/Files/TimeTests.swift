import Foundation
import KVMTrace
import Testing
import TraceSynth
import UnnamedFiles

/// Stamps: how pages store them and what options make of them.
@Suite("Time")
struct TimeTests {
  static let flavours = [
    TraceFlavour(), TraceFlavour(version: .v6, byteOrder: .big, userLongBytes: 4, kernelLongBytes: 4),
  ]

  private func times(
    _ flavour: TraceFlavour, at start: UInt64, _ body: (inout SubBufferPageBuilder) -> Void
  ) throws
    -> [UInt64]
  {
    let reading = try Reading(
      try TraceBuilding.file(flavour, pages: [[TraceBuilding.page(flavour, at: start, body)]]))
    #expect(reading.damage.isEmpty)
    return reading.events.map(\.time)
  }

  @Test("time extends add to the stamp", arguments: flavours)
  func extends(flavour: TraceFlavour) throws {
    let read = try times(flavour, at: 1000) { page in
      page.event(TraceBuilding.entry(flavour), delta: 0)
      page.timeExtend((1 << 40) + 5)
      page.event(TraceBuilding.entry(flavour), delta: 7)
      page.timeExtend(1 << 27)
      page.timeExtend(1)
      page.event(TraceBuilding.entry(flavour), delta: 0)
    }
    let second = 1012 + UInt64(1) << 40
    #expect(read == [1000, second, second + 1 << 27 + 1])
  }

  @Test("absolute stamps replace all but the top five bits", arguments: flavours)
  func absolute(flavour: TraceFlavour) throws {
    let top = UInt64(0b10110) << 59
    let read = try times(flavour, at: top + 1000) { page in
      page.event(TraceBuilding.entry(flavour), delta: 0)
      page.absoluteStamp(5_000_000_000)
      page.event(TraceBuilding.entry(flavour), delta: 3)
    }
    // The events of the page keep their order, whatever their stamps say.
    #expect(read == [top + 1000, top + 5_000_000_003])
  }

  @Test("discarded events move the time on", arguments: flavours)
  func discarded(flavour: TraceFlavour) throws {
    let read = try times(flavour, at: 1000) { page in
      page.event(TraceBuilding.entry(flavour), delta: 0)
      page.discarded(payloadBytes: 24, delta: 10)
      page.discarded(payloadBytes: 0, delta: 1)
      page.event(TraceBuilding.entry(flavour), delta: 5)
    }
    #expect(read == [1000, 1016])
  }

  @Test("padding ends a page", arguments: flavours)
  func padding(flavour: TraceFlavour) throws {
    let read = try times(flavour, at: 1000) { page in
      page.event(TraceBuilding.entry(flavour), delta: 0)
      page.paddingToEnd()
      page.event(TraceBuilding.entry(flavour), delta: 5)
    }
    #expect(read == [1000])
  }

  @Test("an event in the long form is one in the short form", arguments: flavours)
  func longForm(flavour: TraceFlavour) throws {
    let read = try times(flavour, at: 1000) { page in
      page.event(TraceBuilding.entry(flavour), delta: 1, longForm: true)
      page.event(TraceBuilding.entry(flavour), delta: 1)
    }
    #expect(read == [1001, 1002])
  }

  @Test(
    "what trace-cmd makes of the same pages", .enabled(if: TraceCmd.path != nil, TraceCmd.missing),
    arguments: flavours)
  func asTraceCmd(flavour: TraceFlavour) throws {
    let page = TraceBuilding.page(flavour, at: 1000) { page in
      page.event(TraceBuilding.entry(flavour), delta: 0)
      page.timeExtend((1 << 40) + 5)
      page.event(TraceBuilding.entry(flavour), delta: 7)
      page.discarded(payloadBytes: 24, delta: 10)
      page.event(TraceBuilding.entry(flavour), delta: 5, longForm: true)
      page.absoluteStamp(1 << 50)
      page.event(TraceBuilding.entry(flavour), delta: 3)
      page.paddingToEnd()
      page.event(TraceBuilding.entry(flavour), delta: 5)
    }
    let file = try UnnamedFile(try TraceBuilding.file(flavour, pages: [[page], [page]]))
    let report = try TraceCmd.rawReport(file.path)
    let trace = try TraceFile(path: file.path)
    let problems = report.withUnsafeBytes { bytes in
      var comparison = ReportComparison(trace, ReportLines(bytes))
      comparison.run()
      return comparison.problems
    }
    #expect(problems.isEmpty, "\(problems)")
  }

  /// Options and what they make of the stamps 1000 and 2000.
  static let conversions: [(options: [TraceOption], times: [UInt64])] = [
    ([], [1000, 2000]),
    ([.offset(nanoseconds: 5)], [1005, 2005]),
    ([.offset(nanoseconds: -5)], [995, 1995]),
    ([.date(microseconds: 3)], [4000, 5000]),
    ([.date(microseconds: 3), .offset(nanoseconds: -1)], [3999, 4999]),
    ([.ticksToNanoseconds(multiplier: 3, shift: 1, offset: 77)], [1500, 3000]),
    // First to nanoseconds, then the offset.
    (
      [.offset(nanoseconds: 10), .ticksToNanoseconds(multiplier: 1 << 31, shift: 32, offset: 0)], [510, 1010]
    ),
    ([.raw(id: 999, bytes: [1, 2, 3]), .raw(id: 6, bytes: []), .offset(nanoseconds: 1)], [1001, 2001]),
  ]

  @Test("options that shift and scale", arguments: conversions.indices, [TraceFlavour.Version.v6, .v7])
  func options(index: Int, version: TraceFlavour.Version) throws {
    let flavour = TraceFlavour(version: version)
    let (options, times) = Self.conversions[index]
    let page = TraceBuilding.entries([1000, 2000], flavour)
    let reading = try Reading(try TraceBuilding.file(flavour, options: options, pages: [[page]]))
    #expect(reading.damage.isEmpty)
    #expect(reading.events.map(\.time) == times)
  }

  @Test(
    "an option that is too short is damage, and the rest is read", arguments: [TraceFlavour.Version.v6, .v7])
  func shortOption(version: TraceFlavour.Version) throws {
    let flavour = TraceFlavour(version: version)
    let reading = try Reading(
      try TraceBuilding.file(
        flavour, options: [.raw(id: 14, bytes: [1, 2]), .offset(nanoseconds: 1)],
        pages: [[TraceBuilding.entries([1000], flavour)]]))
    #expect(reading.damage.map(\.what) == ["option 14 is shorter than it must be"])
    #expect(reading.events.map(\.time) == [1001])
  }
}
