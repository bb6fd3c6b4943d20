import ArgumentParser
import Glibc
import KVMTypes

/// What the user may have meant by a first argument that is no verb.
enum VerbSuggestion {
  /// One line about it, nil where it is a verb or an option.
  static func line(for argument: String, verbs: [String]) -> String? {
    guard !argument.hasPrefix("-"), argument != "help", !verbs.contains(argument) else { return nil }
    if access(argument, F_OK) == 0 {
      return "\(argument): is a file; say what to do with it, such as: pkvm-replay replay \(argument)"
    }
    let nearest = verbs.map { (verb: $0, distance: NearNames.distance(argument, $0)) }.min {
      $0.distance < $1.distance
    }
    // More than a third wrong is another word.
    let hint = nearest.flatMap {
      $0.distance * 3 <= max($0.verb.count, 4) ? "; did you mean '\($0.verb)'?" : nil
    }
    return "there is no verb '\(argument)'" + (hint ?? "; there are \(verbs.joined(separator: ", "))")
  }
}
