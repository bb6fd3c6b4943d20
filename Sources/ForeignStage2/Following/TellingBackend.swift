internal import CStage2Backend
internal import KVMTypes
internal import Stage2Model

/// A backend that carries out calls and tells what each of them did.
protocol TellingBackend: ~Copyable {
  /// Carries out a call of a VM that there is.
  ///
  /// - Returns: its result.
  mutating func carryOut(_ call: StageCall) -> Int64

  /// Tells what the last call did.
  ///
  /// - Returns: whether there was room for it.
  func tell(_ call: StageCall, result: Int64, to writer: inout EffectWriter) -> Bool
}

extension ForeignStage2: TellingBackend {
  mutating func carryOut(_ call: StageCall) -> Int64 {
    // What making the VM called is told of its creation.
    if call.function == .create { return vm.pointer == nil ? -5 : 0 }
    effects.pointee.begin()
    if call.function == .look { tellState() }
    if call.function == .release { vm.release() }
    var result = call.perform(on: &self, knowsFrame: true)
    // The model's never fails, and returns nothing.
    if call.function == .topUpMemcache { result = preparation }
    if call.function.isOfAddress {
      let leaf = leaf(IPA(call.ipa))
      let word = EffectRecord.word(
        isValid: leaf.is_valid != 0, isYoung: leaf.is_young != 0,
        level: Int8(truncatingIfNeeded: leaf.level),
        prot: Stage2Prot(rawValue: leaf.prot).intersection(shape.walkedProt))
      effects.pointee.walked = (word, leaf.is_valid != 0 ? leaf.pfn : 0)
    }
    return result
  }

  func tell(_ call: StageCall, result: Int64, to writer: inout EffectWriter) -> Bool {
    let told = EffectWriter.Told(
      call: call, result: result, digest: effects.pointee.digest.value,
      hypercallSum: effects.pointee.hypercallSum, leaf: effects.pointee.walked.word,
      leafFrame: effects.pointee.walked.frame, items: effects.pointee.counts.all,
      keptItems: effects.pointee.counts.kept, hasPanicked: effects.pointee.hasPanicked)
    return writer.write(
      told, kept: effects.pointee.keptWords, untold: effects.pointee.untold, effects.pointee.kinds,
      names: effects.pointee.names)
  }
}

/// The model as a side: it tells which hypercalls a call made, by name, and of TLBs and memory what it has in sum.
///
/// Invariant: `names` outlives it.
struct TellingModel<Inner: Stage2Backend & ~Copyable>: TellingBackend, ~Copyable {
  private var inner: Inner
  private let names: UnsafeMutablePointer<EffectNames>
  private var before = HypercallCounts()
  private var untold = UntoldEffects()
  /// It tells no arguments.
  private let kinds = KindDigests()
  private var (hypercallSum, items) = (UInt64(0), 0)
  private var walked: UInt64 = 0
  private var state: [UInt64] = []
  private var stateItems = 0

  init(_ inner: consuming Inner, names: UnsafeMutablePointer<EffectNames>) {
    self.inner = inner
    self.names = names
  }

  mutating func carryOut(_ call: StageCall) -> Int64 {
    untold.removeAll()
    state.removeAll(keepingCapacity: true)
    (hypercallSum, items, stateItems, walked) = (0, 0, 0, 0)
    if call.function == .look { tellState() }
    // Frames that are made up say nothing to the model.
    let result = call.perform(on: &inner, knowsFrame: false)
    noteHypercalls()
    if call.function.isOfAddress {
      switch inner.walk(IPA(call.ipa)) {
      case .invalid(let level):
        walked = EffectRecord.word(isValid: false, isYoung: false, level: level.rawValue, prot: [])
      case .leaf(let level, let prot, let young):
        walked = EffectRecord.word(isValid: true, isYoung: young, level: level.rawValue, prot: prot)
      }
    }
    return result
  }

  private mutating func noteHypercalls() {
    guard let counts = inner.hypercallCounts, counts.total != before.total else { return }
    for call in Hypercall.allCases where counts[call] != before[call] {
      let id = names.pointee.number(of: EffectNames.Name(.hypercall, call.name))
      let made = counts[call] - before[call]
      untold.add(id, count: UInt32(made))
      items += made
      hypercallSum &+= UInt64(made) &* names.pointee.all[Int(id)].hash
    }
    before = counts
  }

  private mutating func tellState() {
    if let memory = inner.accountedMemory {
      for level in 1...3 {
        let tables = memory.tables(level: TranslationLevel(Int8(level))).live
        tell(EffectNames.Name(.state, "tables of level \(level)"), tables)
      }
      if inner.hypercallCounts != nil { tell(EffectNames.Name(.state, "mappings"), memory.mappings.live) }
    }
    if let depth = inner.mappingTreeDepth() { tell(.treeDepth, depth.maximum) }
  }

  private mutating func tell(_ name: EffectNames.Name, _ value: Int) {
    let id = names.pointee.number(of: name)
    state += [UInt64(id) | 1 << 32, 0, UInt64(value)]
    stateItems += 1
  }

  func tell(_ call: StageCall, result: Int64, to writer: inout EffectWriter) -> Bool {
    let told = EffectWriter.Told(
      call: call, result: result, digest: 0, hypercallSum: hypercallSum, leaf: walked,
      items: items + stateItems, keptItems: stateItems)
    return state.withUnsafeBufferPointer { writer.write(told, kept: $0, untold: untold, kinds, names: names) }
  }
}
