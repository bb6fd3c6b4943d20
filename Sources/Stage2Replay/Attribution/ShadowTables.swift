internal import KVMTypes

/// Shadow stage-2 tables, as probes on operations show them: KVM keeps several for a vCPU whose guest has guests
/// (`kvm->arch.nested_mmus`), and none of them is the VM's own.
struct ShadowTables {
  private var tables: Set<KernelAddress> = []

  /// A table is changed. Whether it is a shadow table: what a nested guest's fault changes is one, whoever changes it later.
  mutating func take(_ table: KernelAddress, isOfNestedFault: Bool) -> Bool {
    if isOfNestedFault { tables.insert(table) }
    return tables.contains(table)
  }
}
