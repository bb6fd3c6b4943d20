public import CostFit
internal import KVMTypes
public import Stage2Replay

/// A cost model fitted to the recorded durations of one or more recordings, and how far off it is on durations that the
/// fit did not see.
public struct Calibration: Sendable {
  /// Which durations are held out to check the fit.
  public enum HoldOut: Hashable, Sendable {
    /// The second half of each operation's calls, as a prediction of what comes next would have it. A host that gets
    /// faster or slower in the course of a recording, as an emulator does while it translates code, is an error here.
    case half
    /// Every other call.
    case alternate
  }

  /// One operation.
  public struct Row: Sendable {
    /// Its name.
    public var name: String
    /// The calls that the fit used, and those held out.
    public var fitted: Int
    /// The calls held out.
    public var checked: Int
    /// What the calls held out took together, recorded and modelled.
    public var recordedNs: UInt64
    /// What the model says of them.
    public var modelledNs: UInt64
    /// The mean of the calls held out relative to that of the others, less 1: what the host itself changed.
    public var drift: Double?
    /// The modelled total relative to the recorded one, less 1.
    public var error: Double?
  }

  /// The model.
  public let model: CostModel
  /// By operation, those with calls on both sides.
  public let rows: [Row]

  /// Fits a model to the timings of replays.
  public init(name: String, source: String, _ results: [ReplayResult], holdOut: HoldOut) {
    let kinds = OperationKind.allCases
    var calibration = CostCalibration(operations: kinds.map(\.name))
    var means = Array(repeating: (fit: Mean(), check: Mean()), count: kinds.count)
    for result in results {
      let timings = result.agreement?.timings ?? []
      var totals = Array(repeating: 0, count: kinds.count)
      for timing in timings { totals[Int(timing.kind.rawValue)] += 1 }
      var seen = Array(repeating: 0, count: kinds.count)
      for timing in timings {
        let kind = Int(timing.kind.rawValue)
        let isHeldOut = holdOut == .half ? seen[kind] >= totals[kind] / 2 : seen[kind] % 2 == 1
        seen[kind] += 1
        calibration.add(
          kind, timing.work, time: timing.duration, for: isHeldOut ? .check : .fit)
        if isHeldOut {
          means[kind].check.add(timing.duration.rawValue)
        } else {
          means[kind].fit.add(timing.duration.rawValue)
        }
      }
    }
    let model = calibration.model(name: name, source: source)
    self.model = model
    rows = kinds.compactMap { kind in
      guard let quality = model.quality?.operations[kind.name], quality.checked > 0, quality.fitted > 0 else {
        return nil
      }
      let mean = means[Int(kind.rawValue)]
      return Row(
        name: kind.name, fitted: quality.fitted, checked: quality.checked,
        recordedNs: quality.recorded.rawValue, modelledNs: quality.modelled.rawValue,
        drift: mean.fit.value.flatMap { fit in mean.check.value.map { $0 / fit - 1 } },
        error: quality.relativeError)
    }
  }

  private struct Mean {
    var count = 0
    var total: UInt64 = 0
    var value: Double? { count > 0 && total > 0 ? Double(total) / Double(count) : nil }

    mutating func add(_ value: UInt64) {
      count += 1
      total += value
    }
  }

  /// The calibration as a page of text.
  public var text: String {
    var page = TextPage()
    page.title(model.name)
    page.table(
      header: ["term", "ns", "standard error", ""], alignRight: [false, true, true, false],
      rows: CostDriver.allCases.compactMap { driver in
        model.drivers[driver].map { Self.cells(driver.rawValue, $0) }
      } + model.operations.sorted { $0.key < $1.key }.map { Self.cells($0.key, $0.value) })
    page.blank()
    page.line("the operations that the fit did not see")
    page.table(
      header: ["operation", "fitted", "held out", "recorded", "modelled", "error", "drift of the host"],
      alignRight: [false, true, true, true, true, true, true],
      rows: rows.map { row in
        [
          row.name, Quantity.count(row.fitted), Quantity.count(row.checked),
          Quantity.duration(row.recordedNs),
          Quantity.duration(row.modelledNs), Quantity.signedPercent(row.error),
          Quantity.signedPercent(row.drift),
        ]
      })
    page.blank()
    page.line(
      "drift: how much longer the operations held out took than the others, on average. A constant for each")
    page.line("operation would be wrong by that much; emulated hosts drift most.")
    return page.text
  }

  private static func cells(_ name: String, _ value: CostValue) -> [String] {
    [
      name, Quantity.decimal(UInt64((value.nanoseconds * 10).rounded()), by: 10, digits: 1),
      value.standardError.map { Quantity.decimal(UInt64(($0 * 10).rounded()), by: 10, digits: 1) } ?? "",
      value.source,
    ]
  }
}
