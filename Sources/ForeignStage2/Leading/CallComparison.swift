/// Compares what two sides tell of each call, and counts in what they differ.
struct CallComparison {
  /// How often a function differed in something.
  struct Count: Hashable {
    var function: StageCall.Function
    var kind: UInt16
  }

  /// Both sides tell every effect, so that everything about it is compared; else the names of hypercalls, and leaves without frames.
  private let isExact: Bool
  private(set) var calls: UInt64 = 0
  private(set) var differing: UInt64 = 0
  private(set) var counts: [Count: UInt64] = [:]
  private(set) var first: Difference?
  /// The first difference of each kind.
  private(set) var firsts: [UInt16: Difference] = [:]
  /// So many effects of a call are told in words.
  private static let wordsMax = 40

  init(isExact: Bool) { self.isExact = isExact }

  /// The leaf without what a model has no knowledge of.
  private static let coarseLeaf: UInt64 = 0x0f_ff07

  /// Whether two records are the same, as far as can be compared.
  @inline(__always)
  private func isSame(_ a: EffectRecord, _ b: EffectRecord) -> Bool {
    if isExact {
      return a.result == b.result && a.digest == b.digest && a.leaf == b.leaf && a.leafFrame == b.leafFrame
        && a.hasPanicked == b.hasPanicked
    }
    return a.result == b.result && a.hypercallSum == b.hypercallSum
      && a.leaf & Self.coarseLeaf == b.leaf & Self.coarseLeaf && !a.hasPanicked && !b.hasPanicked
      && a.function != .look
  }

  /// Compares two records of one call.
  @inline(__always)
  mutating func compare(
    _ a: EffectRecord, _ aTotals: borrowing SideTotals, _ b: EffectRecord, _ bTotals: borrowing SideTotals,
    call: (UInt64) -> StageCall
  ) {
    calls += 1
    if isSame(a, b) { return }
    note(a, Self.named(a, aTotals), b, Self.named(b, bTotals), call)
  }

  @inline(never)
  private mutating func note(
    _ a: EffectRecord, _ aEffects: [NamedEffect], _ b: EffectRecord, _ bEffects: [NamedEffect],
    _ call: (UInt64) -> StageCall
  ) {
    let kinds = kinds(a, aEffects, b, bEffects)
    if kinds.isEmpty { return }
    differing += 1
    var found: Difference?
    for (kind, _) in DifferenceKinds.named where kinds.contains(kind) {
      counts[Count(function: a.function ?? .look, kind: kind.rawValue), default: 0] += 1
      guard firsts[kind.rawValue] == nil else { continue }
      let difference = found ?? Self.difference(call(a.number), kinds, (a, aEffects), (b, bEffects))
      found = difference
      firsts[kind.rawValue] = difference
    }
    if first == nil { first = found }
  }

  private func kinds(
    _ a: EffectRecord, _ aEffects: [NamedEffect], _ b: EffectRecord, _ bEffects: [NamedEffect]
  ) -> DifferenceKinds {
    var kinds: DifferenceKinds = []
    if a.result != b.result { kinds.insert(.result) }
    if a.hasPanicked != b.hasPanicked { kinds.insert(.panic) }
    guard isExact else {
      if a.leaf & Self.coarseLeaf != b.leaf & Self.coarseLeaf { kinds.insert(.leaf) }
      if a.hypercallSum != b.hypercallSum { kinds.insert(.hypercalls) }
      return Self.haveSameState(aEffects, bEffects) ? kinds : kinds.union(.state)
    }
    if a.leaf != b.leaf || a.leafFrame != b.leafFrame { kinds.insert(.leaf) }
    if a.digest == b.digest { return kinds }
    // What one side does not tell of a VM is no difference.
    if a.function == .look { return Self.haveSameState(aEffects, bEffects) ? kinds : kinds.union(.state) }
    let (aKinds, bKinds) = (Self.byKind(a, aEffects), Self.byKind(b, bEffects))
    let differing = EffectKind.allCases.filter { aKinds[Int($0.rawValue)] != bKinds[Int($0.rawValue)] }
    for kind in differing { kinds.insert(DifferenceKinds(kind)) }
    if differing.isEmpty { kinds.insert(.order) }
    return kinds
  }

  /// The effects of each kind as one number.
  private static func byKind(_ record: EffectRecord, _ effects: [NamedEffect]) -> [UInt64] {
    if let digests = record.kindDigests { return digests }
    var digests = KindDigests()
    for effect in effects {
      effect.arguments.withUnsafeBufferPointer { digests.add(effect.name, $0, result: effect.result) }
    }
    return digests.values.map(\.value)
  }

  /// Whether what both sides tell of a VM is the same: a number, and of many things what they are all together, which no model tells.
  private static func haveSameState(_ a: [NamedEffect], _ b: [NamedEffect]) -> Bool {
    let other = Dictionary(
      b.filter { $0.name.kind == .state }.map { ($0.name, $0.arguments) }, uniquingKeysWith: { $1 })
    return a.filter { $0.name.kind == .state }.allSatisfy { state in
      guard let told = other[state.name] else { return true }
      return zip(told, state.arguments).allSatisfy { $0 == $1 }
    }
  }

  private static func named(_ record: EffectRecord, _ totals: borrowing SideTotals) -> [NamedEffect] {
    var effects: [NamedEffect] = []
    for item in record.items {
      guard let name = totals.name(item.name) else { continue }
      effects.append(NamedEffect(name: name, result: item.result, arguments: item.arguments))
    }
    // Their numbers are each side's own: neither has them in the other's order.
    var untold: [NamedEffect] = []
    record.forEachUntold { number, sum in
      guard let name = totals.name(number) else { return }
      untold.append(NamedEffect(name, sum))
    }
    return effects + untold.sorted { $0.name.text < $1.name.text }
  }

  /// A difference with what both sides tell from the first effect on in which they differ.
  private static func difference(
    _ call: StageCall, _ kinds: DifferenceKinds, _ a: (record: EffectRecord, effects: [NamedEffect]),
    _ b: (record: EffectRecord, effects: [NamedEffect])
  ) -> Difference {
    let same = zip(a.effects, b.effects).prefix { $0 == $1 }.map(\.0)
    func told(_ record: EffectRecord, _ effects: [NamedEffect]) -> Difference.Told {
      let lines = effects.dropFirst(same.count).prefix(wordsMax)
      return Difference.Told(
        result: record.result, leaf: record.walked, effects: lines.map(\.words),
        counts: lines.map(\.count), effectCount: record.itemCount)
    }
    return Difference(
      call: call, kinds: kinds, sameEffects: same.reduce(0) { $0 + $1.count },
      before: told(a.record, a.effects), after: told(b.record, b.effects))
  }
}
