public import KVMTypes

/// A value for each stream of which something came.
@usableFromInline
package struct StreamTable<Value> {
  /// What streams have of which nothing came, and those that nobody can tell apart.
  @usableFromInline let none: Value
  /// By CPU, of the first stream of each.
  @usableFromInline var first: ContiguousArray<Value> = []
  /// By lane and CPU, of the others: few CPUs have such.
  @usableFromInline var others: ContiguousArray<ContiguousArray<Value>> = []

  /// Nothing came.
  package init(none: Value) { self.none = none }

  /// The value of a stream.
  @inlinable
  package subscript(stream: StreamID) -> Value {
    @inline(__always) get {
      let cpu = Int(stream.cpu.rawValue)
      if stream.lane == 0 { return cpu < first.count ? first[cpu] : none }
      return valueOfOther(stream)
    }
    @inline(__always) set {
      let cpu = Int(stream.cpu.rawValue)
      if stream.lane == 0, cpu < first.count { first[cpu] = newValue } else { insert(newValue, stream) }
    }
  }

  /// The values of a CPU's streams, also of some of which nothing came.
  package func values(of cpu: CPUIndex) -> [Value] {
    ([first] + others).compactMap { Int(cpu.rawValue) < $0.count ? $0[Int(cpu.rawValue)] : nil }
  }

  /// So many CPUs have a place.
  package var cpuCount: Int { ([first] + others).map(\.count).max() ?? 0 }

  @usableFromInline
  func valueOfOther(_ stream: StreamID) -> Value {
    let (lane, cpu) = (Int(stream.lane) - 1, Int(stream.cpu.rawValue))
    return lane < others.count && cpu < others[lane].count ? others[lane][cpu] : none
  }

  @inline(never)
  @usableFromInline
  mutating func insert(_ value: Value, _ stream: StreamID) {
    if stream.isUnknown { return }
    let cpu = Int(stream.cpu.rawValue)
    guard stream.lane > 0 else {
      first.append(contentsOf: repeatElement(none, count: cpu + 1 - first.count))
      return first[cpu] = value
    }
    let lane = Int(stream.lane) - 1
    while others.count <= lane { others.append([]) }
    if others[lane].count <= cpu {
      others[lane].append(contentsOf: repeatElement(none, count: cpu + 1 - others[lane].count))
    }
    others[lane][cpu] = value
  }
}

extension StreamTable: Sendable where Value: Sendable {}
