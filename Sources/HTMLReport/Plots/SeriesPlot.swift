/// Values over time, as lines or as areas on top of each other.
struct SeriesPlot {
  /// One line or area.
  struct Series {
    var name: StaticString
    var values: [Double?]
    /// Whether it is one of the areas.
    var isArea = false
  }

  /// The moments that the values belong to, in the order of time.
  var times: [UInt64]
  /// Where the last value ends.
  var end: UInt64
  /// The lines and areas.
  var series: [Series]
  var unit: ValueAxis.Unit

  /// The greatest value, of areas that of their sum.
  var greatest: Double {
    let lines = series.filter { !$0.isArea }.flatMap { $0.values.compactMap(\.self) }
    return max(lines.max() ?? 0, stacks.last?.max() ?? 0)
  }

  /// For each area the upper bounds: what is below it with itself.
  private var stacks: [[Double]] {
    var sum = Array(repeating: 0.0, count: times.count)
    return series.filter(\.isArea).map { area in
      for position in sum.indices { sum[position] += area.values[position] ?? 0 }
      return sum
    }
  }

  /// The paths of all lines and areas.
  func drawing(_ values: ValueAxis, _ time: TimeAxis, height: Int) -> Markup {
    var markup = Markup()
    var below = Array(repeating: 0.0, count: times.count)
    for (number, above) in stacks.enumerated() {
      let path = area(below, above, values, time, height: Double(height))
      markup += .empty("path", ["class": "area a\(number)", "d": path])
      below = above
    }
    for (number, line) in series.filter({ !$0.isArea }).enumerated() {
      let path = self.line(line.values, values, time, height: Double(height))
      markup += .empty("path", ["class": "line l\(number)", "d": path])
    }
    return markup
  }

  /// The steps of a line, with a hole where there is no value.
  func line(_ line: [Double?], _ values: ValueAxis, _ time: TimeAxis, height: Double) -> String {
    var path = ""
    var last: String?
    for (position, value) in line.enumerated() {
      guard let value else {
        last = nil
        continue
      }
      let x = Coordinate.text(time.share(times[position]) * Plot.width)
      let y = Coordinate.text(height * (1 - values.share(value)))
      if last == nil { path += "M\(x) \(y)" } else if last != y { path += "H\(x)V\(y)" }
      last = y
      let isLast = position + 1 == line.count || line[position + 1] == nil
      if isLast { path += "H\(Coordinate.text(time.share(self.end(of: position)) * Plot.width))" }
    }
    return path
  }

  /// Until when the value at a position lasts.
  private func end(of position: Int) -> UInt64 { position + 1 < times.count ? times[position + 1] : end }

  private func area(
    _ below: [Double], _ above: [Double], _ values: ValueAxis, _ time: TimeAxis, height: Double
  ) -> String {
    guard !times.isEmpty else { return "" }
    var path = line(above.map { $0 }, values, time, height: height)
    // Back along the lower edge.
    for position in times.indices.reversed() {
      let y = Coordinate.text(height * (1 - values.share(below[position])))
      path += "V\(y)H\(Coordinate.text(time.share(times[position]) * Plot.width))"
    }
    return path + "Z"
  }

  /// What the script shows.
  func hover(_ time: TimeAxis) -> HoverData {
    HoverData(
      times: (times + [end]).map { $0 - min($0, time.start) },
      series: series.map { HoverData.Series(name: $0.name, unit: unit, values: $0.values) })
  }

  /// Lines and areas as a legend has them.
  var legend: [LegendEntry] {
    let areas = series.filter(\.isArea).enumerated().map { LegendEntry(key: .area($0), name: "\($1.name)") }
    return areas
      + series.filter { !$0.isArea }.enumerated().map { LegendEntry(key: .line($0), name: "\($1.name)") }
  }

  /// The figure of these values, without what is 0 all the time.
  func figure(_ plot: Plot) -> Markup {
    var seen = self
    seen.series.removeAll { $0.values.allSatisfy { $0 ?? 0 == 0 } }
    if seen.series.isEmpty { seen.series = series }
    let values = ValueAxis(unit, upTo: greatest)
    var plot = plot
    plot.legend = seen.legend
    return plot.figure(
      values: values, drawing: seen.drawing(values, plot.time, height: plot.height),
      data: seen.hover(plot.time).markup)
  }
}
