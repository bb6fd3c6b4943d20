/// Events that two data sources recorded of one kernel: each reads the same pages of its buffers, and writes those events of them that it
/// was asked for.
///
/// What follows another writer in time is nothing of the kind: a recorder that was started again is another writer.
struct RepeatedEvents {
  /// Whose events are left out, and whose are used.
  let sequence: UInt32
  let usedSequence: UInt32
  /// Where the first of them are.
  let run: BundleRun

  /// A CPU's bundles lie side by side if they have the same of these.
  private struct Key: Hashable {
    let cpu: UInt16
    let clock: FtraceClock
  }

  /// Leaves out of `streams` all events of one CPU and one time that another stream has, too: the kinds of events that both writers
  /// have. Those of the writer with most bytes stay.
  static func leaveOut(of streams: inout [BundleStream], _ events: PerfettoEvents) -> [RepeatedEvents] {
    var bytes: [UInt32: Int] = [:]
    for stream in streams {
      bytes[stream.sequence, default: 0] += stream.runs.reduce(0) { $0 + Int($1.count) }
    }
    guard bytes.count > 1 else { return [] }
    let kinds = Dictionary(uniqueKeysWithValues: bytes.keys.map { ($0, events.slots(ofSequence: $0)) })
    var found: [UInt32: RepeatedEvents] = [:]
    for positions in Dictionary(
      grouping: streams.indices, by: { Key(cpu: streams[$0].cpu, clock: streams[$0].clock) }
    ).values {
      let ordered = positions.sorted {
        let (one, other) = (streams[$0].sequence, streams[$1].sequence)
        return (-bytes[one]!, one) < (-bytes[other]!, other)
      }
      for (rank, position) in ordered.enumerated() {
        for used in ordered[..<rank] where streams[position].overlaps(streams[used]) {
          let (sequence, usedSequence) = (streams[position].sequence, streams[used].sequence)
          let both = kinds[sequence]!.intersection(kinds[usedSequence]!).subtracting(streams[used].repeated)
          guard !both.isEmpty else { continue }
          streams[position].repeated.formUnion(both)
          if found[sequence] == nil {
            found[sequence] = RepeatedEvents(
              sequence: sequence, usedSequence: usedSequence, run: streams[position].runs[0])
          }
          if streams[position].repeated == kinds[sequence] { break }
        }
      }
    }
    streams.removeAll { $0.repeated == kinds[$0.sequence] }
    return found.values.sorted { $0.sequence < $1.sequence }
  }
}

extension BundleStream {
  /// Whether both have bundles at one time.
  fileprivate func overlaps(_ other: BundleStream) -> Bool {
    guard let first = runs.first?.first, let otherFirst = other.runs.first?.first else { return false }
    return first <= other.latest && otherFirst <= latest
  }
}
