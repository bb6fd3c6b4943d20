/// The frames of a run, in the order of insertion and in a shuffled one for look-ups and removals.
struct Keys {
  enum Order: String, CaseIterable { case sequential, clustered, random }

  let order: Order
  let inserted: [UInt64]
  let shuffled: [UInt64]

  init(_ order: Order, count: Int) {
    self.order = order
    var random = Generator(state: 42)
    switch order {
    case .sequential: inserted = (0..<UInt64(count)).map { $0 }
    case .clustered:
      // Thirteen streams that take turns, each ascending: vCPUs that touch memory of their own. A power of
      // two would put the neighbours of a stream into the same few cache sets.
      inserted = (0..<UInt64(count)).map { ($0 % 13) << 32 | $0 / 13 }
    case .random:
      // The counter in the low bits: no frame comes twice.
      inserted = (0..<UInt64(count)).map { (random.next() >> 24) << 20 | $0 }
    }
    shuffled = inserted.shuffled(using: &random)
  }
}

struct Generator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return state
  }
}
