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

  @Test("a page whose stamps wrap around is out of time", arguments: flavours)
  func overflow(flavour: TraceFlavour) throws {
    let page = TraceBuilding.page(flavour, at: .max) { page in
      page.event(TraceBuilding.entry(flavour), delta: 0)
      page.event(TraceBuilding.entry(flavour), delta: 1000)
    }
    let reading = try Reading(try TraceBuilding.file(flavour, pages: [[page]]))
    #expect(reading.events.count == 2)
    #expect(reading.damage.count == 1 && reading.damage[0].what.contains("goes back by"))
  }

  @Test("an event that is shorter than its format is damage, and the others are read", arguments: flavours)
  func short(flavour: TraceFlavour) throws {
    let page = TraceBuilding.page(flavour, at: 1000) { page in
      page.event(TraceBuilding.entry(flavour), delta: 0)
      page.event(TraceBuilding.entry(flavour).dropLast(4), delta: 1)
      page.event(TraceBuilding.entry(flavour), delta: 1)
    }
    let reading = try Reading(try TraceBuilding.file(flavour, pages: [[page]]))
    #expect(reading.events.count == 3)
    #expect(reading.damage.count == 1 && reading.damage[0].what.contains("shorter than its format"))
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

  @Test(
    "absolute stamps pass a multiple of 2^59, forth and back", arguments: flavours, [0, 1, 4] as [UInt64])
  func wrap(flavour: TraceFlavour, upper: UInt64) throws {
    let limit = (upper + 1) << 59
    let read = try times(flavour, at: limit - 10) { page in
      page.event(TraceBuilding.entry(flavour), delta: 0)
      page.absoluteStamp(limit + 5)
      page.event(TraceBuilding.entry(flavour), delta: 1)
      page.absoluteStamp(limit - 2)
      page.event(TraceBuilding.entry(flavour), delta: 0)
      page.absoluteStamp(limit + 9)
      page.event(TraceBuilding.entry(flavour), delta: 1)
    }
    #expect(read == [limit - 10, limit + 6, limit - 2, limit + 10])
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

  // MARK: The clock of a guest

  private static let samples: [[TraceOption.TimeSample]] = [
    // One measurement; two; four, the first of which is not in order, and one that was taken twice.
    [.init(time: 1500, offset: -700)],
    [.init(time: 1000, offset: 1_000_000), .init(time: 3000, offset: 1_000_100)],
    [
      .init(time: 2500, offset: 51), .init(time: 1200, offset: -3, scaling: 5, fraction: 2),
      .init(time: 1800, offset: 40, scaling: 3, fraction: 1), .init(time: 2500, offset: 99),
      .init(time: 4000, offset: -80),
    ],
  ]
  /// What the stamps 1000, 1750, 2000 and 5000 become with the samples above: without interpolation, and with it.
  private static let shifted: [[[UInt64]]] = [
    [[300, 1050, 1300, 4300], [300, 1050, 1300, 4300]],
    [[1_001_000, 1_001_750, 1_002_000, 1_005_000], [1_001_000, 1_001_788, 1_002_050, 1_005_200]],
    [[1247, 2184, 3040, 5051], [1234, 2223, 3043, 4834]],
  ]

  private func shiftedFile(
    _ version: TraceFlavour.Version, _ samples: [[TraceOption.TimeSample]], interpolate: Bool
  ) throws -> [UInt8] {
    let flavour = TraceFlavour(version: version)
    return try TraceBuilding.file(
      flavour,
      options: [
        .timeShift(peer: 1, interpolate: interpolate, cpus: samples, withFractions: true),
        .offset(nanoseconds: 1),
      ],
      pages: samples.map { _ in [TraceBuilding.entries([1000, 1750, 2000, 5000], flavour)] })
  }

  @Test(
    "the clock of each CPU of a guest becomes its host's", arguments: [TraceFlavour.Version.v6, .v7],
    [false, true])
  func guestClock(version: TraceFlavour.Version, interpolate: Bool) throws {
    let bytes = try shiftedFile(version, Self.samples, interpolate: interpolate)
    let reading = try Reading(bytes)
    for cpu in Self.samples.indices {
      let read = reading.events.filter { $0.cpu == cpu }.map(\.time)
      #expect(read == Self.shifted[cpu][interpolate ? 1 : 0].map { $0 + 1 }, "CPU \(cpu)")
    }
    #expect(reading.damage.isEmpty)
  }

  @Test("CPUs without a measurement, and scalings without fractions")
  func fewClocks() throws {
    let flavour = TraceFlavour()
    let page = TraceBuilding.entries([1000], flavour)
    let bytes = try TraceBuilding.file(
      flavour,
      options: [
        .timeShift(
          peer: 1, interpolate: false,
          cpus: [[], [.init(time: 0, offset: 5, scaling: 2), .init(time: 9, offset: 6)]], withFractions: false
        )
      ], pages: [[page], [page], [page]])
    let reading = try Reading(bytes)
    #expect(reading.events.filter { $0.cpu == 0 }.map(\.time) == [1000])
    #expect(reading.events.filter { $0.cpu == 1 }.map(\.time) == [2005])
    #expect(reading.events.filter { $0.cpu == 2 }.map(\.time) == [1000])
  }

  @Test("a claim of more measurements than there are is damage", arguments: [3, 0xffff_ffff] as [UInt32])
  func forgedClock(count: UInt32) throws {
    var option = TraceBytes(.little)
    option.u64(1)
    option.u32(1)
    option.u32(count)
    option.u32(count)
    option.u64(7)
    let reading = try Reading(
      try TraceBuilding.file(
        options: [.raw(id: 12, bytes: option.bytes)], pages: [[TraceBuilding.entries([1000])]]))
    #expect(reading.damage.map(\.what) == ["option 12 is shorter than it must be"])
    #expect(reading.events.map(\.time) == [1000])
  }

  @Test("a clock whose offsets no clock can have is damage, and left out", arguments: [false, true])
  func wildClock(interpolate: Bool) throws {
    let wild: [TraceOption.TimeSample] = [.init(time: 0, offset: .min), .init(time: 1, offset: .max)]
    let page = TraceBuilding.entries([UInt64.max - 2000])
    let reading = try Reading(
      try TraceBuilding.file(
        options: [
          .timeShift(
            peer: 1, interpolate: interpolate, cpus: [[.init(time: 0, offset: 5)], wild], withFractions: true)
        ], pages: [[page], [page]]))
    #expect(reading.events.map(\.time) == [UInt64.max - 2000, UInt64.max - 1995])
    #expect(
      reading.damage.map(\.what) == [
        "the clock of CPU 1 was measured with offsets as far apart as no clock has them; left out"
      ])
  }

  @Test(
    "what trace-cmd makes of a guest's clock", .enabled(if: TraceCmd.path != nil, TraceCmd.missing),
    arguments: samples.indices, [false, true])
  func guestClockAsTraceCmd(index: Int, interpolate: Bool) throws {
    let file = try UnnamedFile(try shiftedFile(.v7, [Self.samples[index]], interpolate: interpolate))
    let report = try TraceCmd.rawReport(file.path)
    let trace = try TraceFile(path: file.path)
    let problems = report.withUnsafeBytes { bytes in
      var comparison = ReportComparison(trace, ReportLines(bytes))
      comparison.run()
      return comparison.problems
    }
    #expect(problems.isEmpty, "\(problems)")
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
