import KVMTrace
import KVMTypes
import Stage2Replay
import Testing

@testable import Reporting

@Suite("Comparison and thresholds")
struct ComparisonTests {
  static func metric(
    _ name: String, _ least: Double, _ most: Double? = nil, _ basis: Basis = .derived
  ) -> Metric {
    Metric(name: name, unit: .count, least: least, most: most ?? least, basis: basis)
  }

  static func row(_ before: Metric, _ after: Metric) -> Comparison.Row {
    compare([before], [after]).rows[0]
  }

  static func compare(_ before: [Metric], _ after: [Metric]) -> Comparison {
    Comparison(.kernels, .init("a", [before]), .init("b", [after]))
  }

  /// A figure of recordings.
  static func recorded(_ before: [Double], _ after: [Double], _ name: String = "x") -> Comparison.Row {
    func side(_ values: [Double]) -> Comparison.Side { .init("s", values.map { [metric(name, $0)] }) }
    return Comparison(.recordings, side(before), side(after)).rows[0]
  }

  @Test("A difference is absolute and relative, a range where a side is one")
  func differences() throws {
    let exact = Self.row(Self.metric("x", 100), Self.metric("x", 150))
    #expect(try #require(exact.difference) == (50, 50))
    #expect(try #require(exact.relative) == (0.5, 0.5))
    #expect(exact.kind == .exact && exact.verdict == .differs)
    let open = Self.row(Self.metric("x", 100, 200), Self.metric("x", 150))
    #expect(try #require(open.difference) == (-50, 50))
    #expect(try #require(open.relative) == (-0.25, 0.5))
    #expect(open.kind == .range && open.verdict == .mayDiffer)
    #expect(Self.row(Self.metric("x", 0), Self.metric("x", 5)).relative == nil)
  }

  @Test("A figure over VMs is their sum, but for a depth, of which it is the greatest")
  func overVMs() throws {
    let trace = try TraceFile(path: Recordings.path("pkvm-hvhe-7.3.4-protected-guest"))
    let (result, statistics) = try Replay.run(trace, profile: ProfileRequest(), options: ReplayOptions())
    let metrics = Metric.metrics([result], statistics)
    func figure(_ name: String) throws -> Double { try #require(metrics.first { $0.name == name }).most }
    let memory = ReplayReport(trace, statistics, result).vms.map(\.memory)
    let depths = memory.compactMap { $0.treeDepth?.max }
    #expect(depths.count > 1 && Set(depths).count > 1)
    #expect(try figure("memory.treeDepth.max") == Double(try #require(depths.max())))
    let peaks = memory.compactMap { $0.mappings?.peak }
    #expect(try figure("memory.mappings.peak") == Double(peaks.reduce(0, +)))
  }

  @Test("Shares differ by percentage points")
  func points() {
    func side(_ value: Double) -> Comparison.Side {
      .init(
        "s", [[Metric(name: "lock.utilisation", unit: .share, least: value, most: value, isMeasured: true)]])
    }
    let text = Comparison(.recordings, side(0.02), side(0.001)).text(all: true)
    #expect(text.contains("-1.9 pp") && !text.contains("-1.9 %"), "\(text)")
  }

  @Test("A difference and its noise have digits enough to tell which is more")
  func digits() throws {
    let (before, after) = ([10.0, 10, 10, 11, 11, 11], [12.0, 12, 12, 13, 13, 13])
    let row = Self.recorded(before, after)
    let noise = try #require(row.noise)
    func side(_ values: [Double]) -> Comparison.Side { .init("s", values.map { [Self.metric("x", $0)] }) }
    let text = Comparison(.recordings, side(before), side(after)).text(all: true)
    // 2 is more than 1.002, which rounds to another number.
    #expect(noise < 2 && text.contains("+2 "), "\(text)")
    let near = Comparison(.recordings, side([1, 1, 1, 1]), side([2, 2, 2, 3])).text(all: true)
    #expect(near.contains("+1.3") && near.contains("+-0.9"), "\(near)")
  }

  @Test("What a threshold found is a number or percents, a range where the difference is one")
  func found() throws {
    let comparison = Self.compare(
      [Self.metric("faults.total", 100, 200)], [Self.metric("faults.total", 200, 300)])
    #expect(comparison.found(try Threshold("faults.total>+5%")) == "+0.0 % to +200.0 %")
    #expect(comparison.found(try Threshold("faults.total>5")) == "0 to +200")
    #expect(comparison.metrics(near: "fault.totl") == ["faults.total"])
  }

  @Test("Exact is what both sides decide; what is assumed on either is not, nor is any recording")
  func exactness() {
    let (sure, guess) = (Self.metric("x", 1), Self.metric("x", 1, nil, .assumed))
    #expect(Self.row(sure, sure).kind == .exact)
    #expect(Self.row(sure, guess).kind == .assumed)
    #expect(Self.row(guess, sure).kind == .assumed)
    #expect(Self.recorded([1], [1]).kind == .measured)
    #expect(Self.recorded([1, 1], [1, 1]).kind == .measured)
    let report = ComparisonReport(
      Comparison(.recordings, .init("a", [[sure]]), .init("b", [[sure]])), exceeded: [])
    #expect(report.metrics["x"]?.exact == false)
  }

  @Test(
    "What only one side has is compared with nothing, but a time that was not recorded with nothing at all")
  func oneSided() {
    let comparison = Self.compare([Self.metric("x", 1)], [Self.metric("y", 2)])
    #expect(comparison.rows.map(\.metric.name) == ["x", "y"])
    #expect(comparison.rows.map { $0.before?.most } == [1, 0])
    #expect(comparison.rows.map { $0.after?.most } == [0, 2])
    let time = Metric(name: "lock.write.heldNs", unit: .nanoseconds, least: 7, most: 7, isMeasured: true)
    let unknown = Self.compare([time], [Self.metric("x", 1)]).rows[0]
    #expect(unknown.after == nil && unknown.difference == nil)
    #expect(unknown.kind == .unknown && unknown.verdict == .unknown)
  }

  @Test("What a trace tells nothing of is unknown, not 0")
  func untold() {
    let whole = [
      Self.metric("vms", 1), Self.metric("faults.total", 7), Self.metric("memory.mappings.peak", 5),
    ]
    let blind = [Self.metric("vms", 1), .unknown("faults.total"), .unknown("memory.mappings.peak")]
    let rows = Self.compare(whole, blind).rows
    #expect(rows.map(\.kind) == [.exact, .unknown, .unknown])
    // A recording without a VM tells nothing at all.
    let none = Self.compare(whole, [])
    #expect(none.rows.count == 3 && none.rows.allSatisfy { $0.kind == .unknown && $0.relative == nil })
    let text = none.text(all: false)
    #expect(
      text.contains("3 figures are unknown on one of the sides") && !text.contains("the same"), "\(text)")
  }

  @Test("One recording a side has no noise floor, and no verdict")
  func noFloor() {
    let row = Self.recorded([100], [150])
    #expect(row.noise == nil && row.verdict == .noNoiseFloor)
    #expect(row.difference?.least == 50 && row.difference?.most == 50)
    #expect(Self.recorded([100], [100]).verdict == .same)
  }

  @Test("Student's t, from the tables")
  func quantiles() {
    #expect(NoiseFloor.quantile(1) == 63.657 && NoiseFloor.quantile(4) == 4.604)
    #expect(abs(NoiseFloor.quantile(30) - 2.750) < 0.001)
    #expect(abs(NoiseFloor.quantile(1000) - 2.581) < 0.001)
  }

  @Test("The floor is t times the standard error of the difference of the means")
  func floor() throws {
    // Variances 100 and 100 within, so 10 * sqrt(2/3) * 4.604.
    let row = Self.recorded([90, 100, 110], [190, 200, 210])
    #expect(abs(try #require(row.noise) - 37.59) < 0.01)
    #expect(row.verdict == .differs)
    #expect(Self.recorded([90, 100, 110], [110, 120, 130]).verdict == .withinNoise)
    // Far enough on average, and yet one value of one side lies among those of the other.
    #expect(Self.recorded([1, 2, 1, 2, 1, 9], [8, 12, 12, 12, 12, 12]).verdict == .withinNoise)
    #expect(Self.recorded([5, 5, 5], [5, 5, 5]).verdict == .same)
  }

  @Test("Counts that happen not to move within a side are not sure to a fraction")
  func rounding() {
    #expect(Self.recorded([5, 5, 5], [6, 6, 6]).verdict == .withinNoise)
    #expect(Self.recorded([5, 5, 5], [7, 7, 7]).verdict == .differs)
    #expect(Self.recorded([5, 5], [7, 7]).verdict == .withinNoise)
  }

  @Test(
    "A threshold is exceeded by what lies beyond it, not by the bound itself",
    arguments: [
      ("x>+5%", true), ("x>5%", true), ("x>+10%", false), ("x>9", true), ("x>10", false), ("x<0", false),
      ("x<11", true), ("x<-5%", false), ("possibly x>9", true), ("possibly x>10", false),
    ])
  func thresholds(text: String, fails: Bool) throws {
    let threshold = try Threshold(text)
    #expect(threshold.fails(Self.row(Self.metric("x", 100), Self.metric("x", 110))) == fails)
  }

  @Test("From nothing to something is beyond any percentage")
  func fromNothing() throws {
    let row = Self.row(Self.metric("x", 0), Self.metric("x", 1))
    #expect(try Threshold("x>+1000%").fails(row))
    #expect(try !Threshold("x<-1%").fails(row))
    #expect(try !Threshold("x>+1%").fails(Self.row(Self.metric("x", 0), Self.metric("x", 0))))
    let open = Self.row(Self.metric("x", 0, 10), Self.metric("x", 1))
    #expect(try !Threshold("certainly x>+1000%").fails(open) && Threshold("x>+1000%").fails(open))
    #expect(try Threshold("possibly x<-50%").fails(open))
  }

  @Test("A range exceeds a threshold as soon as a part of it does, and certainly if all of it does")
  func ranges() throws {
    let row = Self.row(Self.metric("x", 100), Self.metric("x", 105, 120))
    for (text, fails) in [
      ("certainly x>+4%", true), ("certainly x>+10%", false), ("x>+10%", true), ("possibly x>+20%", false),
      ("certainly x<+21%", true), ("certainly x<+10%", false), ("x<+10%", true), ("possibly x<+5%", false),
    ] {
      #expect(try Threshold(text).fails(row) == fails, "\(text)")
    }
  }

  @Test("Noise is a range, too; without a floor the difference counts as it is")
  func noiseAndThresholds() throws {
    let row = Self.recorded([90, 100, 110], [190, 200, 210])
    #expect(try Threshold("x>+60%").fails(row) && !Threshold("x>+70%").fails(row))
    #expect(try Threshold("possibly x>+130%").fails(row) && !Threshold("possibly x>+140%").fails(row))
    #expect(try Threshold("x>+49%").fails(Self.recorded([100], [150])))
  }

  @Test(
    "What is no threshold is refused with a reason",
    arguments: ["", "x", "x>", "x>abc", ">5", "x>5%%", "x<nan", "possibly x", "possibly >5"])
  func syntax(text: String) {
    #expect(throws: Threshold.SyntaxError.self) { try Threshold(text) }
  }

  @Test("A metric that neither side has is named, one that was not recorded apart")
  func unknown() throws {
    let time = Metric(name: "lock.read.waitNs", unit: .nanoseconds, least: 3, most: 3, isMeasured: true)
    let comparison = Self.compare([Self.metric("x", 1), time], [Self.metric("x", 1)])
    let checked = comparison.check(
      [try Threshold("z>1"), try Threshold("x>1"), try Threshold("lock.read.waitNs>1")])
    #expect(checked.exceeded.isEmpty && checked.unknown.map(\.metric) == ["z"])
    #expect(checked.unrecorded.map(\.metric) == ["lock.read.waitNs"])
  }

  @Test("What a recording does not tell is unknown beside any number, not nothing")
  func besideUntold() throws {
    let untold = Metric.unknown("x")
    let (threshold, neither) = (try Threshold("x>+5%"), try Threshold("y>1"))
    for sides in [([untold], [Self.metric("x", 1546)]), ([Self.metric("x", 0)], [untold])] {
      let comparison = Self.compare(sides.0 + [.unknown("y")], sides.1)
      #expect(comparison.rows.map(\.metric.name) == ["x"] && comparison.rows[0].verdict == .unknown)
      let checked = comparison.check([threshold, neither])
      #expect(
        checked.exceeded.isEmpty && checked.unrecorded == [threshold, neither] && checked.unknown.isEmpty)
    }
    // What is not there was counted, and is none.
    #expect(
      Self.compare([Self.metric("y", 1)], [Self.metric("x", 1)]).rows.allSatisfy { $0.difference != nil })
    #expect(Metric.span([[untold], [Self.metric("x", 2)]]).map(\.isUnknown) == [true])
  }

  @Test("A figure has its name in the report and may have a shorter one, in thresholds and in JSON")
  func names() throws {
    let metric = Metric(
      name: "memory.mappings.peak", otherName: "mappings.peak", unit: .count, least: 5, most: 5)
    let comparison = Self.compare([metric], [Self.metric("x", 1)])
    let thresholds = [try Threshold("mappings.peak<0"), try Threshold("memory.mappings.peak<0")]
    #expect(comparison.check(thresholds).exceeded == thresholds)
    let report = ComparisonReport(comparison, exceeded: [])
    #expect(report.metrics.keys.sorted() == ["mappings.peak", "memory.mappings.peak", "x"])
  }
}
