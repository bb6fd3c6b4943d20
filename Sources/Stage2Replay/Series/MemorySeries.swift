internal import KVMTypes
public import Stage2Model

/// The memory of one VM's stage 2 at one moment.
public struct MemorySample: Hashable, Sendable {
  /// Mappings of the tree under pKVM: of one page, and of a level-2 block.
  public var pageMappings: Int
  /// Mappings of a level-2 block.
  public var blockMappings: Int
  /// Bytes of mapping objects, those held ready included.
  public var mappingTreeBytes: Int
  /// Tables below the PGD.
  public var tablePages: Int
  /// Pages in the memory caches of host and EL2.
  public var memcachePages: Int
  /// Pages that count as SecPageTables.
  public var secPageTables: Int
  /// Bytes of all that, and of the PGD and the structures of VM and vCPUs.
  public var totalBytes: Int

  /// What the accounting has now.
  public init(_ memory: borrowing MemoryAccounting) {
    pageMappings = memory.pageMappings.live
    blockMappings = memory.blockMappings.live
    mappingTreeBytes = memory.mappingBytesLive
    tablePages = memory.tables.live
    memcachePages = memory.pages(.hostMemcache).live + memory.pages(.hypMemcache).live
    secPageTables = memory.secPageTables.live
    totalBytes = memory.totalBytes.live
  }
}

/// The memory of one VM over time: as it was at the end of each interval, from the VM's first operation on.
public struct MemorySeries: Sendable {
  /// The interval of the first sample.
  public private(set) var first = 0
  /// One sample for each interval.
  public private(set) var samples: [MemorySample] = []
  /// The end of the interval that is under way, 0 before the first operation.
  private(set) var boundary = Nanoseconds(0)

  /// Whether an operation at `time` comes after the interval that is under way: time to take a sample first.
  @inline(__always)
  func isDue(at time: Nanoseconds) -> Bool { time >= boundary }

  /// The intervals before that of `time` end with the memory as it is.
  mutating func advance(to time: Nanoseconds, _ grid: TimeGrid, _ now: MemorySample) {
    let current = grid.index(of: time)
    if boundary == Nanoseconds(0) {
      first = current
    } else {
      while first + samples.count < current { samples.append(now) }
    }
    boundary = current == grid.count - 1 ? Nanoseconds(.max) : grid.end(of: current)
  }

  /// The trace has ended.
  mutating func finish(_ grid: TimeGrid, _ now: MemorySample) {
    guard boundary != Nanoseconds(0) else { return }
    while first + samples.count < grid.count { samples.append(now) }
  }
}
