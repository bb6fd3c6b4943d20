internal import KVMTypes

/// The frames of the slots that an event concerns: of one slot nearly always, which then takes no array.
struct FrameRanges {
  private var first: FrameRange?
  private var others: [FrameRange] = []

  /// No frames.
  init() {}

  /// Frames of one slot.
  init(_ frames: FrameRange) { first = frames }

  @inline(__always)
  var isEmpty: Bool { first == nil }

  @inline(__always)
  mutating func append(_ range: FrameRange) {
    if first == nil { first = range } else { others.append(range) }
  }

  func contains(_ gfn: GFN) -> Bool {
    (first?.contains(gfn) ?? false) || others.contains { $0.contains(gfn) }
  }

  /// Those among `frames`.
  func intersection(with frames: FrameRange) -> FrameRanges {
    var common = FrameRanges()
    forEach { own in
      let (start, end) = (max(own.start, frames.start), min(own.end, frames.end))
      if start < end { common.append(FrameRange(start: start, end: end)) }
    }
    return common
  }

  /// Calls `body` with the frames of each slot, in the order in which they came.
  @inline(__always)
  func forEach(_ body: (FrameRange) -> Void) {
    guard let first else { return }
    body(first)
    for range in others { body(range) }
  }
}
