internal import KVMTypes

/// What a perf.data says of samples by their number: those that can be read, those that cannot, those that were lost.
struct PerfTally {
  /// How many instances are believed whose CPU is told.
  private static let instancesMax = 1 << 18

  /// Samples of tracepoints without the kernel's record, or of an event that nothing describes, and where the first one is.
  private(set) var unreadable: UInt64 = 0
  private(set) var firstUnreadable = 0
  /// Samples of other events than tracepoints.
  private(set) var foreign: UInt64 = 0
  private var cpus: [UInt64: UInt16] = [:]
  /// Whether rings were written for threads (--per-thread), of whatever CPU.
  private(set) var hasThreadRings = false
  private var lost: [UInt16?: UInt64] = [:]
  private var lostSamples: [UInt16?: UInt64] = [:]

  mutating func note(unread record: PerfRecord, isForeign: Bool) {
    guard !isForeign else {
      foreign &+= 1
      return
    }
    if unreadable == 0 { firstUnreadable = record.offset }
    unreadable &+= 1
  }

  /// PERF_RECORD_ID_INDEX: u64 number, then for each instance its number, index, CPU and thread, a u64 each.
  mutating func takeIndex(_ record: PerfRecord) {
    guard record.size >= 16 else { return }
    let count = min(record.word64(8), UInt64((record.size - 16) / 32))
    for index in 0..<Int(count) where cpus.count < Self.instancesMax {
      let place = 16 + 32 * index
      let number = record.word64(place + 16)
      if UInt32(truncatingIfNeeded: number) == .max { hasThreadRings = true }
      if let cpu = UInt16(exactly: number), cpu < HostLimits.cpusMax {
        cpus[record.word64(place)] = cpu
      }
    }
  }

  /// A ring of `cpu` lost `count` records, of which samples are some.
  mutating func note(lost count: UInt64, cpu: UInt16?) {
    lost[cpu] = lost[cpu, default: 0].addingSaturated(count)
  }

  /// An instance lost `count` samples in all.
  mutating func note(lostSamples count: UInt64, id: UInt64?) {
    let cpu = id.flatMap { cpus[$0] }
    lostSamples[cpu] = lostSamples[cpu, default: 0].addingSaturated(count)
  }

  /// The samples that were lost without a record among others that says so: behind the last one of the CPU.
  var lostAtEnd: [(cpu: UInt16?, count: UInt64)] {
    func sum(_ counts: [UInt16?: UInt64]) -> UInt64 { counts.values.reduce(0) { $0.addingSaturated($1) } }
    let (told, all) = (sum(lost), sum(lostSamples))
    guard all > told else { return [] }
    var left = all - told
    var result: [(cpu: UInt16?, count: UInt64)] = []
    for cpu in lostSamples.keys.compactMap(\.self).sorted() where left > 0 {
      let (own, before) = (lostSamples[cpu, default: 0], lost[cpu, default: 0])
      guard own > before else { continue }
      result.append((cpu, min(left, own - before)))
      left -= min(left, own - before)
    }
    if left > 0 { result.append((nil, left)) }
    return result
  }
}
