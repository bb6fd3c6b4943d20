/// What no host has, and no clock of a kernel says: where a recording has it, the recording is damaged.
enum HostLimits {
  /// An arm64 kernel is built for so many processors at most (CONFIG_NR_CPUS).
  static let cpusMax = 4096

  /// Whether a stamp can be one: the kernel's time (`ktime_t`) has a sign, and is never behind 0.
  @inline(__always)
  static func canBe(stamp: UInt64) -> Bool { stamp >> 63 == 0 }
}
