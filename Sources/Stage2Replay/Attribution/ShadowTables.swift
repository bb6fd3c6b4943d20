internal import KVMTypes

/// Shadow stage-2 tables, as probes on operations show them: KVM keeps several for a vCPU whose guest has guests
/// (`kvm->arch.nested_mmus`), and none of them is the VM's own.
struct ShadowTables {
  private var tables: Set<KernelAddress> = []
  /// How many are known at once. A VM has two for each of its 512 vCPUs at most (`S2_MMU_PER_VCPU`), and all of 64 such VMs fit.
  static let tablesMax = 64 * 2 * 512

  /// A table is changed. Whether it is a shadow table: what a nested guest's fault changes is one, whoever changes it later.
  mutating func take(_ table: KernelAddress, isOfNestedFault: Bool) -> Bool {
    if isOfNestedFault {
      // They are gone with their VMs, of which no event tells. Those that are not come back with their next fault.
      if tables.count == Self.tablesMax, !tables.contains(table) { tables.removeAll() }
      tables.insert(table)
    }
    return tables.contains(table)
  }
}
