public import KVMTypes

/// What a page that the stage-2 MMU of a VM occupies is used for.
@frozen
public enum PageUse: UInt8, Hashable, Sendable, CaseIterable {
  /// The concatenated first-level tables (`kvm_pgtable::pgd`).
  case pgd
  /// A level-1 table below the PGD.
  case tableLevel1
  /// A level-2 table below the PGD.
  case tableLevel2
  /// A level-3 table below the PGD.
  case tableLevel3
  /// A spare page of a vCPU's cache on the host side: `mmu_page_cache` or `pkvm_memcache`.
  case hostMemcache
  /// A spare page of a vCPU's cache at EL2.
  case hypMemcache
  /// A free page of the guest's pool at EL2 (`pkvm_hyp_vm::pool`).
  case pool
  /// A spare page of `mmu.split_page_cache`.
  case splitCache
  /// A page of `struct pkvm_hyp_vm`, donated at the first run.
  case hypVM
  /// A page of `struct pkvm_hyp_vcpu`, donated at the vCPU's first run.
  case hypVCPU

  /// The use of a table of `level` below the PGD; the model never starts a walk above level 0.
  @inlinable
  public static func table(level: TranslationLevel) -> PageUse {
    switch level.rawValue {
    case 1: .tableLevel1
    case 2: .tableLevel2
    case 3: .tableLevel3
    default: preconditionFailure("no table below the PGD is at level \(level.rawValue)")
    }
  }

  /// Whether a page of this use is a table below the PGD.
  @inlinable
  public var isTable: Bool { self == .tableLevel1 || self == .tableLevel2 || self == .tableLevel3 }

  /// Whether a page of this use waits for becoming a table.
  @inlinable
  public var isSpare: Bool {
    self == .hostMemcache || self == .hypMemcache || self == .pool || self == .splitCache
  }

  /// The word that reports use.
  public var name: String {
    switch self {
    case .pgd: "pgd"
    case .tableLevel1: "tableLevel1"
    case .tableLevel2: "tableLevel2"
    case .tableLevel3: "tableLevel3"
    case .hostMemcache: "hostMemcache"
    case .hypMemcache: "hypMemcache"
    case .pool: "pool"
    case .splitCache: "splitCache"
    case .hypVM: "hypVM"
    case .hypVCPU: "hypVCPU"
    }
  }
}
