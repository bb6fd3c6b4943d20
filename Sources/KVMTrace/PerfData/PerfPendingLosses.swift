internal import KVMTypes

/// What PERF_RECORD_LOST tells while the file is read, until the sample comes behind which it lies: the kernel writes both into the ring
/// at once, and a CPU may have samples in several rings.
struct PerfPendingLosses {
  /// Of CPUs that are known, and of those that are not.
  private var ofCPUs: [UInt16: UInt64] = [:]
  private var elsewhere: UInt64?

  /// Whether nothing was lost before the next sample of any CPU.
  private(set) var isEmpty = true

  /// So many records were lost before the next sample of a CPU, of any where it is nil.
  mutating func add(_ count: UInt64, cpu: UInt16?) {
    isEmpty = false
    if let cpu {
      ofCPUs[cpu] = (ofCPUs[cpu] ?? 0).addingSaturated(count)
    } else {
      elsewhere = (elsewhere ?? 0).addingSaturated(count)
    }
  }

  /// Takes out how many were lost before the next sample, which is of `cpu`; nil for none.
  mutating func take(before cpu: UInt16) -> UInt64? {
    let counts = [ofCPUs.removeValue(forKey: cpu), elsewhere].compactMap(\.self)
    elsewhere = nil
    isEmpty = ofCPUs.isEmpty
    return counts.isEmpty ? nil : counts.reduce(0) { $0.addingSaturated($1) }
  }

  /// All that are left, with their CPUs where these are known.
  var all: [(cpu: UInt16?, count: UInt64)] {
    let known = ofCPUs.sorted { $0.key < $1.key }.map { (cpu: UInt16?.some($0.key), count: $0.value) }
    return known + (elsewhere.map { [(cpu: nil, count: $0)] } ?? [])
  }
}
