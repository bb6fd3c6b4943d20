internal import KVMTypes

/// From a ring buffer's stamp to nanoseconds, in the order that trace-cmd applies: the clock of a guest to that of its
/// host, then scale, then offset.
struct TimeConversion: Hashable {
  /// TIME_SHIFT: where the stamps are those of a guest, how they become its host's; nil otherwise.
  var guestClock: GuestClock?
  /// TSC2NSEC: `(stamp x multiplier) >> shift`, absent where stamps are nanoseconds already.
  var multiplier: UInt32 = 0
  var shift: UInt32 = 0
  /// DATE and OFFSET, in nanoseconds.
  var offset: Int64 = 0

  /// Whether stamps are nanoseconds already, but for where they count from.
  var isOffsetOnly: Bool { guestClock == nil && multiplier == 0 }

  @inline(__always)
  func nanoseconds(_ stamp: UInt64) -> Nanoseconds {
    var value = stamp
    if guestClock != nil { value = hostStamp(stamp) }
    return Nanoseconds(scaled(value) &+ UInt64(bitPattern: offset))
  }

  /// How long it is from the stamp `first` to `last`, in nanoseconds; 0 where `last` lies before it.
  func span(from first: UInt64, to last: UInt64) -> UInt64 { first < last ? scaled(last - first) : 0 }

  @inline(__always)
  private func scaled(_ ticks: UInt64) -> UInt64 {
    guard multiplier != 0 else { return ticks }
    let product = ticks.multipliedFullWidth(by: UInt64(multiplier))
    return (product.low >> UInt64(shift)) | (shift == 0 ? 0 : product.high << UInt64(64 - shift))
  }

  @inline(never)
  private func hostStamp(_ stamp: UInt64) -> UInt64 { guestClock?.host(stamp) ?? stamp }
}

/// How the clock of one guest CPU was measured against its host's (TIME_SHIFT), as trace-cmd's agent did while it
/// recorded.
struct GuestClock: Hashable {
  /// One measurement.
  struct Sample: Hashable {
    /// When it was taken, by the guest's clock.
    var time: UInt64
    /// What to add.
    var offset: Int64
    /// What to multiply with, in units of 2^-fraction.
    var scaling: UInt64 = 1
    var fraction: UInt64 = 0
  }

  /// In the order of time, one at least; no two of the same time.
  private let samples: [Sample]
  /// Whether offsets between two samples lie on the line through them; else the earlier one's holds.
  private let interpolates: Bool

  /// A clock measured by `samples`, in any order; nil where there are none, and where the offsets of two that follow one another
  /// differ by more than 64 bits hold, which no clock does in 292 years.
  init?(_ samples: [Sample], interpolates: Bool) {
    var ordered: [Sample] = []
    for sample in samples.sorted(by: { $0.time < $1.time }) where sample.time != ordered.last?.time {
      ordered.append(sample)
    }
    let isSteady = zip(ordered, ordered.dropFirst()).allSatisfy {
      !$1.offset.subtractingReportingOverflow($0.offset).overflow
    }
    guard !ordered.isEmpty, isSteady else { return nil }
    self.samples = ordered
    self.interpolates = interpolates
  }

  /// The host's stamp, as trace-cmd computes it: outside the samples the nearest two of them count. A single sample
  /// tells of an offset alone.
  func host(_ stamp: UInt64) -> UInt64 {
    guard samples.count > 1 else { return stamp &+ UInt64(bitPattern: samples[0].offset) }
    var low = 0
    var high = samples.count - 2
    while low < high {
      let middle = (low + high + 1) / 2
      if samples[middle].time <= stamp { low = middle } else { high = middle - 1 }
    }
    let (first, second) = (samples[low], samples[low + 1])
    let scaled = stamp.multipliedFullWidth(by: first.scaling)
    let product = UInt128(scaled.high) << 64 | UInt128(scaled.low)
    let ticks = UInt64(truncatingIfNeeded: product >> UInt128(first.fraction))
    return ticks &+ UInt64(bitPattern: interpolates ? Self.offset(at: stamp, first, second) : first.offset)
  }

  /// The offset at `stamp` on the line through two samples, rounded as trace-cmd does: half a span is added, and what is
  /// behind the point is dropped. A difference of stamps has 65 bits, and one of offsets 64: their product has room.
  private static func offset(at stamp: UInt64, _ first: Sample, _ second: Sample) -> Int64 {
    let span = Int128(second.time) - Int128(first.time)
    let rise = (Int128(stamp) - Int128(first.time)) * (Int128(second.offset) - Int128(first.offset))
    return Int64(truncatingIfNeeded: Int128(first.offset) + (rise + span / 2) / span)
  }
}
