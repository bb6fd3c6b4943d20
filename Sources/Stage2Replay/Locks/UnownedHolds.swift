public import KVMTypes

/// Holds under page tables of which it is not known yet whose they are.
///
/// No event tells whose a table is before a vCPU operates on it in a fault of its own. But a VM's memory may be unmapped,
/// aged and write-protected before that, so such holds wait here. Beyond `most` of them the older half is given up.
struct UnownedHolds {
  /// One of them.
  struct Hold {
    var pageTable: KernelAddress
    /// When the thread asked for the lock, as far as a wait shows; else when it had it.
    var request: Nanoseconds
    var hold: RecordedHold
  }

  /// So many wait, 2 at least: 1.5 MB.
  private let most: Int
  /// In the order in which they ended.
  private var holds: [Hold] = []
  /// How many of them there are by table: most tables whose owner changes have none.
  private var counts: [KernelAddress: Int] = [:]
  private var givenUp = UnattributedHolds()

  init(most: Int = 1 << 14) { self.most = most }

  mutating func add(_ hold: Hold) {
    if holds.count == most {
      for hold in holds.prefix(most / 2) {
        givenUp.add(hold.hold)
        counts[hold.pageTable]! -= 1
      }
      holds.removeFirst(most / 2)
      counts = counts.filter { $0.value > 0 }
    }
    holds.append(hold)
    counts[hold.pageTable, default: 0] += 1
  }

  /// Takes out those under a table that turns out to be a VM's which appeared at `since`. What was held under it before was
  /// another VM's, whose table lay there.
  mutating func take(of table: KernelAddress, since: Nanoseconds) -> [Hold] {
    guard counts.removeValue(forKey: table) != nil else { return [] }
    var taken: [Hold] = []
    var rest: [Hold] = []
    for hold in holds {
      if hold.pageTable != table {
        rest.append(hold)
      } else if hold.hold.time < since {
        givenUp.add(hold.hold)
      } else {
        taken.append(hold)
      }
    }
    holds = rest
    return taken
  }

  /// All that nobody was found for.
  var unattributed: UnattributedHolds {
    holds.reduce(into: givenUp) { $0.add($1.hold) }
  }
}

/// Recorded holds of the lock of a VM that is not known: nothing tells whose page table it is.
public struct UnattributedHolds: Hashable, Sendable {
  /// How many.
  public private(set) var count = 0
  /// Their times, summed.
  public private(set) var total = Nanoseconds(0)

  fileprivate mutating func add(_ hold: RecordedHold) {
    count += 1
    total = total + hold.duration
  }
}
