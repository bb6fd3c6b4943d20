package import Stage2Model

/// What an operation does besides returning something.
package enum EffectKind: UInt8, Hashable, Sendable, CaseIterable {
  /// A hypercall; arguments and result are its own.
  case hypercall
  /// A warning.
  case warning
  /// Maintenance of TLBs or caches: address and size.
  case maintenance
  /// Memory taken or given back: a count, and bytes each.
  case memory
  /// The kernel stops.
  case panic
  /// Not an effect: what there is of a VM at a moment, a number and, of many things, a digest of all.
  case state

  /// What reports call them.
  package var name: String {
    switch self {
    case .hypercall: "hypercalls"
    case .warning: "warnings"
    case .maintenance: "maintenance"
    case .memory: "memory"
    case .panic: "panics"
    case .state: "state"
    }
  }
}

/// The names of effects: each is a small number, given at its first appearance.
package struct EffectNames: ~Copyable {
  /// A name. Where a warning stands may differ between two trees that have the same one: its line is no part of its identity.
  package struct Name: Hashable, Sendable {
    package var kind: EffectKind
    /// `share_guest`, `arch/arm64/kvm/pkvm.c: ret`, `TLBI by IPA`, `table of level 3`.
    package var text: String
    /// The line of a warning or panic in its file; 0 for others.
    package var line: UInt32
    /// The same for the same name in every process.
    package let hash: UInt64
    /// The hypercall that it names, where the model knows that.
    package let call: Hypercall?

    package init(_ kind: EffectKind, _ text: String, line: UInt32 = 0) {
      self.kind = kind
      self.text = text
      self.line = line
      var hash = Digest()
      hash.add(UInt64(kind.rawValue))
      for byte in text.utf8 { hash.add(UInt64(byte)) }
      self.hash = hash.value
      call = kind == .hypercall ? HypercallNames.known[text] : nil
    }

    /// The depth of a VM's tree of mappings, which no other VM's makes any deeper.
    static let treeDepth = Name(.state, "tree depth")

    /// Whether what there is of several VMs is more than what there is of one.
    var addsUp: Bool { self != Self.treeDepth }

    package static func == (a: Name, b: Name) -> Bool { a.kind == b.kind && a.text == b.text }

    package func hash(into hasher: inout Hasher) { hasher.combine(hash) }

    /// With the line where it stands at this side.
    package var words: String {
      guard line > 0, let colon = text.firstIndex(of: ":") else { return text }
      return "\(text[..<colon]):\(line)\(text[colon...])"
    }
  }

  private struct Slot {
    var key: UInt
    var id: UInt32
  }

  /// All of them, by number.
  package private(set) var all: ContiguousArray<Name> = []
  private var numbers: [Name: UInt32] = [:]
  /// A table with open addressing, never more than half full: by what a callback is given, without reading a string.
  private var slots = ContiguousArray(repeating: Slot(key: 0, id: 0), count: 256)
  private var used = 0

  package init() {}

  /// The number of the name that a callback means by `key`, which is not 0; `make` says which, the first time.
  @inline(__always)
  mutating func number(of key: UInt, _ make: () -> Name) -> UInt32 {
    var place = Int(truncatingIfNeeded: (key &* 0x9e37_79b9_7f4a_7c15) >> 40) & (slots.count - 1)
    while slots[place].key != 0 {
      if slots[place].key == key { return slots[place].id }
      place = (place + 1) & (slots.count - 1)
    }
    return add(key, make())
  }

  /// The number of a name.
  package mutating func number(of name: Name) -> UInt32 {
    if let number = numbers[name] { return number }
    let number = UInt32(all.count)
    all.append(name)
    numbers[name] = number
    return number
  }

  @inline(never)
  private mutating func add(_ key: UInt, _ name: Name) -> UInt32 {
    let id = number(of: name)
    if 2 * (used + 1) > slots.count { grow() }
    insert(Slot(key: key, id: id))
    return id
  }

  private mutating func insert(_ slot: Slot) {
    var place = Int(truncatingIfNeeded: (slot.key &* 0x9e37_79b9_7f4a_7c15) >> 40) & (slots.count - 1)
    while slots[place].key != 0 { place = (place + 1) & (slots.count - 1) }
    slots[place] = slot
    used += 1
  }

  private mutating func grow() {
    let old = slots.filter { $0.key != 0 }
    slots = ContiguousArray(repeating: Slot(key: 0, id: 0), count: 2 * slots.count)
    used = 0
    for slot in old { insert(slot) }
  }
}

/// Numbers put together to one, in their order.
package struct Digest: Hashable, Sendable {
  package private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

  package init() {}

  /// `word` is next.
  @inline(__always)
  package mutating func add(_ word: UInt64) {
    value = (value ^ word) &* 0x9e37_79b9_7f4a_7c15
    value ^= value >> 29
  }

  /// An effect is next, of a name with this hash.
  @inline(__always)
  mutating func add(
    effect name: UInt64, _ arguments: UnsafeBufferPointer<UInt64>, result: Int64
  ) {
    add(name)
    add(UInt64(bitPattern: result))
    for argument in arguments { add(argument) }
  }
}
