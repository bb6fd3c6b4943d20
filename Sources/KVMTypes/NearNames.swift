/// Names that somebody may have meant who wrote another.
public enum NearNames {
  /// Up to three of `names` that are near `name`, the nearest first.
  public static func of(_ name: String, among names: some Sequence<String>) -> [String] {
    let scored = Set(names).compactMap { candidate -> (distance: Int, name: String)? in
      if name.count > 2, candidate.contains(name) { return (1, candidate) }
      let distance = distance(name, candidate)
      return distance <= max(1, name.count / 3) ? (distance, candidate) : nil
    }
    return scored.sorted { ($0.distance, $0.name) < ($1.distance, $1.name) }.prefix(3).map(\.name)
  }

  /// How many bytes must be put in, left out, changed or swapped with their neighbour to get from one word to the other.
  /// Only the first 64 of each count.
  public static func distance(_ from: some StringProtocol, _ to: some StringProtocol) -> Int {
    let (from, to) = (Array(from.utf8.prefix(64)), Array(to.utf8.prefix(64)))
    var rows = [Array(0...to.count)]
    for (i, byte) in from.enumerated() {
      var row = [i + 1]
      for (j, other) in to.enumerated() {
        var best = min(rows[i][j + 1] + 1, row[j] + 1, rows[i][j] + (byte == other ? 0 : 1))
        if i > 0, j > 0, byte == to[j - 1], from[i - 1] == other { best = min(best, rows[i - 1][j - 1] + 1) }
        row.append(best)
      }
      rows.append(row)
    }
    return rows[from.count][to.count]
  }
}
