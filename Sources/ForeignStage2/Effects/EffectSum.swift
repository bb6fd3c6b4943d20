/// Effects of one name, taken together. A backend may state anything, of which no sum has to be right.
struct EffectSum: Hashable {
  var count: UInt32 = 0
  /// Bytes that were maintained, objects that were taken.
  var amount: Int64 = 0
  /// Objects that were given back.
  var other: Int64 = 0

  /// An effect more.
  @inline(__always)
  mutating func add(_ kind: EffectKind, _ arguments: UnsafeBufferPointer<UInt64>) {
    count &+= 1
    switch kind {
    case .maintenance:
      if arguments.count > 1 { amount &+= Int64(bitPattern: arguments[1]) }
    case .memory:
      guard let first = arguments.first else { return }
      let objects = Int64(bitPattern: first)
      if objects > 0 { amount &+= objects } else { other &-= objects }
    case .hypercall, .warning, .panic, .state: break
    }
  }
}
