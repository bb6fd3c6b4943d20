internal import KVMTrace
package import KVMTypes

/// Puts recordings together that were made apart, as if one host had run all of them at the same time.
///
/// Threads, CPUs, kernel objects and memory of the VMMs get places of their own, the same for all events of a
/// recording. All recordings begin together, and time is stretched so that they end together.
package struct TraceMerger {
  /// How the threads of several recordings are numbered.
  package enum Threads: Sendable, CaseIterable {
    /// Those of each recording in a range of their own: the VMMs were started one after the other.
    case apart
    /// In turns: the VMMs were started together, so one's vCPU threads come between the other's.
    case inTurns
  }

  private let threads: Threads
  private let count: Int
  private let cpus: UInt16
  private let duration: UInt64

  /// A host that runs all of `traces`.
  package init(_ traces: [MemoryTrace], threads: Threads) {
    self.threads = threads
    count = traces.count
    cpus = (traces.flatMap(\.records).map(\.cpu.rawValue).max() ?? 0) + 1
    duration = traces.map(Self.duration).max() ?? 0
  }

  /// One recording as it is part of the merged one.
  package func part(_ trace: MemoryTrace, number: Int) -> MemoryTrace {
    let first = trace.records.map(\.time.rawValue).min() ?? 0
    let stretch = Double(duration) / Double(max(Self.duration(trace), 1))
    var part = trace
    part.commands = Dictionary(
      uniqueKeysWithValues: trace.commands.map { (thread($0, number: number), $1) })
    part.records = trace.records.map { record in
      var record = record
      record.time = Nanoseconds(1_000_000_000 + UInt64(Double(record.time.rawValue - first) * stretch))
      record.cpu = CPUIndex(record.cpu.rawValue + UInt16(number) * cpus)
      record.tid = thread(record.tid, number: number)
      // User addresses end at 52 bits.
      record.relocate(hva: UInt64(number) << 52, kernel: UInt64(number) << 40)
      return record
    }
    return part
  }

  /// The events of all parts in the order of time; each part's own order stays.
  package func merge(_ parts: [MemoryTrace]) -> MemoryTrace {
    var heads = Array(repeating: 0, count: parts.count)
    var records: [TraceRecord] = []
    records.reserveCapacity(parts.reduce(0) { $0 + $1.records.count })
    while true {
      var next: Int?
      for part in parts.indices where heads[part] < parts[part].records.count {
        let time = parts[part].records[heads[part]].time
        if next.map({ time < parts[$0].records[heads[$0]].time }) ?? true { next = part }
      }
      guard let next else { break }
      records.append(parts[next].records[heads[next]])
      heads[next] += 1
    }
    var merged = parts[0].with(records)
    for part in parts { merged.commands.merge(part.commands) { first, _ in first } }
    return merged
  }

  /// Which part a thread of the merged recording belongs to.
  package func part(of tid: ThreadID) -> Int {
    switch threads {
    case .apart: Int(tid.rawValue) / Self.room
    case .inTurns: Int(tid.rawValue) % count
    }
  }

  private static let room = 100_000

  private func thread(_ tid: ThreadID, number: Int) -> ThreadID {
    guard tid.rawValue >= 0 else { return tid }
    switch threads {
    case .apart: return ThreadID(tid.rawValue + Int32(number * Self.room))
    case .inTurns: return ThreadID(tid.rawValue * Int32(count) + Int32(number))
    }
  }

  private static func duration(_ trace: MemoryTrace) -> UInt64 {
    let times = trace.records.map(\.time.rawValue)
    return (times.max() ?? 0) - (times.min() ?? 0)
  }
}
