public import KVMTypes

/// The kinds of stage-2 operation that the kernel performs on a table.
public enum OperationKind: UInt8, Hashable, Sendable, CaseIterable {
  /// `*_pgtable_stage2_map`.
  case map
  /// `*_pgtable_stage2_unmap`.
  case unmap
  /// `*_pgtable_stage2_wrprotect`.
  case wrprotect
  /// `*_pgtable_stage2_relax_perms`.
  case relaxPerms
  /// `*_pgtable_stage2_mkyoung`.
  case mkyoung
  /// `*_pgtable_stage2_test_clear_young`.
  case testClearYoung
  /// `*_pgtable_stage2_flush`.
  case flush
  /// `kvm_pgtable_stage2_split`.
  case split

  /// Whether it is what a notification leads to (`kvm_unmap_gfn_range`, `kvm_age_gfn`).
  var isOfNotifier: Bool { self == .unmap || self == .testClearYoung }

  /// The name in the operations file.
  public var name: String {
    switch self {
    case .map: "map"
    case .unmap: "unmap"
    case .wrprotect: "wrprotect"
    case .relaxPerms: "relax_perms"
    case .mkyoung: "mkyoung"
    case .testClearYoung: "test_clear_young"
    case .flush: "flush"
    case .split: "split"
    }
  }
}

/// One call of a stage-2 function, predicted from the events or recorded by a probe.
public struct Stage2Operation: Hashable, Sendable {
  /// When: for a fault's operation the moment at which its window ends, for a range operation that of its notifier.
  public var time: Nanoseconds
  /// The processor.
  public var cpu: CPUIndex
  /// The thread that made the call.
  public var tid: ThreadID
  /// The VM, as the report numbers them.
  public var vm: Int
  /// Which function.
  public var kind: OperationKind
  /// `addr`, in bytes.
  public var address: IPA
  /// `size`, in bytes; 0 for functions without one.
  public var size: UInt64
  /// `prot`, nil for functions without one or where it is not known.
  public var prot: Stage2Prot?
  /// `mkold` of test_clear_young.
  public var markOld = false
  /// What the function returned: 0, a negative errno, or 0 and 1 for test_clear_young; nil for mkyoung.
  public var result: Int32?
  /// How it is known that the operation took place, with this address, size and result.
  public var basis: Basis
  /// How `prot` is known, where there is one.
  public var protBasis: Basis?

  /// An operation.
  public init(
    time: Nanoseconds, cpu: CPUIndex, tid: ThreadID, vm: Int, kind: OperationKind, address: IPA, size: UInt64,
    prot: Stage2Prot?, result: Int32?, basis: Basis
  ) {
    self.time = time
    self.cpu = cpu
    self.tid = tid
    self.vm = vm
    self.kind = kind
    self.address = address
    self.size = size
    self.prot = prot
    self.result = result
    self.basis = basis
  }
}
