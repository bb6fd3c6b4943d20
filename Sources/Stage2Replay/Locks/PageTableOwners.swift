internal import KVMTypes

/// Which VMs the page tables are of that probes name (`struct kvm_pgtable`).
///
/// No event tells. But the table on which a vCPU operates in the course of its own fault is its VM's, and of whoever else
/// operates on it the VM is known by that. The kernel uses the address of a table again once its VM is gone.
struct PageTableOwners {
  private var owners: [KernelAddress: VMIndex] = [:]
  /// The last table that was asked for: those of one VM come in a row, and this spares a hash.
  private var last: (table: KernelAddress, owner: VMIndex?)?

  /// The VM that a table is of, nil until that is known.
  @inline(__always)
  mutating func owner(of table: KernelAddress) -> VMIndex? {
    if let last, last.table == table { return last.owner }
    let owner = owners[table]
    last = (table, owner)
    return owner
  }

  /// A vCPU of `vm` operates on a table in the course of a fault. Whether that is news.
  mutating func note(_ table: KernelAddress, of vm: VMIndex) -> Bool {
    guard owner(of: table) != vm else { return false }
    owners[table] = vm
    last = (table, vm)
    return true
  }

  /// The table's VM is gone.
  mutating func forget(_ table: KernelAddress) {
    owners[table] = nil
    last = (table, nil)
  }
}
