internal import Glibc

/// Finds lines that say what the one before them says. Where `perf record` was asked twice for a tracepoint, as by `-e 'kvm:*' -e
/// kvm:kvm_exit`, it records each event twice, and both have one stamp at times. By a coarse clock so have many that are two events.
///
/// Invariant: `last` has `LineReader.lineBytesMax` bytes until deinit, of which the first `count` are the last event's line.
struct RepeatedLines: ~Copyable {
  private let last: UnsafeMutablePointer<UInt8>
  private var count = 0
  private var stamp: UInt64 = 0
  private var cpu: UInt16 = 0
  private var lineCount = 0
  /// How many lines have the stamp and the CPU of the one before them, and say something else.
  private var equalStamps = 0
  /// How many lines repeated the one before them.
  private(set) var repetitions = 0

  init() { last = .allocate(capacity: LineReader.lineBytesMax) }

  deinit { last.deallocate() }

  /// Whether the clock is so coarse that events have equal stamps often, one in 32 at least: lines that are the same may be of two then.
  var isCoarse: Bool { equalStamps > 0 && equalStamps * 32 >= lineCount }

  /// Takes in the line of an event; whether it is that of the one before.
  mutating func takes(_ line: TextCursor, _ head: LineHead) -> Bool {
    lineCount += 1
    if line.count == count, memcmp(last, line.place, count) == 0 {
      repetitions += 1
      return true
    }
    if head.stamp == stamp, head.cpu == cpu { equalStamps += 1 }
    (stamp, cpu) = (head.stamp, head.cpu)
    count = min(line.count, LineReader.lineBytesMax)
    memcpy(last, line.place, count)
    return false
  }
}
