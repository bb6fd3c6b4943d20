internal import Glibc

/// Finds samples that are of an event that another one is of already: where `perf record` was asked more than once for a tracepoint, a
/// hit of it leaves a sample for each time, one behind the other in the ring, with the same record of the kernel's.
///
/// Invariant: `data` has `PerfRecord.bytesMax` bytes until deinit, of which the first `count` are the record of the last sample.
struct PerfRepetitions: ~Copyable {
  private let events: PerfEvents
  private let data: UnsafeMutableRawPointer
  private var count = 0
  private var cpu: UInt16 = 0
  /// The events of the samples that were one so far.
  private var seen: [Int] = []

  init(_ events: PerfEvents) {
    self.events = events
    data = .allocate(byteCount: PerfRecord.bytesMax, alignment: 8)
  }

  deinit { data.deallocate() }

  /// Takes in a sample; whether the one before is of the same event.
  mutating func takes(_ record: PerfRecord, _ sample: PerfSample) -> Bool {
    guard let event = events.event(of: record) else { return false }
    let raw = record.base + sample.rawPlace
    if let last = seen.last, events.attributes[last].config == events.attributes[event].config,
      sample.cpu == cpu, sample.rawBytes == count, memcmp(raw, data, count) == 0, !seen.contains(event)
    {
      seen.append(event)
      return true
    }
    data.copyMemory(from: raw, byteCount: sample.rawBytes)
    (count, cpu) = (sample.rawBytes, sample.cpu)
    seen.removeAll(keepingCapacity: true)
    seen.append(event)
    return false
  }

  /// A loss: what comes behind it repeats nothing before.
  mutating func reset() { seen.removeAll(keepingCapacity: true) }
}
