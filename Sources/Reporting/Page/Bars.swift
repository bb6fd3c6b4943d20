/// Small drawings in a line of text: of block characters, or of ASCII.
enum Bars {
  /// The width of a bar in a table.
  static let width = 8
  /// The width of a strip in a table.
  static let stripWidth = 20

  private static let eighths: [Character] = ["▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"]

  /// A bar of at most `width` columns, for a share of 0 to 1. Only nothing has none.
  static func bar(_ share: Double, width: Int, _ form: PageForm) -> String {
    guard share > 0, width > 0 else { return "" }
    let share = min(share, 1)
    guard form.hasBlocks else {
      let count = Int((share * Double(width)).rounded())
      return count == 0 ? "." : String(repeating: "#", count: count)
    }
    let count = max(1, Int((share * Double(width) * 8).rounded()))
    let rest = count % 8
    return String(repeating: "█", count: count / 8) + (rest > 0 ? String(eighths[rest - 1]) : "")
  }

  /// Spans on one logarithmic scale.
  struct Scale {
    private let least: Int
    private let steps: Int

    /// The scale that has room for all `values`; nil where they are one.
    init?(_ values: some Sequence<UInt64>) {
      let logs = values.map(Self.log)
      guard let least = logs.min(), let most = logs.max(), most > least else { return nil }
      (self.least, steps) = (least, most - least)
    }

    /// A strip from the first value over the second to the last.
    func strip(_ values: [UInt64], _ form: PageForm) -> String {
      guard values.count > 2 else { return "" }
      let positions = values.map { (Self.log($0) - least) * (Bars.stripWidth - 1) / steps }
      let (thick, thin): (Character, Character) = form.hasBlocks ? ("━", "─") : ("=", "-")
      return String(
        (0...positions[positions.count - 1]).map { column in
          column < positions[0] ? " " : column <= positions[1] ? thick : thin
        })
    }

    /// log2 in sixteenths.
    private static func log(_ value: UInt64) -> Int {
      let value = max(value, 1)
      let exponent = 63 - value.leadingZeroBitCount
      let fraction = exponent >= 4 ? value >> UInt64(exponent - 4) : value << UInt64(4 - exponent)
      return exponent * 16 + Int(fraction & 15)
    }
  }
}
