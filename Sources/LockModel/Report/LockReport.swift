public import KVMTypes

/// What a simulation found. Every figure is `modelled`.
public struct LockReport: Sendable {
  /// What one client did.
  public struct Client: Sendable {
    /// Sections that it ended.
    public var sections: Int
    /// The lock taken for reading.
    public var read: LockUsage
    /// The lock taken for writing.
    public var write: LockUsage
  }

  /// The simulated time that the figures cover.
  public var span: Nanoseconds
  /// Events that were simulated: requests, ends of holds, resched points.
  public var events: Int
  /// By the clients' numbers.
  public var clients: [Client]
  /// All clients together.
  public var total: Client
  /// The time in which the lock was held for reading, by one or more.
  public var readTime: Nanoseconds
  /// The time in which it was held for writing.
  public var writtenTime: Nanoseconds
  /// How many waited, on average over the time.
  public var meanWaiters: Double
  /// How many held it for reading, on average over the time.
  public var meanReaders: Double
  /// Most that waited at once.
  public var mostWaiters: Int
  /// The longest time for which somebody always held it; a moment in which it is free ends a chain.
  public var longestChain: Nanoseconds
  /// When that time began.
  public var longestChainStart: Nanoseconds
  /// How often a section let others in at a resched point. Each time it acquires the lock once more.
  public var drops: Int

  /// How often the lock was given.
  public var acquisitions: Int { total.read.acquisitions + total.write.acquisitions }

  /// The share of the time in which the lock was held for reading.
  public var readUtilisation: Double { share(readTime) }
  /// The share of the time in which it was held for writing.
  public var writeUtilisation: Double { share(writtenTime) }
  /// The share of the time in which it was held.
  public var utilisation: Double { readUtilisation + writeUtilisation }

  /// Sections that ended per second of simulated time.
  public var sectionsPerSecond: Double {
    span.rawValue == 0 ? 0 : Double(total.sections) * 1e9 / Double(span.rawValue)
  }

  private func share(_ time: Nanoseconds) -> Double {
    span.rawValue == 0 ? 0 : Double(time.rawValue) / Double(span.rawValue)
  }
}

extension LockReport.Client {
  mutating func add(_ other: LockReport.Client) {
    sections += other.sections
    read.add(other.read)
    write.add(other.write)
  }
}

extension LockSimulation {
  /// What was found so far. A hold that has not ended counts as time in which the lock is held, and its
  /// acquisition and wait count, but its length is not yet among the holds.
  public borrowing func report() -> LockReport {
    let open = now - max(modeSince, statistics.start)
    let readTime = statistics.readTime + (readers > 0 ? open : 0)
    let writtenTime = statistics.writtenTime + (isWritten ? open : 0)
    let clients = (0..<clientCount).map { client in
      LockReport.Client(
        sections: statistics.sections[client], read: statistics.usages[2 * client],
        write: statistics.usages[2 * client + 1])
    }
    var total = LockReport.Client(sections: 0, read: LockUsage(), write: LockUsage())
    for client in clients { total.add(client) }
    var chain = (length: statistics.longestChain, start: statistics.longestChainStart)
    if readers > 0 || isWritten, now - busySince > chain.length { chain = (now - busySince, busySince) }
    let span = now - statistics.start
    return LockReport(
      span: Nanoseconds(span), events: statistics.events, clients: clients, total: total,
      readTime: Nanoseconds(readTime), writtenTime: Nanoseconds(writtenTime),
      meanWaiters: span == 0 ? 0 : statistics.waiterTime / Double(span),
      meanReaders: span == 0 ? 0 : statistics.readerTime / Double(span),
      mostWaiters: statistics.mostWaiters, longestChain: Nanoseconds(chain.length),
      longestChainStart: Nanoseconds(chain.start), drops: statistics.drops)
  }
}
