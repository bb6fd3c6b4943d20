import CTreeBench

/// What is measured of a tree.
enum Phase: Int, CaseIterable { case insert, lookup, iterate, remove }

/// One round on one tree: everything is inserted, looked up, passed over in order, and removed.
struct Round {
  /// CPU time an operation, by phase.
  private(set) var nanoseconds = [Double](repeating: 0, count: Phase.allCases.count)
  /// Depends on all that the tree answered.
  private(set) var checksum: UInt64 = 0

  /// Leaves `tree` empty, as it was.
  init<Tree: BenchedTree & ~Copyable>(_ tree: inout Tree, _ keys: Keys) {
    // What changes nothing is done often enough to be seen by the clock.
    let passes = max(1, 200_000 / keys.inserted.count)
    tree.straighten()
    time(.insert, operations: keys.inserted.count) {
      for frame in keys.inserted { tree.insert(frame: frame) }
      return 0
    }
    time(.lookup, operations: passes * keys.shuffled.count) {
      var sum: UInt64 = 0
      // What the last look-up found beside what it was to find: zero, but the CPU has to wait for it. Else it
      // would begin the next look-up before the end of this one, or not, as it happens to guess the ends.
      var difference: UInt64 = 0
      for _ in 0..<passes {
        for frame in keys.shuffled {
          let frame = frame ^ difference
          guard let node = tree.first(frame, frame) else { continue }
          difference = tree.frame(of: node) ^ frame
          sum &+= frame &+ 1
        }
      }
      return sum &+ difference
    }
    time(.iterate, operations: passes * keys.shuffled.count) {
      var sum: UInt64 = 0
      for _ in 0..<passes {
        var node = tree.first(0, .max)
        while let here = node {
          sum = sum &* 3 &+ tree.frame(of: here)
          node = tree.next(here, 0, .max)
        }
      }
      return sum
    }
    time(.remove, operations: keys.shuffled.count) {
      var removed: UInt64 = 0
      for frame in keys.shuffled {
        guard let node = tree.first(frame, frame) else { continue }
        tree.remove(node)
        removed += 1
      }
      return removed
    }
  }

  private mutating func time(_ phase: Phase, operations: Int, _ body: () -> UInt64) {
    let start = ctb_cpu_nanoseconds()
    let answer = body()
    nanoseconds[phase.rawValue] = Double(ctb_cpu_nanoseconds() - start) / Double(operations)
    checksum = checksum &* 31 &+ answer
  }
}
