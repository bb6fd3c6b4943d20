/// A generation of `arch/arm64/kvm/pkvm.c`: the releases between which the host side of pKVM's stage 2
/// behaves alike.
@frozen
public enum PKVMEra: UInt8, Hashable, Comparable, Sendable, CaseIterable {
  /// The third version of the series that introduced it (December 2024), never released.
  case v3
  /// Linux 6.14.
  case v6_14
  /// Linux 6.15.
  case v6_15
  /// Linux 6.16 and 6.17.
  case v6_16
  /// Linux 6.18.
  case v6_18
  /// Linux 6.19 and 7.0.
  case v6_19
  /// Linux 7.1.
  case v7_1
  /// Linux 7.2.
  case v7_2
  /// Linux 7.3.
  case v7_3

  /// Older is less.
  @inlinable
  public static func < (a: PKVMEra, b: PKVMEra) -> Bool { a.rawValue < b.rawValue }

  /// What profiles call it.
  public var name: String {
    switch self {
    case .v3: "v3"
    case .v6_14: "6.14"
    case .v6_15: "6.15"
    case .v6_16: "6.16"
    case .v6_18: "6.18"
    case .v6_19: "6.19"
    case .v7_1: "7.1"
    case .v7_2: "7.2"
    case .v7_3: "7.3"
    }
  }

  /// The era that profiles call `name`.
  public init?(name: String) {
    guard let era = Self.allCases.first(where: { $0.name == name }) else { return nil }
    self = era
  }

  /// Mappings lie in an interval tree and may be blocks; before, in a plain red-black tree of pages, and
  /// `map` refuses every size but PAGE_SIZE.
  @inlinable
  public var hasIntervalTree: Bool { self >= .v6_16 }

  /// `map` calls EL2 before it looks for mappings: -EPERM becomes -EAGAIN, and any other error is returned
  /// *after* a mapping was inserted that EL2 knows nothing of.
  @inlinable
  public var sharesBeforeLookup: Bool { self < .v6_16 }

  /// Tables are destroyed in chunks (`destroy_range`, `destroy_pgd`), before in one call (`destroy`).
  @inlinable
  public var destroysInChunks: Bool { self >= .v6_19 }

  /// The PGD and the pages of the memory caches count as SecPageTables (`HYP_MEMCACHE_ACCOUNT_STAGE2`); before,
  /// nothing does.
  @inlinable
  public var accountsMemcache: Bool { self >= .v6_15 }

  /// The VM's handle is reserved at its creation, before at the first run of a vCPU.
  @inlinable
  public var reservesHandle: Bool { self >= .v6_18 }

  /// The first run of any vCPU creates all of them at EL2; from 6.15 on each is created at its own first run.
  @inlinable
  public var createsAllVCPUs: Bool { self < .v6_15 }

  /// A share that EL2 refuses is warned of. Before 6.16 it was not, and in 7.3 it is not again.
  @inlinable
  public var warnsOfFailedShare: Bool { self >= .v6_16 && self < .v7_3 }

  /// EL2 answers -EAGAIN to `relax_perms` on what is not mapped. Before, its walkers, which lacked
  /// `KVM_PGTABLE_WALK_HANDLE_FAULT`, went on after -EAGAIN, and the answer was 0.
  @inlinable
  public var relaxPermsFindsHoles: Bool { self >= .v6_19 }

  /// `relax_perms` without a right to execute takes it from a leaf that has it: the rework for FEAT_XNX writes the XN field
  /// whatever was asked for. Recordings of 6.19.14, 7.0.13 and 7.1.13 show it, those of 6.18.15 and 7.2.12 do not.
  @inlinable
  public var relaxPermsTakesExecute: Bool { self >= .v6_19 && self < .v7_2 }

  /// Protected guests get memory, and teardown has a start and an end; before, `__pkvm_teardown_vm` alone.
  @inlinable
  public var supportsProtectedGuests: Bool { self >= .v7_1 }

  /// EL2 refuses a map with -ENOMEM unless its cache holds what a map can need at most; before, running
  /// out of pages panics the hypervisor.
  @inlinable
  public var prechecksMemcache: Bool { self >= .v7_1 }

  /// `flush` returns at once on a CPU with FEAT_S2FWB; before, it walks the mappings and cleans nothing.
  @inlinable
  public var flushSkipsWithFWB: Bool { self >= .v7_3 }

  /// A mapping remembers that it is of device memory or not cacheable (`nc`), and `flush` passes over it.
  @inlinable
  public var marksNonCacheable: Bool { self >= .v7_3 }

  /// A fault tops up the memory cache whatever its kind; before, a permission fault does so only while
  /// the slot logs dirty pages.
  @inlinable
  public var topsUpOnEveryFault: Bool { self >= .v7_3 }

  /// The fault's address is aligned to the mapping before it reaches `map`. Before, with pages larger than
  /// 4 KiB, the bits that HPFAR_EL2 has below the page reach it, and the range overlaps the next page.
  ///
  /// Fixed in 7.0, and in the stable releases 6.19.9 and 6.18.19. For a kernel of either series on the other
  /// side of its fix there is `Profile.alignsFaultIPA`.
  @inlinable
  public var alignsFaultIPA: Bool { self >= .v6_19 }

  /// A fault of any slot that logs dirty pages tops up the memory cache; before, only one that writes.
  @inlinable
  public var topsUpWhileLogging: Bool { self >= .v7_3 }

  /// An exclusive or atomic access to memory that does not support it (status code 0x35), and LD64B and ST64B to
  /// devices, have paths of their own; before, the former ends KVM_RUN with -EFAULT. 7.0 has them too.
  @inlinable
  public var handlesExclusiveFaults: Bool { self >= .v7_1 }

  /// A permission fault on a page of a guest_memfd relaxes its leaf. Before, it maps the page again, which is -EAGAIN where only
  /// rights differ: the guest faults for ever. Stable releases of older series may have the fix.
  @inlinable
  public var relaxesGuestMemfd: Bool { self >= .v7_1 }

  /// A permission fault that neither wrote nor fetched ends KVM_RUN with -EFAULT; from 6.18 on it is handled like
  /// any other.
  @inlinable
  public var refusesReadPermissionFaults: Bool { self < .v6_18 }

  /// Device memory that the VMM maps by a huge leaf is found like a transparent huge page. Before, the alignment
  /// of its VMA decides about a block, which the caller says by `HostPage.vmaShift`.
  @inlinable
  public var growsDeviceMappings: Bool { self >= .v7_1 }
}
