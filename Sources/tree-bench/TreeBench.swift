import CTreeBench
import KVMTypes
import Stage2Model

/// The model's mapping trees against the same algorithm in C with pointers, in one run: `tools/bench-tree`.
///
/// Every cell is the best CPU time of several rounds in which both take turns, so that a machine that is busy
/// for a while is busy for both. Both run over the same keys, and a checksum proves that they found the same.
@main
struct TreeBench {
  static func main() {
    let rounds = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 7
    print("ns per operation, Swift / C, best of \(rounds); the ratio must not exceed 1.10")
    var worst = 0.0
    var sum = 0.0
    var cells = 0
    for isInterval in [true, false] {
      for keys in Keys.Order.allCases {
        for count in [10_000, 100_000, 1_000_000] {
          let row = Row(isInterval: isInterval, keys: Keys(keys, count: count), rounds: rounds).measure()
          print(row.line)
          for ratio in row.ratios {
            worst = max(worst, ratio)
            sum += ratio
            cells += 1
          }
        }
      }
    }
    print("mean ratio \(two(sum / Double(cells))), worst \(two(worst))")
  }
}

/// A number with two digits behind the point.
func two(_ value: Double) -> String {
  let hundredths = Int(value * 100 + 0.5)
  let fraction = hundredths % 100
  return "\(hundredths / 100).\(fraction < 10 ? "0" : "")\(fraction)"
}

/// The frames of a run, in the order of insertion and in a shuffled one for look-ups and removals.
struct Keys {
  enum Order: String, CaseIterable { case sequential, clustered, random }

  let order: Order
  let inserted: [UInt64]
  let shuffled: [UInt64]

  init(_ order: Order, count: Int) {
    self.order = order
    var random = Generator(state: 42)
    switch order {
    case .sequential: inserted = (0..<UInt64(count)).map { $0 }
    case .clustered:
      // Thirteen streams that take turns, each ascending: vCPUs that touch memory of their own. A power of
      // two would put the neighbours of a stream into the same few cache sets.
      inserted = (0..<UInt64(count)).map { ($0 % 13) << 32 | $0 / 13 }
    case .random:
      // The counter in the low bits: no frame comes twice.
      inserted = (0..<UInt64(count)).map { (random.next() >> 24) << 20 | $0 }
    }
    shuffled = inserted.shuffled(using: &random)
  }
}

struct Generator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return state
  }
}

/// One line: insertion, look-up, iteration, removal.
struct Row {
  let isInterval: Bool
  let keys: Keys
  let rounds: Int

  struct Times {
    var nanoseconds = [Double](repeating: .infinity, count: 4)
    var checksum: UInt64 = 0
  }

  struct Result {
    var line: String
    var ratios: [Double]
  }

  func measure() -> Result {
    var swift = Times()
    var c = Times()
    // The C allocator keeps what was freed, so the arenas keep their memory too: no round but the first pays
    // for fresh pages.
    var interval = MappingIntervalTree()
    var plain = MappingRBTree()
    for _ in 0..<rounds {
      if isInterval { runInterval(&interval, &swift) } else { runPlain(&plain, &swift) }
      runC(&c)
      precondition(swift.checksum == c.checksum, "the trees disagree")
    }
    var line = isInterval ? "interval" : "plain   "
    line += " \(keys.order.rawValue.padded(10)) \(String(keys.inserted.count).padded(8))"
    var ratios: [Double] = []
    for (index, name) in ["insert", "lookup", "iterate", "remove"].enumerated() {
      let ratio = swift.nanoseconds[index] / c.nanoseconds[index]
      ratios.append(ratio)
      let pair = "\(Int(swift.nanoseconds[index] + 0.5))/\(Int(c.nanoseconds[index] + 0.5))"
      line += " | \(name) \(pair.padded(10)) \(two(ratio))"
    }
    return Result(line: line, ratios: ratios)
  }

  private func time(_ times: inout Times, _ index: Int, _ body: () -> UInt64) {
    let start = ctb_cpu_nanoseconds()
    let checksum = body()
    let total = Double(ctb_cpu_nanoseconds() - start)
    times.checksum = times.checksum &* 31 &+ checksum
    times.nanoseconds[index] = min(times.nanoseconds[index], total / Double(keys.inserted.count))
  }

  private func runInterval(_ tree: inout MappingIntervalTree, _ times: inout Times) {
    tree.removeAll()
    time(&times, 0) {
      for gfn in keys.inserted { tree.insert(Mapping(gfn: GFN(gfn), pfn: PFN(gfn), pages: 1)) }
      return UInt64(tree.count)
    }
    time(&times, 1) {
      var sum: UInt64 = 0
      for gfn in keys.shuffled {
        if let id = tree.iterFirst(from: GFN(gfn), through: GFN(gfn)) {
          sum &+= tree.gfn(of: id).rawValue &+ 1
        }
      }
      return sum
    }
    time(&times, 2) {
      var sum: UInt64 = 0
      var id = tree.iterFirst(from: GFN(0), through: GFN(.max))
      while let here = id {
        sum &+= tree.gfn(of: here).rawValue
        id = tree.iterNext(here, from: GFN(0), through: GFN(.max))
      }
      return sum
    }
    time(&times, 3) {
      var removed: UInt64 = 0
      for gfn in keys.shuffled {
        guard let id = tree.iterFirst(from: GFN(gfn), through: GFN(gfn)) else { continue }
        tree.remove(id)
        removed += 1
      }
      return removed
    }
  }

  private func runPlain(_ tree: inout MappingRBTree, _ times: inout Times) {
    tree.removeAll()
    time(&times, 0) {
      for gfn in keys.inserted { tree.insert(GFN(gfn), pfn: PFN(gfn)) }
      return UInt64(tree.count)
    }
    time(&times, 1) {
      var sum: UInt64 = 0
      for gfn in keys.shuffled {
        if let id = tree.iterFirst(from: GFN(gfn), through: GFN(gfn)) {
          sum &+= tree.gfn(of: id).rawValue &+ 1
        }
      }
      return sum
    }
    time(&times, 2) {
      var sum: UInt64 = 0
      var id = tree.iterFirst(from: GFN(0), through: GFN(.max))
      while let here = id {
        sum &+= tree.gfn(of: here).rawValue
        id = tree.iterNext(here, through: GFN(.max))
      }
      return sum
    }
    time(&times, 3) {
      var removed: UInt64 = 0
      for gfn in keys.shuffled {
        guard let id = tree.iterFirst(from: GFN(gfn), through: GFN(gfn)) else { continue }
        tree.remove(id)
        removed += 1
      }
      return removed
    }
  }

  private func runC(_ times: inout Times) {
    let tree = ctb_create(isInterval ? 1 : 0)
    time(&times, 0) {
      for gfn in keys.inserted { ctb_insert(tree, gfn, gfn, 1) }
      return UInt64(keys.inserted.count)
    }
    time(&times, 1) {
      var sum: UInt64 = 0
      for gfn in keys.shuffled {
        if let node = ctb_iter_first(tree, gfn, gfn) { sum &+= ctb_gfn(node) &+ 1 }
      }
      return sum
    }
    time(&times, 2) {
      var sum: UInt64 = 0
      var node = ctb_iter_first(tree, 0, .max)
      while let here = node {
        sum &+= ctb_gfn(here)
        node = ctb_iter_next(tree, here, 0, .max)
      }
      return sum
    }
    time(&times, 3) {
      var removed: UInt64 = 0
      for gfn in keys.shuffled {
        guard let node = ctb_iter_first(tree, gfn, gfn) else { continue }
        ctb_remove(tree, node)
        removed += 1
      }
      return removed
    }
    ctb_destroy(tree)
  }
}

extension String {
  func padded(_ width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
