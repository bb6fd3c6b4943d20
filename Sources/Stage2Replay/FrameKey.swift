/// A frame, a block or another number that the host chose, as the key of a dictionary that every fault looks into.
///
/// The standard library hashes keys so that nobody who chooses them can make them collide: 12 % of a replay's time. These
/// numbers are multiplied by an odd constant and folded, which spreads runs of neighbours, as frames come in, over all
/// bits. The worst that a trace made for the purpose can do is to be slow.
struct FrameKey: Hashable {
  let value: UInt64

  init(_ value: UInt64) { self.value = value }

  @inline(__always)
  func _rawHashValue(seed: Int) -> Int {
    // 2^64 divided by the golden ratio (Knuth, The Art of Computer Programming 6.4).
    let product = (value ^ UInt64(bitPattern: Int64(seed))) &* 0x9e37_79b9_7f4a_7c15
    return Int(truncatingIfNeeded: product ^ (product >> 32))
  }

  func hash(into hasher: inout Hasher) { hasher.combine(value) }
}
