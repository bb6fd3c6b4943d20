import Foundation
import KVMTypes
import Reporting
import Testing

@testable import HTMLReport

@Suite("The page of a comparison")
struct ComparePageTests {
  private static func metric(
    _ name: String, _ least: Double, _ most: Double? = nil, _ unit: Metric.Unit = .count,
    _ basis: Basis = .derived
  ) -> Metric {
    Metric(name: name, unit: unit, least: least, most: most ?? least, basis: basis)
  }

  private static func kernels(_ before: [Metric], _ after: [Metric]) -> Comparison {
    func side(_ name: String, _ blocks: String, _ metrics: [Metric]) -> Comparison.Side {
      Comparison.Side(
        name, [metrics],
        of: [
          .init(name, [.init("pageSize", "4096", .recorded), .init("blockMappings", blocks, .assumed)])
        ])
    }
    var comparison = Comparison(.kernels, side("7.3", "true", before), side("6.14", "false", after))
    comparison.recording = .init("trace <1>.dat", [.init("kernel", "7.3.4", .recorded)])
    return comparison
  }

  private static func page(
    _ comparison: Comparison, _ thresholds: [String] = []
  ) throws -> String {
    let named = try thresholds.map { HTMLReport.NamedThreshold($0, try Threshold($0)) }
    return HTMLReport.page(comparison, thresholds: named, maker: "a program").source
  }

  @Test("Figures that differ are in the table and the chart, each with its kind; what is the same is folded")
  func kernels() throws {
    let comparison = Self.kernels(
      [
        Self.metric("a", 100), Self.metric("b", 100), Self.metric("c", 7), Self.metric("d", 0),
        Self.metric("e", 40, 40, .bytes, .assumed),
      ],
      [
        Self.metric("a", 150), Self.metric("b", 110, 300), Self.metric("c", 7), Self.metric("d", 5),
        Self.metric("e", 20, 20, .bytes, .assumed),
      ])
    let page = try Self.page(comparison)
    let rows = try PageReading.rows("Figures that differ", in: page, from: "differences")
    #expect(
      rows == [
        ["a", "100", "150", "+50", "+50.0 %", "exact", "derived"],
        ["b", "100", "110 .. 300", "+10 .. +200", "+10.0 % .. +200.0 %", "range", "derived"],
        ["d", "0", "5", "+5", "", "exact", "derived"],
        ["e", "40 B", "20 B", "-20 B", "-50.0 %", "assumed", "assumed"],
      ])
    let kinds = try PageReading.rows("What kind of difference it is", in: page, from: "basis")
    #expect(Set(kinds.map { $0[0] }) == ["exact", "range", "assumed"])
    let chart = try #require(page.firstMatch(of: /<figure class="chart".*?<\/figure>/)).0
    #expect(chart.matches(of: /<g class="row">/).count == 3)
    // From -50 % to 200 %: nothing is at a fifth of the width, and a range is open from its nearer end on.
    #expect(chart.contains("<rect class=\"area a0\" x=\"20%\" y=\"19\" width=\"20%\""))
    #expect(chart.contains("<rect class=\"area a4\" x=\"20%\" y=\"59\" width=\"4%\""))
    #expect(chart.contains("<rect class=\"area a1\" x=\"24%\" y=\"59\" width=\"76%\""))
    #expect(chart.contains("<rect class=\"area a2\" x=\"0%\" y=\"99\" width=\"20%\""))
    #expect(page.contains("Nothing before, or perhaps nothing, so that there is no percentage: d."))
    let folded = try #require(page.firstMatch(of: /<details>.*?<\/details>/.dotMatchesNewlines())).0
    #expect(!folded.contains(">a</th>"))
    let same = try PageReading.rows("Figures: the same on both sides", in: page, from: "others")
    #expect(
      same.map { $0[0] } == ["c"] && page.contains("<summary>1 figure: the same on both sides</summary>"))
  }

  @Test("The page says which recording and kernels were compared, and what the kernels differ in")
  func compared() throws {
    let page = try Self.page(Self.kernels([Self.metric("a", 1)], [Self.metric("a", 2)]))
    let recording = try PageReading.rows("The recording", in: page, from: "compared")
    #expect(PageReading.value("recording", recording) == "trace &lt;1&gt;.dat")
    let differing = try PageReading.rows("What the kernels differ in", in: page, from: "compared")
    #expect(differing == [["blockMappings", "true", "assumed", "false", "assumed"]])
    let common = try PageReading.rows("What the kernels have in common", in: page, from: "compared")
    #expect(common == [["pageSize", "4096", "recorded", "4096", "recorded"]])
    #expect(!page.contains("id=\"thresholds\""))
  }

  @Test("Each threshold is told with what was found and whether it is exceeded")
  func thresholds() throws {
    let comparison = Self.kernels([Self.metric("a", 100)], [Self.metric("a", 150)])
    let page = try Self.page(comparison, ["a>+5%", "a>100"])
    let rows = try PageReading.rows("Thresholds", in: page, from: "thresholds")
    #expect(rows == [["a&gt;+5%", "+50.0 %", "yes"], ["a&gt;100", "+50", "no"]])
    #expect(page.contains("1 of 2 thresholds is exceeded."))
  }

  @Test("Recordings have a noise floor, in the table and in the chart; what is within it is folded")
  func recordings() throws {
    func side(_ name: String, _ values: [[Double]]) -> Comparison.Side {
      Comparison.Side(
        name,
        values.map {
          [
            Self.metric("moved", $0[0]), Self.metric("still", $0[1]),
            Self.metric("lock.heldNs", $0[2], nil, .nanoseconds),
          ]
        }, of: values.map { _ in .init(name, [.init("kernel", "7.3", .recorded)]) })
    }
    let comparison = Comparison(
      .recordings, side("before.dat", [[100, 50, 1000], [101, 51, 1001], [99, 49, 999]]),
      side("after.dat", [[200, 51, 9000], [201, 50, 9001], [199, 49, 9002]]))
    let page = try Self.page(comparison)
    let rows = try PageReading.rows("Figures that differ", in: page, from: "differences")
    #expect(
      rows.map { [$0[0], $0[4], $0[6]] } == [
        ["moved", "+100.0 %", "differs"], ["lock.heldNs", "+800.1 %", "differs"],
      ])
    #expect(rows[0][5].hasPrefix("+-"))
    let chart = try #require(page.firstMatch(of: /<figure class="chart".*?<\/figure>/)).0
    #expect(chart.matches(of: /<rect class="gap" x/).count == 2)
    let same = try PageReading.rows(
      "Figures: chance may account for the difference", in: page, from: "others")
    #expect(same.map { $0[0] } == ["still"])
    let files = try PageReading.rows("The recordings", in: page, from: "compared")
    #expect(files.map { $0[1] } == ["before", "before", "before", "after", "after", "after"])
    // Nothing presents what an emulator took as a time of hardware.
    #expect(page.contains("where these were emulated, they say nothing of hardware"))
  }

  @Test("A difference of one recording a side is none of means")
  func oneRecording() throws {
    func chart(_ count: Int) throws -> String {
      func side(_ value: Double) -> Comparison.Side {
        Comparison.Side("a.dat", Array(repeating: [Self.metric("moved", value)], count: count))
      }
      let page = try Self.page(Comparison(.recordings, side(100), side(150)))
      return String(try #require(page.firstMatch(of: /<figure class="chart".*?<\/figure>/)).0)
    }
    #expect(try !chart(1).contains("means") && chart(1).contains("difference<"))
    #expect(try chart(2).contains("difference of the means"))
  }

  @Test("Of too many differences those are drawn that are greatest, and all are in the table")
  func manyBars() throws {
    let names = (0..<100).map { "figure\($0)" }
    let page = try Self.page(
      Self.kernels(
        names.map { Self.metric($0, 100) },
        names.enumerated().map { Self.metric($1, $0 == 70 ? 300 : $0 % 2 == 0 ? 0 : 101) }))
    let chart = try #require(page.firstMatch(of: /<figure class="chart".*?<\/figure>/)).0
    let rows = chart.components(separatedBy: "<g class=\"row\">").dropFirst()
    #expect(rows.count == PageLimits.bars)
    let drawn = rows.compactMap { $0.firstMatch(of: /figure(\d+)</).flatMap { Int($0.1) } }
    #expect(drawn == drawn.sorted() && drawn.contains(70) && drawn.count { $0 % 2 == 0 } == 50)
    #expect(try PageReading.rows("Figures that differ", in: page, from: "differences").count == 100)
    #expect(page.contains("Left out: 40 more figures; the table has all."))
  }

  @Test("Sides that do not differ have neither a chart nor an empty table")
  func same() throws {
    let page = try Self.page(Self.kernels([Self.metric("a", 1)], [Self.metric("a", 1)]))
    #expect(
      page.contains("No figure is known to differ.") && !page.contains("<figure")
        && !page.contains("Figures that differ"))
  }

  @Test("Names that a recording or a profile has are text in the page, whatever they are")
  func hostile() throws {
    let name = "<img src=x onerror=alert(1)>\"'</script><script>"
    let side = Comparison.Side(
      name, [[Self.metric("a", 1)]], of: [.init(name, [.init("kernel", name, .recorded)])])
    let page = try Self.page(Comparison(.recordings, side, side))
    #expect(!page.contains("<img") && page.contains("&lt;img src=x"))
    #expect(page.components(separatedBy: "<script").count == page.components(separatedBy: "</script>").count)
  }
}
