import ArgumentParser
import Glibc

/// What the user may have meant by a first argument that is no verb.
enum VerbSuggestion {
  /// One line about it, nil where it is a verb or an option.
  static func line(for argument: String, verbs: [String]) -> String? {
    guard !argument.hasPrefix("-"), argument != "help", !verbs.contains(argument) else { return nil }
    if access(argument, F_OK) == 0 {
      return "\(argument): is a file; say what to do with it, such as: pkvm-replay replay \(argument)"
    }
    let nearest = verbs.map { (verb: $0, distance: distance(argument, $0)) }.min { $0.distance < $1.distance }
    // More than a third wrong is another word.
    let hint = nearest.flatMap {
      $0.distance * 3 <= max($0.verb.count, 4) ? "; did you mean '\($0.verb)'?" : nil
    }
    return "there is no verb '\(argument)'" + (hint ?? "; there are \(verbs.joined(separator: ", "))")
  }

  /// How many letters must be put in, left out, changed or swapped with their neighbour to get from one word to the other.
  static func distance(_ from: String, _ to: String) -> Int {
    let (from, to) = (Array(from), Array(to))
    var rows = [Array(0...to.count)]
    for i in 1..<(from.count + 1) {
      var row = [i]
      for j in 1..<(to.count + 1) {
        let isSame = from[i - 1] == to[j - 1]
        var best = min(rows[i - 1][j] + 1, row[j - 1] + 1, rows[i - 1][j - 1] + (isSame ? 0 : 1))
        if i > 1, j > 1, from[i - 1] == to[j - 2], from[i - 2] == to[j - 1] {
          best = min(best, rows[i - 2][j - 2] + 1)
        }
        row.append(best)
      }
      rows.append(row)
    }
    return rows[from.count][to.count]
  }
}
