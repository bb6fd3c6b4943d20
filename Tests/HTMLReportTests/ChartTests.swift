import Testing

@testable import HTMLReport

@Suite("Charts, from values to SVG")
struct ChartTests {
  private static func labels(_ axis: PercentAxis) -> [String] { axis.axis.ticks.map(\.label) }

  @Test("Percentages of like sizes are on equal steps, with nothing among the marks")
  func equalSteps() {
    let axis = PercentAxis(-0.1, 0.4)
    #expect(!axis.isPowers && Self.labels(axis) == ["-10 %", "0", "+10 %", "+20 %", "+30 %", "+40 %"])
    #expect(axis.axis.ticks.map(\.isOdd) == [true, false, true, false, true, false])
    #expect(abs(axis.share(0) - 0.2) < 1e-9 && abs(axis.share(0.15) - 0.5) < 1e-9)
    #expect(axis.share(-0.1) == 0 && axis.share(0.4) == 1)
    #expect(Self.labels(PercentAxis(0.02, 0.05)) == ["0", "+1 %", "+2 %", "+3 %", "+4 %", "+5 %"])
    #expect(Self.labels(PercentAxis(-1, -0.3)) == ["-100 %", "-80 %", "-60 %", "-40 %", "-20 %", "0"])
    #expect(PercentAxis(0, 0).share(0) == 0)
  }

  @Test("Percentages of unlike sizes are on powers of ten, those below 1 % next to nothing")
  func powers() {
    let axis = PercentAxis(-1, 293.25)
    #expect(axis.isPowers)
    #expect(
      Self.labels(axis) == [
        "-100 %", "-10 %", "-1 %", "0", "+1 %", "+10 %", "+100 %", "+1,000 %", "+10k %", "+100k %",
      ])
    #expect(axis.share(-1) == 0 && abs(axis.share(0) - 3 / 9) < 1e-9)
    #expect(abs(axis.share(10) - 7 / 9) < 1e-3 && abs(axis.share(0.005) - 3.5 / 9) < 1e-9)
    let places = [-1, -0.01, 0, 0.001, 0.01, 0.5, 3, 293].map(axis.share)
    #expect(places == places.sorted() && Set(places).count == places.count)
  }

  @Test("A chart has a label, a row of words for each bar, and a bar where its figures are")
  func bars() throws {
    var words = FigureWords(id: "c", title: "A <b>", description: "All of it.", basis: Markup())
    words.legend = [LegendEntry(key: .area(0), name: "tree")]
    let values = ValueAxis(.bytes, upTo: 4096)
    let chart = BarChart(
      words: words, axis: BarChart.Axis(values, "one VM"),
      upper: BarChart.Axis(values, times: 3, "all"),
      rows: [
        .init(name: "least", value: "1 KiB", bars: [.init(begin: 0, end: 0.25, key: .area(0))]),
        .init(name: "most", value: "4 KiB", bars: [.init(begin: 0.25, end: 1, key: .swatch("gap"))]),
      ])
    let source = chart.figure.source
    #expect(source.contains("role=\"img\"") && source.contains("aria-labelledby=\"c-t c-d\""))
    #expect(source.contains("<title id=\"c-t\">A &lt;b&gt;</title><desc id=\"c-d\">All of it.</desc>"))
    #expect(source.contains("<rect class=\"area a0\" x=\"0%\" y=\"53\" width=\"25%\""))
    #expect(source.contains("<rect class=\"gap\" x=\"25%\" y=\"93\" width=\"75%\""))
    #expect(source.contains(">least</text>") && source.contains(">4 KiB</text>"))
    #expect(!source.contains("<script"))
    // What all have is marked where one has a part of it.
    let all = try #require(chart.upper)
    #expect(all.ticks.map(\.label) == ["0 B", "4 KiB", "8 KiB", "12 KiB"])
    #expect(abs(all.ticks[1].share - 4096 / (values.high * 3)) < 1e-9)
  }
}
