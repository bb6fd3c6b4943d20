internal import KVMTypes

/// The VMs that the trace shows, by `VMIndex`: who they are, as the roster says, and what happens in them.
struct VMRegister: ~Copyable {
  var roster = VMRoster()
  private var vms = RecordStore<AttributedVM>()

  /// How many are taken in.
  var count: Int { vms.count }
  /// All VMs, in the order of appearance.
  var indices: some Collection<VMIndex> { (0..<vms.count).lazy.map { VMIndex($0) } }
  /// The VMs that are not gone.
  @inline(__always)
  var live: [VMIndex] { roster.live }

  subscript(vm: VMIndex) -> AttributedVM {
    @inline(__always) unsafeAddress { UnsafePointer(vms.place(of: vm.position)) }
    @inline(__always) unsafeMutableAddress { vms.place(of: vm.position) }
  }

  /// The thread that made the first commit of a VM's slots, which belongs to the VMM; nil where none told.
  func creator(of vm: VMIndex) -> ThreadID? { roster.creator(of: vm) }

  /// A VM appears, which the roster has already.
  mutating func append(_ vm: AttributedVM) {
    assert(vm.id.position == vms.count && vms.count < roster.count, "VMs are numbered as they appear")
    vms.append(vm)
  }
}
