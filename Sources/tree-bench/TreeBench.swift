import Stage2Model

#if canImport(Glibc)
  import Glibc
#endif

/// The model's mapping trees against the same algorithm in C with pointers, in one run: `tools/bench-tree`.
///
///     tree-bench [ROUNDS [WORD...]]
///
/// A word is a tree, an order of keys or a number of mappings; others are left out. One of the words `dispatch`, `pages`
/// and `memory` alone stands for the measurement of `Dispatch`, `PageOperations` and `MappingBytes`.
///
/// The two take turns over the same keys, and a checksum proves that they found the same. A ratio is the
/// median of the ratios of the rounds, each of two runs right after one another: a machine that is busy for a
/// while is busy for both.
@main
struct TreeBench {
  static func main() {
    let arguments = CommandLine.arguments.dropFirst()
    let rounds = arguments.first.flatMap { Int($0) } ?? 5
    let words = Set(arguments.dropFirst())
    if words == ["dispatch"] { return Dispatch.run(rounds: rounds) }
    if words == ["pages"] { return PageOperations.run(rounds: rounds) }
    if words == ["memory"] { return MappingBytes.run() }
    print("tree      keys          mappings phase    Swift ns      C ns   ratio   middle half   all rounds")
    var ratios: [Double] = []
    for isInterval in [true, false] {
      for order in Keys.Order.allCases {
        for count in [10_000, 100_000, 1_000_000] {
          let tree = isInterval ? "interval" : "plain"
          guard words.isSubset(of: [tree, order.rawValue, "\(count)"]) else { continue }
          let name = "\(tree.padded(9)) \(order.rawValue.padded(12)) \(padded(count, 9))"
          // Small trees are quick and their figures noisy.
          let comparison = Comparison(
            isInterval: isInterval, keys: Keys(order, count: count),
            rounds: rounds * (count < 1_000_000 ? 3 : 1))
          for phase in Phase.allCases { print("\(name) \(comparison.line(phase))") }
          fflush(nil)
          ratios += Phase.allCases.map { comparison.ratios($0).median }
        }
      }
    }
    guard !ratios.isEmpty else { return }
    print(
      """
      \(ratios.count) ratios: mean \(two(ratios.reduce(0, +) / Double(ratios.count))), \
      worst \(two(ratios.max()!)), \(ratios.count { $0 > 1.1 }) above 1.10
      """)
  }
}

/// A Swift tree and its C twin over the same keys.
struct Comparison {
  private var pairs: [(swift: Round, c: Round)] = []

  init(isInterval: Bool, keys: Keys, rounds: Int) {
    if isInterval {
      var tree = MappingIntervalTree()
      run(&tree, isInterval, keys, rounds)
    } else {
      var tree = MappingRBTree()
      run(&tree, isInterval, keys, rounds)
    }
  }

  private mutating func run<Tree: BenchedTree & ~Copyable>(
    _ tree: inout Tree, _ isInterval: Bool, _ keys: Keys, _ rounds: Int
  ) {
    var twin = CTree(isInterval: isInterval)
    // The first round takes fresh pages from the system on both sides, and does not count.
    for round in 0...rounds {
      var pair: (swift: Round, c: Round)
      if round % 2 == 0 {
        pair.swift = Round(&tree, keys)
        pair.c = Round(&twin, keys)
      } else {
        pair.c = Round(&twin, keys)
        pair.swift = Round(&tree, keys)
      }
      precondition(pair.swift.checksum == pair.c.checksum, "the trees disagree")
      if round > 0 { pairs.append(pair) }
    }
  }

  /// Swift's time by C's, ascending.
  func ratios(_ phase: Phase) -> Ascending {
    Ascending(pairs.map { $0.swift.nanoseconds[phase.rawValue] / $0.c.nanoseconds[phase.rawValue] })
  }

  /// The best times and the ratios of `phase`.
  func line(_ phase: Phase) -> String {
    let swift = pairs.map { $0.swift.nanoseconds[phase.rawValue] }.min()!
    let c = pairs.map { $0.c.nanoseconds[phase.rawValue] }.min()!
    let ratios = ratios(phase)
    return """
      \("\(phase)".padded(7)) \(padded(one(swift), 9)) \(padded(one(c), 9))    \(two(ratios.median))  \
       \(two(ratios[0.25])) - \(two(ratios[0.75]))  \(two(ratios[0])) - \(two(ratios[1]))
      """
  }
}
