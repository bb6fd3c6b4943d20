/// The values behind a plot, for the page's script: it shows those at the moment that is pointed at. JSON, but for names that the
/// program itself has.
struct HoverData: Sendable {
  /// One line or area.
  struct Series: Sendable {
    var name: StaticString
    var unit: ValueAxis.Unit
    var values: [Double?]
  }

  /// The moments that values begin with, from the beginning of the axis, and where the last one ends.
  var times: [UInt64]
  /// The lines and areas. A value lasts until the next moment.
  var series: [Series]

  /// An element that nothing shows.
  var markup: Markup {
    let moments = times.map { String($0) }.joined(separator: ",")
    let all = series.map { series in
      let values = series.values.map { $0.map(Self.number) ?? "null" }.joined(separator: ",")
      return "[\"\(series.name)\",\"\(series.unit.rawValue)\",[\(values)]]"
    }
    return .element("script", ["type": "application/json", "class": "values"]) {
      // Quotes are as they are inside of a script, where nothing is escaped; names are the program's own.
      Markup(script: "{\"t\":[\(moments)],\"v\":[\(all.joined(separator: ","))]}")
    }
  }

  private static func number(_ value: Double) -> String {
    value == value.rounded() && value.magnitude < 1e15
      ? String(Int(value)) : Coordinate.significant(value)
  }
}
