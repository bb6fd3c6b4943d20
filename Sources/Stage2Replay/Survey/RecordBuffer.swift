internal import KVMTrace
internal import KVMTypes

/// Events that have been read and not been replayed yet, the oldest first: by so many the survey of a source that can be
/// read only once runs ahead.
///
/// Blocks of a fixed size, which are used again.
struct RecordBuffer {
  /// A block takes 352 KiB.
  static let blockRecords = 1 << 12

  /// The oldest first; all but the last are full.
  private var blocks: [ContiguousArray<TraceRecord>] = []
  private var spare: [ContiguousArray<TraceRecord>] = []
  /// How many events there are.
  private(set) var count = 0

  /// Adds consecutive events.
  mutating func append(_ records: UnsafeBufferPointer<TraceRecord>) {
    var rest = records[...]
    while !rest.isEmpty {
      if blocks.last.map({ $0.count == Self.blockRecords }) ?? true { blocks.append(takeSpare()) }
      let part = rest.prefix(Self.blockRecords - blocks[blocks.count - 1].count)
      blocks[blocks.count - 1].append(contentsOf: part)
      rest = rest.dropFirst(part.count)
    }
    count += records.count
  }

  private mutating func takeSpare() -> ContiguousArray<TraceRecord> {
    if let block = spare.popLast() { return block }
    var block = ContiguousArray<TraceRecord>()
    block.reserveCapacity(Self.blockRecords)
    return block
  }

  /// Takes out the oldest block.
  ///
  /// - Parameter body: receives consecutive events of one stream at a time.
  mutating func popFirst(_ body: (UnsafeBufferPointer<TraceRecord>) throws -> Void) rethrows {
    guard !blocks.isEmpty else { return }
    var block = blocks.removeFirst()
    count -= block.count
    try Self.forEachRun(of: block, body)
    block.removeAll(keepingCapacity: true)
    spare.append(block)
  }

  /// Goes over all events and takes out none.
  func forEachRun(_ body: (UnsafeBufferPointer<TraceRecord>) throws -> Void) rethrows {
    for block in blocks { try Self.forEachRun(of: block, body) }
  }

  private static func forEachRun(
    of block: ContiguousArray<TraceRecord>, _ body: (UnsafeBufferPointer<TraceRecord>) throws -> Void
  ) rethrows {
    try block.withUnsafeBufferPointer { records in
      var begin = 0
      while begin < records.count {
        let end = records[begin...].firstIndex { $0.stream != records[begin].stream } ?? records.count
        try body(UnsafeBufferPointer(rebasing: records[begin..<end]))
        begin = end
      }
    }
  }
}
