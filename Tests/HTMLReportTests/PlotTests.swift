import Foundation
import KVMTypes
import Reporting
import Testing

@testable import HTMLReport

@Suite("Plots, from values to SVG")
struct PlotTests {
  private static let time = TimeAxis(1000..<5000, .nanoseconds)

  @Test(
    "Coordinates have two digits at most",
    arguments: [
      (0, "0"), (12.5, "12.5"), (-3, "-3"), (0.004, "0"), (0.006, "0.01"), (99.999, "100"), (-0.25, "-0.25"),
      (.nan, "0"),
    ])
  func coordinates(value: Double, text: String) { #expect(Coordinate.text(value) == text) }

  @Test("Marks of time are whole numbers of one unit, ten intervals at most")
  func timeTicks() {
    func labels(_ span: UInt64, _ unit: StampUnit = .nanoseconds) -> [String] {
      TimeAxis(7..<7 + span, unit).ticks.map(\.label)
    }
    #expect(labels(81_100_000_000) == ["0", "10 s", "20 s", "30 s", "40 s", "50 s", "60 s", "70 s", "80 s"])
    #expect(labels(1_200_000).last == "1.2 ms" && labels(1_200_000)[1] == "0.2 ms")
    #expect(labels(4000) == ["0", "0.5 us", "1 us", "1.5 us", "2 us", "2.5 us", "3 us", "3.5 us", "4 us"])
    #expect(labels(1) == ["0", "1 ns"] && labels(30, .ticks) == ["0", "5", "10", "15", "20", "25", "30"])
    #expect(labels(.max - 7).count <= 11)
    #expect(Self.time.ticks.map(\.share) == [0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1])
    #expect(Self.time.share(2000) == 0.25 && Self.time.share(0) == -0.25)
  }

  @Test("Marks of values reach the greatest one, in the steps that people count in")
  func valueTicks() {
    func labels(_ unit: ValueAxis.Unit, _ greatest: Double) -> [String] {
      ValueAxis(unit, upTo: greatest).ticks.map(\.label)
    }
    #expect(labels(.count, 0) == ["0", "1"] && labels(.count, 4) == ["0", "1", "2", "3", "4"])
    #expect(labels(.count, 1687) == ["0", "500", "1,000", "1,500", "2,000"])
    #expect(labels(.count, 52_000) == ["0", "20k", "40k", "60k"])
    #expect(labels(.bytes, 243_136) == ["0 B", "64 KiB", "128 KiB", "192 KiB", "256 KiB"])
    #expect(labels(.share, 0.021) == ["0 %", "0.5 %", "1 %", "1.5 %", "2 %", "2.5 %"])
    #expect(labels(.rate, 2.1) == ["0/s", "0.5/s", "1/s", "1.5/s", "2/s", "2.5/s"])
    #expect(labels(.duration, 90_478_192) == ["1 us", "10 us", "100 us", "1 ms", "10 ms", "100 ms"])
    let scale = ValueAxis(.duration, upTo: 1_000_000)
    #expect(scale.share(1000) == 0 && scale.share(1_000_000) == 1 && scale.share(500) == 0)
    #expect(abs(scale.share(31_623) - 0.5) < 0.001 && abs(ValueAxis.power(2_000_000) - 6.30103) < 0.001)
  }

  @Test("A line goes in steps, is broken where nothing is known, and ends where the last value does")
  func line() {
    let plot = SeriesPlot(
      times: [1000, 2000, 3000, 4000], end: 5000, series: [.init(name: "a", values: [1, nil, 4, 4])],
      unit: .count)
    let values = ValueAxis(.count, upTo: plot.greatest)
    #expect(plot.greatest == 4)
    #expect(
      plot.line([1, nil, 4, 4], values, Self.time, height: 100) == "M0 75H250M500 0H1000")
    #expect(plot.line([1, 2, 4, 0], values, Self.time, height: 100) == "M0 75H250V50H500V0H750V100H1000")
  }

  @Test("Areas stand on each other, lines do not")
  func areas() {
    let plot = SeriesPlot(
      times: [1000, 3000], end: 5000,
      series: [
        .init(name: "low", values: [1, 2], isArea: true), .init(name: "line", values: [1, 1]),
        .init(name: "high", values: [3, 2], isArea: true),
      ], unit: .count)
    #expect(plot.greatest == 4)
    let source = plot.drawing(ValueAxis(.count, upTo: 4), Self.time, height: 100).source
    #expect(
      source == "<path class=\"area a0\" d=\"M0 75H500V50H1000V100H500V100H0Z\"/>"
        + "<path class=\"area a1\" d=\"M0 0H1000V50H500V75H0Z\"/><path class=\"line l0\" d=\"M0 75H1000\"/>")
    #expect(plot.legend.map(\.name) == ["low", "high", "line"])
    #expect(
      plot.hover(Self.time).markup.source
        == "<script type=\"application/json\" class=\"values\">{\"t\":[0,2000,4000],\"v\":[[\"low\",\"count\",[1,2]],"
        + "[\"line\",\"count\",[1,1]],[\"high\",\"count\",[3,2]]]}</script>")
  }

  @Test(
    "On a narrow screen a label that would be written over the next one is left out; at the right edge it is on the left"
  )
  func labels() {
    let time = TimeAxis(0..<1000, .nanoseconds)
    let marks = [100, 500, 540, 580, 990].map { PlotMark(kind: .event, time: $0, label: "at \($0)") }
    #expect(PlotMark.near(marks, time) == [false, false, true, false, false])
    let hold = PlotMark(kind: .hold, time: 985, height: 0.5, label: "1")
    #expect(PlotMark.near([hold, marks[4]], time) == [false, false])
    var plot = Plot(id: "p", title: "", description: "", basis: Markup(), time: time)
    plot.marks = marks
    let source = plot.figure(values: nil, drawing: Markup(), data: Markup()).source
    #expect(source.contains("<g class=\"mark event near\" data-x=\"54000\">"))
    #expect(source.contains("<g class=\"mark event late\" data-x=\"99000\">"))
  }

  @Test("Gaps are bands, marks are where their moments are, and what lies outside is not there")
  func frame() {
    var plot = Plot(
      id: "p", title: "A <b>", description: "All of it.", basis: BasisMark.markup(.derived), time: Self.time)
    plot.gaps = [0..<2000, 4000..<UInt64.max, 6000..<7000]
    plot.marks = [
      PlotMark(kind: .hold, time: 3000, height: 0.5, label: "1"),
      PlotMark(kind: .event, time: 6000, label: "late"),
    ]
    let source = plot.figure(values: ValueAxis(.count, upTo: 1), drawing: Markup(), data: Markup()).source
    #expect(source.contains("<path class=\"gap\" d=\"M0 0h250v170h-250zM750 0h250v170h-250z\"/></svg>"))
    #expect(source.contains("<circle cx=\"50%\" cy=\"85\" r=\"7\"/>") && !source.contains("late"))
    #expect(source.contains("role=\"img\"") && source.contains("aria-labelledby=\"p-t p-d\""))
    #expect(source.contains("<title id=\"p-t\">A &lt;b&gt;</title><desc id=\"p-d\">All of it.</desc>"))
  }
}
