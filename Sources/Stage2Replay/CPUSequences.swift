internal import KVMTypes

/// The place in the merged trace of each CPU's last event.
struct CPUSequences {
  /// By number of the CPU.
  private var last: [Sequence] = []

  /// The place of a CPU's last event, `start` where there is none.
  subscript(cpu: CPUIndex) -> Sequence {
    get {
      let index = Int(cpu.rawValue)
      return index < last.count ? last[index] : .start
    }
    @inline(__always)
    set {
      let index = Int(cpu.rawValue)
      if index >= last.count { extend(to: index) }
      last[index] = newValue
    }
  }

  @inline(never)
  private mutating func extend(to index: Int) {
    last.append(contentsOf: repeatElement(.start, count: index + 1 - last.count))
  }
}
