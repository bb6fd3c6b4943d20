internal import KVMTypes

/// What events say of the regions that faults have touched, by VM.
struct RegionRegisters: ~Copyable {
  private var registers = RecordStore<RegionRegister>()
  private let pageSize: PageSize

  init(pageSize: PageSize) { self.pageSize = pageSize }

  /// What events say of a region.
  subscript(region: RegionIndex, of vm: VMIndex) -> RegionActivity {
    @inline(__always) get { registers[vm.position][region] }
  }

  /// The region of `gfn`, taken in if it is new. Parameters as of `RegionRegister.insert`.
  mutating func insert(_ gfn: GFN, vm: VMIndex, lastUnmap: Sequence) -> (region: RegionIndex, isNew: Bool) {
    while registers.count <= vm.position { registers.append(RegionRegister(pageSize: pageSize)) }
    return registers[vm.position].insert(gfn, lastUnmap: lastUnmap)
  }

  /// A fault on a frame comes soon.
  @inline(__always)
  func prefetch(_ gfn: GFN, of vm: VMIndex) {
    if vm.position < registers.count { registers[vm.position].prefetch(gfn) }
  }

  /// Memory of some regions was unmapped until now.
  mutating func noteUnmapped(_ blocks: ClosedRange<UInt64>, vm: VMIndex, at now: Sequence) {
    guard vm.position < registers.count else { return }
    registers[vm.position].update(in: blocks) { $0.lastUnmap = now }
  }

  /// A thread has begun to age memory of some regions.
  mutating func noteAge(_ blocks: ClosedRange<UInt64>, vm: VMIndex, by thread: ThreadIndex, at now: Sequence)
  {
    guard vm.position < registers.count else { return }
    registers[vm.position].update(in: blocks) { region in
      region.lastAge = now
      region.lastAgeThread = thread
    }
  }
}
