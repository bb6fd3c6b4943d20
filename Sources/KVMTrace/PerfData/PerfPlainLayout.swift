internal import KVMTypes

/// How samples lie in nearly every recording of tracepoints: little-endian, one layout for all, and nothing of another length before
/// the raw data. A loop over them asks for nothing else.
struct PerfPlainLayout {
  /// A sample: how long its record is, when and where it was taken, and the kernel's own record in it.
  struct Sample {
    let size: Int
    let time: Nanoseconds
    let cpu: UInt32
    let raw: UnsafeRawPointer
    let rawBytes: Int
  }

  private let time: Int
  private let cpu: Int
  /// Where the length of the raw data stands: behind all that is loaded.
  private let rawLength: Int

  init?(_ events: PerfEvents, bigEndian: Bool) {
    guard let layout = events.common, let rawLength = layout.rawLengthPlace, layout.cpu > 0, !bigEndian else {
      return nil
    }
    (time, cpu, self.rawLength) = (layout.time, layout.cpu, rawLength)
  }

  /// The sample whose record begins at `base`, where `room` bytes can be read; nil where no whole one does.
  @inline(__always)
  func sample(_ base: UnsafeRawPointer, room: Int) -> Sample? {
    guard rawLength &+ 4 <= room else { return nil }
    let header = base.loadUnaligned(as: UInt64.self)
    let size = Int(header >> 48)
    let rawBytes = Int(base.loadUnaligned(fromByteOffset: rawLength, as: UInt32.self))
    let time = base.loadUnaligned(fromByteOffset: time, as: UInt64.self)
    guard UInt32(truncatingIfNeeded: header) == PerfRecord.Kind.sample, size <= room,
      rawBytes &+ rawLength &+ 4 <= size, rawBytes >= PerfSample.rawBytesMin,
      HostLimits.canBe(stamp: time)
    else { return nil }
    return Sample(
      size: size, time: Nanoseconds(time), cpu: base.loadUnaligned(fromByteOffset: cpu, as: UInt32.self),
      raw: base + (rawLength &+ 4),
      rawBytes: rawBytes)
  }
}
