internal import KVMTypes

/// A sample of a tracepoint: when and where it was taken, and where the kernel's own record lies in it.
struct PerfSample {
  /// How long what every record of an event begins with is, in bytes: less is none.
  static let rawBytesMin = 8

  let time: Nanoseconds
  let cpu: UInt16
  let rawPlace: Int
  let rawBytes: Int

  /// Nil where `record` is shorter than it says, or its CPU or its stamp can be none.
  @inline(__always)
  init?(_ record: PerfRecord, _ layout: PerfSampleLayout) {
    guard layout.fits(record), let raw = layout.raw(of: record), raw.count >= Self.rawBytesMin else {
      return nil
    }
    let cpu = layout.cpu > 0 ? record.word32(layout.cpu) : 0
    let time = record.word64(layout.time)
    guard cpu < UInt32(HostLimits.cpusMax), HostLimits.canBe(stamp: time) else { return nil }
    self.time = Nanoseconds(time)
    self.cpu = UInt16(truncatingIfNeeded: cpu)
    (rawPlace, rawBytes) = (raw.place, raw.count)
  }
}
