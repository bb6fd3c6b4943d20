/// Which functions of some sources call which, by their names alone: functions of one name are one, and a call is a name before a
/// parenthesis. What is called by no name in here is called by nobody; what is, may be another function of that name.
struct CallGraph {
  private var calls: [String: Set<String>] = [:]
  private var declared: Set<String> = []

  /// Takes in a file, `path` from the top of the package.
  mutating func add(source: String, path: String) {
    var caller = path
    var last = ""
    SwiftWords.forEach(in: source) { word, before, behind in
      if last == "func" {
        caller = word
        declared.insert(word)
      } else if word == "init", before != "." {
        // What is called where a value is made is called by whoever makes it, which no name tells.
        caller = path
      } else if behind == "(" || behind == "<" {
        calls[caller, default: []].insert(word)
      }
      last = word
    }
  }

  /// The functions that are called when `roots` are, directly or not, with them.
  func reachable(from roots: Set<String>) -> Set<String> {
    var found = roots.intersection(declared)
    var waiting = Array(found)
    while let caller = waiting.popLast() {
      for name in calls[caller] ?? [] where declared.contains(name) && found.insert(name).inserted {
        waiting.append(name)
      }
    }
    return found
  }

  /// The names that a text calls on values that are called one of `receivers`.
  static func calls(on receivers: Set<String>, in source: String) -> Set<String> {
    var names: Set<String> = []
    var last = ""
    SwiftWords.forEach(in: source) { word, before, behind in
      if before == ".", behind == "(", receivers.contains(last) { names.insert(word) }
      last = word
    }
    return names
  }
}
