internal import KVMTypes

// What is kept of each vCPU of a VM, by its index: a fault changes several of these records.

extension RecordStore {
  /// Their positions.
  var indices: Range<Int> { 0..<count }

  /// Whether there is a record of a vCPU.
  @inline(__always)
  func has(_ vcpu: VCPUIndex) -> Bool { UInt(bitPattern: vcpu.rawValue) < UInt(bitPattern: count) }

  /// Makes records up to that of `vcpu`, like `record`.
  mutating func extend(to vcpu: VCPUIndex, with record: Record) {
    while count <= vcpu.rawValue { append(record) }
  }

  /// The sum of what each record says.
  func sum(_ amount: (Record) -> Int) -> Int { indices.reduce(0) { $0 + amount(self[$1]) } }
}
