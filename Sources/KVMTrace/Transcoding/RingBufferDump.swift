/// Pages of the kernel's ring buffer without a word on what they hold: per_cpu/cpuN/trace_pipe_raw, copied to a file.
enum RingBufferDump {
  /// u64 time stamp, u64 commit.
  private static let headerBytes = 16
  /// The bits of commit that say how long the data is, and those of lost events.
  private static let lengthMask: UInt64 = 1 << 20 - 1
  private static let lossMask: UInt64 = 3 << 30

  /// Whether a file that begins with `prefix` is one: the items of its first page fill it to the byte, as far as the prefix goes.
  static func begins(_ prefix: [UInt8]) -> Bool {
    func word(_ offset: Int, _ bytes: Int) -> UInt64 {
      (0..<bytes).reduce(0) { $0 | UInt64(prefix[offset + $1]) << UInt64(8 * $1) }
    }
    guard prefix.count >= headerBytes + 8, word(0, 8) > 0 else { return false }
    let commit = word(8, 8)
    guard commit & ~(lengthMask | lossMask) == 0, commit & lengthMask > 0 else { return false }
    let end = headerBytes + Int(commit & lengthMask)
    var (place, eventCount) = (headerBytes, 0)
    while place < end, place + 8 <= prefix.count {
      let kind = word(place, 4) & 31
      let length = word(place + 4, 4)
      switch kind {
      case 0:
        guard length >= 4, length & 3 == 0, length < lengthMask else { return false }
        place += 4 + Int(length)
        eventCount += 1
      case 1...28:
        place += 4 + 4 * Int(kind)
        eventCount += 1
      case 29: place += 4 + Int(length & lengthMask)
      default: place += 8
      }
    }
    return eventCount > 0 && (place == end || place + 8 > prefix.count)
  }
}
