/// In what two sides differ after a call.
package struct DifferenceKinds: OptionSet, Hashable, Sendable {
  package var rawValue: UInt16

  package init(rawValue: UInt16) { self.rawValue = rawValue }

  /// What the function returned.
  package static let result = DifferenceKinds(rawValue: 1)
  /// What a walk of the address finds afterwards.
  package static let leaf = DifferenceKinds(rawValue: 2)
  /// Hypercalls, with arguments and results, in their order.
  package static let hypercalls = DifferenceKinds(rawValue: 4)
  /// TLB and cache maintenance.
  package static let maintenance = DifferenceKinds(rawValue: 8)
  /// Memory taken or given back.
  package static let memory = DifferenceKinds(rawValue: 16)
  /// Warnings.
  package static let warnings = DifferenceKinds(rawValue: 32)
  /// The kernel stops.
  package static let panic = DifferenceKinds(rawValue: 64)
  /// Leaves, tables or the tree of mappings, looked at as a whole.
  package static let state = DifferenceKinds(rawValue: 128)
  /// The same effects, in another order among those of other kinds.
  package static let order = DifferenceKinds(rawValue: 256)

  /// All of them with the words that reports use.
  package static let named: [(kind: DifferenceKinds, name: String)] = [
    (.result, "result"), (.leaf, "leaf"), (.hypercalls, "hypercalls"), (.maintenance, "maintenance"),
    (.memory, "memory"), (.warnings, "warnings"), (.panic, "panic"), (.state, "state"), (.order, "order"),
  ]

  /// The words for what is in it.
  package var names: [String] { Self.named.filter { contains($0.kind) }.map(\.name) }

  init(_ kind: EffectKind) {
    switch kind {
    case .hypercall: self = .hypercalls
    case .warning: self = .warnings
    case .maintenance: self = .maintenance
    case .memory: self = .memory
    case .panic: self = .panic
    case .state: self = .state
    }
  }
}

/// A call after which the two sides differ.
package struct Difference: Sendable {
  /// What one side told of it.
  package struct Told: Hashable, Sendable {
    package var result: Int64
    /// The leaf behind it, nil where the call is of no address.
    package var leaf: EffectRecord.Leaf?
    /// The effects in words from the first on that the other side does not have, in their order.
    package var effects: [String]
    /// How many effects each of these lines is.
    package var counts: [Int]
    /// All of them.
    package var effectCount: Int
  }

  package var call: StageCall
  package var kinds: DifferenceKinds
  /// So many effects both sides begin with.
  package var sameEffects: Int
  package var before: Told
  package var after: Told
}

/// An effect with its name in place of a number.
struct NamedEffect: Hashable {
  var name: EffectNames.Name
  var result: Int64
  var arguments: [UInt64]
  /// All of that name, where they are not told one by one.
  var untold: EffectSum?

  init(name: EffectNames.Name, result: Int64, arguments: [UInt64]) {
    (self.name, self.result, self.arguments) = (name, result, arguments)
  }

  init(_ name: EffectNames.Name, _ untold: EffectSum) {
    (self.name, result, arguments, self.untold) = (name, 0, [], untold)
  }

  /// How many effects it is.
  var count: Int { untold.map { Int($0.count) } ?? 1 }

  /// `share_guest(0x1, 0x40000, 0x1) = 0`.
  var words: String {
    func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }
    if untold != nil { return count == 1 ? name.words : "\(name.words), \(count) times" }
    switch name.kind {
    case .hypercall: return "\(name.text)(\(arguments.map(hex).joined(separator: ", "))) = \(result)"
    case .warning: return "warning: \(name.words)"
    case .panic: return "panic: \(name.words)"
    case .maintenance:
      return arguments.count > 1 && arguments[1] > 0
        ? "\(name.text) at \(hex(arguments[0])), \(hex(arguments[1])) bytes" : name.text
    case .memory:
      let count = arguments.first.map { Int64(bitPattern: $0) } ?? 0
      return "\(count > 0 ? "+" : "")\(count) \(name.text)"
    case .state:
      let digest = arguments.count > 1 && arguments[1] != 0 ? ", all together \(hex(arguments[1]))" : ""
      return "\(arguments.first ?? 0) \(name.text)\(digest)"
    }
  }
}
