/// The effects of a call that are not told one by one, because there are too many: by name, how often and how much.
struct UntoldEffects {
  /// Words that a name takes in a record.
  static let words = 3

  /// By the name's number.
  private(set) var sums: ContiguousArray<EffectSum> = []

  var isEmpty: Bool { sums.isEmpty }

  /// A call begins.
  mutating func removeAll() { sums.removeAll(keepingCapacity: true) }

  /// There was a name so often, of which nothing else is known.
  mutating func add(_ name: UInt32, count: UInt32) {
    makeRoom(for: name)
    sums[Int(name)].count &+= count
  }

  /// There was an effect of a name.
  mutating func add(_ name: UInt32, _ kind: EffectKind, _ arguments: UnsafeBufferPointer<UInt64>) {
    makeRoom(for: name)
    sums[Int(name)].add(kind, arguments)
  }

  private mutating func makeRoom(for name: UInt32) {
    while sums.count <= Int(name) { sums.append(EffectSum()) }
  }

  /// Writes the sum of a name into a record.
  static func write(_ name: Int, _ sum: EffectSum, at place: UnsafeMutablePointer<UInt64>) {
    place[0] = UInt64(name) | UInt64(sum.count) << 32
    place[1] = UInt64(bitPattern: sum.amount)
    place[2] = UInt64(bitPattern: sum.other)
  }

  /// The sum that lies in a record.
  static func sum(at place: UnsafePointer<UInt64>) -> (name: UInt32, sum: EffectSum) {
    let sum = EffectSum(
      count: UInt32(place[0] >> 32), amount: Int64(bitPattern: place[1]), other: Int64(bitPattern: place[2]))
    return (UInt32(truncatingIfNeeded: place[0]), sum)
  }
}

/// What a call did, kind by kind: of each kind all effects in their order, as one number. So two sides are compared in each kind, though
/// one of them has more effects of another one, and tells the last ones in sum.
struct KindDigests: Hashable {
  /// Words that they take in a record.
  static let words = EffectKind.allCases.count

  private(set) var values = ContiguousArray(repeating: Digest(), count: Self.words)

  init() {}

  /// An effect is next.
  mutating func add(
    _ name: EffectNames.Name, _ arguments: UnsafeBufferPointer<UInt64>, result: Int64
  ) {
    values[Int(name.kind.rawValue)].add(effect: name.hash, arguments, result: result)
  }
}
