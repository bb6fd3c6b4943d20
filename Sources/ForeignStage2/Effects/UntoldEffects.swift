/// The effects of a call that are not told one by one, because there are too many: by name, how often and how much.
struct UntoldEffects {
  /// All of them that have one name.
  struct Sum: Hashable {
    var count: UInt32 = 0
    /// Bytes that were maintained, objects that were taken.
    var amount: Int64 = 0
    /// Objects that were given back.
    var other: Int64 = 0
  }

  /// Words that a name takes in a record.
  static let words = 3

  /// By the name's number.
  private(set) var sums: ContiguousArray<Sum> = []

  var isEmpty: Bool { sums.isEmpty }

  /// A call begins.
  mutating func removeAll() { sums.removeAll(keepingCapacity: true) }

  /// There was a name so often, of which nothing else is known.
  mutating func add(_ name: UInt32, count: UInt32) {
    while sums.count <= Int(name) { sums.append(Sum()) }
    sums[Int(name)].count += count
  }

  /// There was an effect of a name.
  mutating func add(_ name: UInt32, _ kind: EffectKind, _ arguments: UnsafeBufferPointer<UInt64>) {
    add(name, count: 1)
    switch kind {
    case .maintenance:
      if arguments.count > 1 { sums[Int(name)].amount &+= Int64(bitPattern: arguments[1]) }
    case .memory:
      guard let first = arguments.first else { return }
      let objects = Int64(bitPattern: first)
      if objects > 0 { sums[Int(name)].amount &+= objects } else { sums[Int(name)].other &-= objects }
    case .hypercall, .warning, .panic, .state: break
    }
  }

  /// Writes the sum of a name into a record.
  static func write(_ name: Int, _ sum: Sum, at place: UnsafeMutablePointer<UInt64>) {
    place[0] = UInt64(name) | UInt64(sum.count) << 32
    place[1] = UInt64(bitPattern: sum.amount)
    place[2] = UInt64(bitPattern: sum.other)
  }

  /// The sum that lies in a record.
  static func sum(at place: UnsafePointer<UInt64>) -> (name: UInt32, sum: Sum) {
    let sum = Sum(
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
    let place = Int(name.kind.rawValue)
    values[place].add(name.hash)
    values[place].add(UInt64(bitPattern: result))
    for argument in arguments { values[place].add(argument) }
  }
}
