internal import KVMTypes

/// A set of frames.
struct FrameSet {
  /// In ascending order; no two of them overlap or touch.
  private(set) var ranges: [FrameRange] = []

  /// Whether any of the frames is in the set.
  func overlaps(_ frames: FrameRange) -> Bool {
    let next = ranges.partitioningIndex { $0.end > frames.start }
    return next < ranges.count && ranges[next].start < frames.end
  }

  mutating func insert(_ frames: FrameRange) {
    guard frames.start < frames.end else { return }
    let first = ranges.partitioningIndex { $0.end >= frames.start }
    let last = ranges.partitioningIndex { $0.start > frames.end }
    var merged = frames
    if first < last {
      merged.start = min(merged.start, ranges[first].start)
      merged.end = max(merged.end, ranges[last - 1].end)
    }
    ranges.replaceSubrange(first..<last, with: [merged])
  }

  /// What of `frames` is not in the set, in ascending order.
  func gaps(in frames: FrameRange) -> [FrameRange] {
    var gaps: [FrameRange] = []
    var start = frames.start
    for range in ranges where range.end > frames.start && range.start < frames.end {
      if start < range.start { gaps.append(FrameRange(start: start, end: range.start)) }
      start = range.end
    }
    if start < frames.end { gaps.append(FrameRange(start: start, end: frames.end)) }
    return gaps
  }
}
