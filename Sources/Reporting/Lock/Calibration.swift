public import CostFit
internal import KVMTypes
public import Stage2Replay

/// A cost model fitted to the recorded durations of one or more recordings, and how far off it is on durations that the
/// fit did not see.
///
/// It is checked twice. On what comes later, as a prediction would have it: a host that gets faster or slower in the
/// course of a recording, as an emulator does while it translates code, is an error there. And on durations that lie among
/// those fitted to, where such a change is on both sides: that error is the model's own.
public struct Calibration: Sendable {
  /// Which durations are held out to check a fit.
  enum HoldOut: Hashable, Sendable {
    /// The second half of each operation's calls.
    case secondHalf
    /// The calls whose number has an odd number of ones in binary (the Thue-Morse sequence): half of them. Both sides
    /// have the same share of any slow change, and nothing periodic in the workload falls on one of them, as it would if
    /// every other call were held out.
    case interleaved

    /// What reports call it.
    var name: String {
      switch self {
      case .secondHalf: "the second half of each operation's calls"
      case .interleaved: "calls among those fitted to"
      }
    }

    /// Whether the call `index` of `count` is held out.
    func contains(_ index: Int, of count: Int) -> Bool {
      switch self {
      case .secondHalf: index >= count / 2
      case .interleaved: !index.nonzeroBitCount.isMultiple(of: 2)
      }
    }
  }

  /// The model, fitted to the first half of each operation's calls, with both checks.
  public let model: CostModel

  /// Fits a model to the timings of replays.
  public init(name: String, source: String, _ results: [ReplayResult]) {
    var model = Self.fit(results, .secondHalf, name: name, source: source)
    model.interleavedQuality = Self.fit(results, .interleaved, name: name, source: source).quality
    self.model = model
  }

  /// Whether there is no operation with calls on both sides.
  public var isEmpty: Bool { Self.checked(model.quality).isEmpty }

  private static func fit(
    _ results: [ReplayResult], _ holdOut: HoldOut, name: String, source: String
  ) -> CostModel {
    let kinds = OperationKind.allCases
    var calibration = CostCalibration(operations: kinds.map(\.name))
    for result in results {
      let timings = result.agreement?.timings ?? []
      var totals = Array(repeating: 0, count: kinds.count)
      for timing in timings { totals[Int(timing.kind.rawValue)] += 1 }
      var seen = Array(repeating: 0, count: kinds.count)
      for timing in timings {
        let kind = Int(timing.kind.rawValue)
        calibration.add(
          kind, timing.work, time: timing.duration,
          for: holdOut.contains(seen[kind], of: totals[kind]) ? .check : .fit)
        seen[kind] += 1
      }
    }
    var model = calibration.model(name: name, source: source)
    model.quality?.heldOut = holdOut.name
    return model
  }

  /// The operations with calls on both sides, by name.
  private static func checked(_ quality: CostQuality?) -> [(name: String, CostQuality.Operation)] {
    (quality?.operations ?? [:]).filter { $0.value.fitted > 0 && $0.value.checked > 0 }
      .sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }

  /// The calibration as a page of text for a file or a pipe.
  public var text: String { text(in: .filed) }

  /// The calibration as a page of text.
  public func text(in form: PageForm) -> String {
    var page = TextPage(form, elsewhere: "--output for the terms, a file or pipe for the rest")
    page.title(model.name)
    page.table(
      header: ["term", "ns", "standard error", ""], alignRight: [false, true, true, false],
      rows: CostDriver.allCases.compactMap { driver in
        model.drivers[driver].map { Self.cells(driver.rawValue, $0) }
      } + model.operations.sorted { $0.key < $1.key }.map { Self.cells($0.key, $0.value) })
    let unknown = CostDriver.allCases.filter { $0 != .operation && model.drivers[$0] == nil }
    if !unknown.isEmpty {
      page.line(
        "unknown, for no calls or too few have it: \(unknown.map(\.rawValue).joined(separator: ", "))")
    }
    for quality in [model.quality, model.interleavedQuality] {
      page.blank()
      page.heading("checked on \(quality?.heldOut ?? "")")
      let checked = Self.checked(quality)
      page.table(
        header: ["operation", "fitted", "held out", "recorded", "modelled", "error", ""],
        alignRight: [false, true, true, true, true, true, false], rows: checked.map(Self.cells),
        spare: [SpareColumns([6], called: "what chance makes of the error"), 1, 2, 3, 4])
      page.table(
        header: ["operation", "own error", "drift", "stalled", "of all time"],
        alignRight: [false, true, true, true, true], rows: checked.map(Self.causes))
    }
    page.blank()
    page.line(DurationCaveat.ofSeveral)
    page.line("error: modelled against recorded time, and what chance makes of it (one standard error).")
    page.line("own error: modelled time against that of fitted calls with the same work. The model's fault.")
    page.line("drift: recorded time against that of fitted calls with the same work. The host's.")
    page.line(
      "stalled: took more than \(Int(CostCalibration.stallFactor)) times as long as expected, such as while the host ran "
        + "something else. They are left out of all times above; the last column is their share of the recorded time of the "
        + "calls held out.")
    return page.rendered
  }

  private static func cells(_ name: String, _ value: CostValue) -> [String] {
    [
      name, Quantity.decimal(UInt64(nearest: value.nanoseconds * 10), by: 10, digits: 1),
      value.standardError.map { Quantity.decimal(UInt64(nearest: $0 * 10), by: 10, digits: 1) } ?? "",
      value.source,
    ]
  }

  private static func cells(_ name: String, _ operation: CostQuality.Operation) -> [String] {
    [
      name, Quantity.count(operation.fitted), Quantity.count(operation.checked),
      Quantity.duration(operation.recorded.rawValue), Quantity.duration(operation.modelled.rawValue),
      Quantity.signedPercent(operation.relativeError), chance(operation.standardError),
    ]
  }

  /// Whose fault an error is.
  private static func causes(_ name: String, _ operation: CostQuality.Operation) -> [String] {
    let all = (operation.recorded + operation.stalledTime).rawValue
    return [
      name, Quantity.signedPercent(operation.ownError), Quantity.signedPercent(operation.drift),
      Quantity.count(operation.stalled),
      Quantity.share(all == 0 ? 0 : Double(operation.stalledTime.rawValue) / Double(all)),
    ]
  }

  /// A standard error as it follows the error.
  static func chance(_ standardError: Double?) -> String {
    standardError.map { "+- " + Quantity.share($0) } ?? ""
  }
}
