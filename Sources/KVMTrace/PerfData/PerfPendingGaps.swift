internal import KVMTypes

/// Damaged places behind which samples may be missing. What stood there may have been of any ring, so it is missing before the next sample
/// of each CPU.
struct PerfPendingGaps {
  /// How many there are, and how many of them each CPU's samples are told of.
  private var count = 0
  private var told: [UInt16: Int] = [:]
  /// The first since a sample came, of whatever CPU; the last, if one did.
  private var last: Damage?
  /// Whether no sample came behind it.
  private(set) var isFresh = false

  /// Another place.
  mutating func note(_ place: Damage) {
    if !isFresh { last = place }
    isFresh = true
    count += 1
  }

  /// A sample of `cpu` comes. Returns whether any may be missing before it.
  mutating func take(before cpu: UInt16) -> Bool {
    isFresh = false
    guard count > 0, told[cpu] != count else { return false }
    told[cpu] = count
    return true
  }

  /// All samples came, of `cpus`: the place behind which those of some may be missing at the end; nil for none.
  func place(behindThoseOf cpus: some Sequence<UInt16>) -> Damage? {
    isFresh || cpus.contains { told[$0] ?? 0 < count } ? last : nil
  }
}
