internal import KVMTypes

/// Where slices lie so that none overlaps another on its track: they must nest there, and these stand side by side.
///
/// Those of one thread follow each other, and one lane is enough. What is told late, or by a clock that does not order events, may
/// lie before or across another and gets a lane of its own. The slices of a lane are written in the order of time, and each one's end
/// before the next one's begin: where two stamps are equal, the order in the file decides.
struct SliceLanes {
  /// Where a slice lies.
  struct Place: Equatable {
    var lane: Int
    /// Whether it is the first there.
    var isNew: Bool
    /// Whether the slice before it has no end and has to get one first, where this one begins.
    var closesAnother: Bool
  }

  private struct Lane {
    /// Where the last slice ends; of one without an end, where it begins.
    var last: Nanoseconds
    var isOpen: Bool
  }

  private var lanes: [Lane] = []

  /// Finds a place for a slice.
  ///
  /// - Parameter end: where it ends, not before `begin`; nil where that is not known: it then ends with whatever comes next.
  mutating func take(from begin: Nanoseconds, to end: Nanoseconds?) -> Place {
    let lane = Lane(last: end ?? begin, isOpen: end == nil)
    guard let free = lanes.firstIndex(where: { $0.last <= begin }) else {
      lanes.append(lane)
      return Place(lane: lanes.count - 1, isNew: true, closesAnother: false)
    }
    defer { lanes[free] = lane }
    return Place(lane: free, isNew: false, closesAnother: lanes[free].isOpen)
  }

  /// The lanes whose last slice has no end, and where that begins.
  var open: [(lane: Int, begin: Nanoseconds)] {
    lanes.enumerated().filter(\.element.isOpen).map { ($0, $1.last) }
  }
}
