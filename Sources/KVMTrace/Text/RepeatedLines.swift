internal import Glibc

/// Finds lines that say what the one before them says. Where `perf record` was asked twice for a tracepoint, as by `-e 'kvm:*' -e
/// kvm:kvm_exit`, it records each event twice, and both have one stamp at times.
///
/// Invariant: `last` has `LineReader.lineBytesMax` bytes until deinit, of which the first `count` are the last event's line.
struct RepeatedLines: ~Copyable {
  private let last: UnsafeMutablePointer<UInt8>
  private var count = 0

  init() { last = .allocate(capacity: LineReader.lineBytesMax) }

  deinit { last.deallocate() }

  /// Takes in the line of an event; whether it is that of the one before.
  mutating func takes(_ line: TextCursor) -> Bool {
    if line.count == count, memcmp(last, line.place, count) == 0 { return true }
    count = min(line.count, LineReader.lineBytesMax)
    memcpy(last, line.place, count)
    return false
  }
}
