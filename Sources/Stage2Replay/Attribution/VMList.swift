internal import KVMTypes

/// VMs in the order of appearance, to which they are added and from which they are taken in any order.
struct VMList: Hashable, Sendable {
  private(set) var vms: [VMIndex] = []

  /// The VM that appeared last.
  var last: VMIndex? { vms.last }
  var isEmpty: Bool { vms.isEmpty }

  mutating func insert(_ vm: VMIndex) {
    let position = position(of: vm)
    assert(position == vms.count || vms[position] != vm, "a VM is in a list once")
    vms.insert(vm, at: position)
  }

  /// Takes a VM out, if it is there.
  mutating func remove(_ vm: VMIndex) {
    let position = position(of: vm)
    if position < vms.count, vms[position] == vm { vms.remove(at: position) }
  }

  /// Where a VM is, or would be.
  private func position(of vm: VMIndex) -> Int { vms.partitioningIndex { $0 >= vm } }
}
