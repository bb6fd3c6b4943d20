/// What is kept of each vCPU of a VM, by its index, and changed where it lies.
///
/// An array asks at every change whether it is the only one that knows its storage, and a fault changes several of these. This
/// does not ask, for it cannot be copied. It touches raw memory; what makes that safe: positions below `count` hold records,
/// nobody else knows the memory, and every access checks the position.
struct VCPURecords<Record: BitwiseCopyable>: ~Copyable {
  private var records = UnsafeMutablePointer<Record>.allocate(capacity: 4)
  private var capacity = 4
  private(set) var count = 0

  deinit { records.deallocate() }

  /// Their positions.
  var indices: Range<Int> { 0..<count }

  /// The record of the vCPU of this number.
  subscript(position: Int) -> Record {
    @inline(__always) unsafeAddress { UnsafePointer(place(of: position)) }
    @inline(__always) unsafeMutableAddress { place(of: position) }
  }

  @inline(__always)
  private func place(of position: Int) -> UnsafeMutablePointer<Record> {
    precondition(UInt(bitPattern: position) < UInt(bitPattern: count), "no such vCPU")
    return records + position
  }

  /// Whether there is a record of a vCPU.
  @inline(__always)
  func has(_ vcpu: VCPUIndex) -> Bool { UInt(bitPattern: vcpu.rawValue) < UInt(bitPattern: count) }

  /// Makes records up to that of `vcpu`, like `record`.
  mutating func extend(to vcpu: VCPUIndex, with record: Record) {
    while count <= vcpu.rawValue {
      if count == capacity { grow() }
      (records + count).initialize(to: record)
      count += 1
    }
  }

  private mutating func grow() {
    let larger = UnsafeMutablePointer<Record>.allocate(capacity: 2 * capacity)
    larger.moveInitialize(from: records, count: count)
    records.deallocate()
    records = larger
    capacity *= 2
  }

  /// The sum of what each record says.
  func sum(_ amount: (Record) -> Int) -> Int { indices.reduce(0) { $0 + amount(self[$1]) } }
}
