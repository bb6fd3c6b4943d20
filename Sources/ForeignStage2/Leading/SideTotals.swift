/// What one side told in sum: how often there was each effect, and what each function returned.
package struct SideTotals {
  /// One effect by name.
  package struct Total: Hashable, Sendable {
    package var count: UInt64 = 0
    /// Bytes that were maintained, objects that were taken, what there is of all VMs.
    package var amount: Int64 = 0
    /// Objects that were given back, the most that there was when VMs were looked at.
    package var other: Int64 = 0
  }

  /// What a function returned.
  package struct Results: Hashable, Sendable {
    package var calls: UInt64 = 0
    /// -EAGAIN.
    package var again: UInt64 = 0
    /// Another error.
    package var errors: UInt64 = 0
    /// 1 of a function that tells a truth.
    package var truths: UInt64 = 0
    /// Other than what the model returned, which leads.
    package var unlikeModel: UInt64 = 0

    /// Nothing.
    package init() {}
  }

  /// Every name that was ever told, with its sum.
  package private(set) var effects: [(name: EffectNames.Name, total: Total)] = []
  private var places: [EffectNames.Name: Int] = [:]
  /// Where the sum of a name is, by its number in the process that follows now.
  private var numbers: ContiguousArray<Int> = []
  package private(set) var results = [Results](repeating: Results(), count: StageCall.Function.allCases.count)
  /// What there was of each VM when it was looked at last, by the place of the name.
  private var states: [UInt32: [Int: Int64]] = [:]

  /// The functions that faults and notifications lead to.
  package static let operations: [StageCall.Function] = [
    .map, .unmap, .wrprotect, .testClearYoung, .relaxPerms, .mkyoung, .flush, .split,
  ]

  /// How many of the calls were such as faults and notifications lead to.
  package var operationCalls: UInt64 { Self.operations.reduce(0) { $0 + results[Int($1.rawValue)].calls } }

  /// A name has a number.
  ///
  /// - Returns: whether it is one that a process gives.
  mutating func learn(_ number: UInt32, _ name: EffectNames.Name) -> Bool {
    guard Int(number) == numbers.count else { return false }
    let place = places[name] ?? effects.count
    if place == effects.count {
      effects.append((name, Total()))
      places[name] = place
    }
    numbers.append(place)
    return true
  }

  /// Another process gives numbers of its own.
  mutating func forgetNumbers() { numbers.removeAll() }

  /// The name of a number.
  func name(_ number: UInt32) -> EffectNames.Name? {
    guard Int(number) < numbers.count else { return nil }
    return effects[numbers[Int(number)]].name
  }

  /// Adds what is told of one call. What only corrects the model is no kernel's.
  @inline(__always)
  mutating func add(_ record: EffectRecord) {
    if record.isCorrection { return }
    if let function = record.function {
      results[Int(function.rawValue)].add(record.result)
      if record.isUnlikeModel { results[Int(function.rawValue)].unlikeModel += 1 }
    }
    if record.itemCount > 0 { addItems(record) }
    if record.function == .release { forget(vm: record.vm) }
  }

  /// Nothing more is there of a VM, or nobody looks at it any more.
  mutating func forget(vm: UInt32) {
    for (place, value) in states.removeValue(forKey: vm) ?? [:] where effects[place].name.addsUp {
      effects[place].total.amount &-= value
    }
  }

  private mutating func addItems(_ record: EffectRecord) {
    record.forEachItem { number, _, arguments in
      guard Int(number) < numbers.count else { return }
      let place = numbers[Int(number)]
      let kind = effects[place].name.kind
      var sum = EffectSum()
      sum.add(kind, arguments)
      add(sum, at: place)
      if kind == .state, let first = arguments.first {
        note(place, ofVM: record.vm, Int64(clamping: first))
      }
    }
    record.forEachUntold { number, sum in
      guard Int(number) < numbers.count else { return }
      add(sum, at: numbers[Int(number)])
    }
  }

  @inline(__always)
  private mutating func add(_ sum: EffectSum, at place: Int) {
    effects[place].total.count &+= UInt64(sum.count)
    effects[place].total.amount &+= sum.amount
    effects[place].total.other &+= sum.other
  }

  /// What there is of a VM: of all VMs together, and the most that it ever was. A backend may state anything, of which no sum has to be
  /// right.
  private mutating func note(_ place: Int, ofVM vm: UInt32, _ value: Int64) {
    let before = states[vm, default: [:]].updateValue(value, forKey: place) ?? 0
    if effects[place].name.addsUp {
      effects[place].total.amount &+= value &- before
    } else {
      effects[place].total.amount = value
    }
    effects[place].total.other = max(effects[place].total.other, effects[place].total.amount)
  }
}

extension SideTotals.Results {
  @inline(__always)
  fileprivate mutating func add(_ result: Int64) {
    calls += 1
    if result == 1 { truths += 1 }
    if result < 0 { if result == -11 { again += 1 } else { errors += 1 } }
  }
}
