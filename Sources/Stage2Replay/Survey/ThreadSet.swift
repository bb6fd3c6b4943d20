internal import KVMTypes

/// A set of threads by their indices: a bit each of the first 64, which are all in most traces, so that nothing is looked up.
struct ThreadSet {
  private var first: UInt64 = 0
  /// Whether each of the others is in it, as far as any was.
  private var rest: ContiguousArray<Bool> = []

  @inline(__always)
  func contains(_ thread: ThreadIndex) -> Bool {
    let position = thread.position
    if position < 64 { return first &>> UInt64(position) & 1 != 0 }
    return position - 64 < rest.count && rest[position - 64]
  }

  @inline(__always)
  mutating func insert(_ thread: ThreadIndex) {
    if thread.position < 64 { first |= 1 &<< UInt64(thread.position) } else { setRest(thread, true) }
  }

  @inline(__always)
  mutating func remove(_ thread: ThreadIndex) {
    if thread.position < 64 { first &= ~(1 &<< UInt64(thread.position)) } else { setRest(thread, false) }
  }

  private mutating func setRest(_ thread: ThreadIndex, _ isMember: Bool) {
    let place = thread.position - 64
    while rest.count <= place { rest.append(false) }
    rest[place] = isMember
  }
}
