import KVMTypes

/// What a model of one VM on a pKVM host needs to know beforehand.
public struct PKVMConfiguration: Sendable {
  /// Which kernel.
  public var era: PKVMEra
  /// The shape of EL2's table for the guest.
  public var geometry: Stage2Geometry
  /// What the CPU offers, and the era makes of it.
  public var features: Stage2Features
  /// A protected guest: its pages are donated, not shared, and only 7.3 knows it.
  public var isProtected: Bool
  /// What one `struct pkvm_mapping` takes: 64 bytes of slab, 72 where memory control groups account for it.
  public var bytesPerMapping: Int
  /// Mappings that one hypercall of a range operation covers: 1 in every kernel, more to try a patch. EL2
  /// does the same work; only the round trips are fewer.
  public var hypercallBatch: Int
  /// Whether the kernel-shaped tree is kept.
  ///
  /// Without it, mappings are found in EL2's table, which has them all and is several times faster to search;
  /// depth and visited nodes are then not counted. Protected guests and eras before 6.16 always keep it,
  /// since their trees may hold what EL2 does not map.
  public var keepsMappingTree: Bool
  /// Whether a hypercall on behalf of a vCPU fails with -EINVAL unless `loadVCPU` was called, as at EL2.
  ///
  /// A replay sees a vCPU only when it faults: without this, a vCPU that maps has run and is loaded.
  public var requiresLoadedVCPU: Bool
  /// vCPUs that the VM was created with, which sizes `struct pkvm_hyp_vm`.
  public var createdVCPUs: Int

  /// The configuration of a non-protected guest on Linux 7.3, to be changed field by field.
  public init(geometry: Stage2Geometry, era: PKVMEra = .v7_3, isProtected: Bool = false) {
    self.era = era
    self.geometry = geometry
    self.isProtected = isProtected
    features = Stage2Features(relaxPermsTakesExecute: era.relaxPermsTakesExecute)
    bytesPerMapping = 64
    hypercallBatch = 1
    keepsMappingTree = true
    requiresLoadedVCPU = false
    createdVCPUs = 1
  }

  /// Whether the tree is kept in the end.
  var needsMappingTree: Bool { keepsMappingTree || isProtected || !era.hasIntervalTree }

  var secPageTablesRule: SecPageTablesRule { era.accountsMemcache ? .tablesAndMemcaches : .nothing }

  /// Pages of `struct pkvm_hyp_vm`: 4496 bytes and a pointer for each vCPU, in whole pages.
  var hypVMPages: Int { pages(of: 4496 + 8 * UInt64(createdVCPUs)) }

  /// Pages of `struct pkvm_hyp_vcpu`: 9040 bytes, in whole pages.
  var hypVCPUPages: Int { pages(of: 9040) }

  private func pages(of bytes: UInt64) -> Int {
    let shift = geometry.pageSize.shift
    return Int((bytes + (1 << shift) - 1) >> shift)
  }
}
