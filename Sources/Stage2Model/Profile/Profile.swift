public import KVMTypes

/// Which kernel on which host is modelled. A value: change a field to try a patch.
///
/// Start from `builtIn(named:)` or `init(path:era:)`, change fields directly or by name
/// (`set(_:to:)`, for profiles that come from a file), then ask for `problems()`.
@frozen
public struct Profile: Hashable, Sendable {
  /// Who changes the guest's stage-2 table: a property of the host's boot mode
  /// (`is_protected_kvm_enabled()`), the same for all its VMs.
  @frozen
  public enum Path: String, Hashable, Sendable, CaseIterable {
    /// The host itself, `kvm_pgtable_stage2_*`.
    case traditional
    /// EL2, by hypercall, `pkvm_pgtable_stage2_*`.
    case pkvm
  }

  /// What `kvm_fault_lock` takes.
  @frozen
  public enum FaultLock: String, Hashable, Sendable, CaseIterable {
    /// `read_lock(&kvm->mmu_lock)`: faults of different vCPUs run side by side.
    case read
    /// `write_lock(&kvm->mmu_lock)`: one fault of a VM at a time.
    case write
  }

  /// What reports call the profile.
  public var name: String
  /// Traditional or pKVM.
  public var path: Path
  /// Which generation of the kernel. The traditional path changed little; see `PKVMEra` for the other.
  public var era: PKVMEra
  /// A protected guest: only under pKVM, and only where the era gives it memory.
  public var isProtected: Bool
  /// The host's page size.
  public var pageSize: PageSize
  /// The bits of an IPA: the VM's on the traditional path, the host's limit under pKVM.
  public var ipaBits: Int
  /// FEAT_HAFDBS: the CPU sets access flags itself, no access faults occur.
  public var hasHardwareAF: Bool
  /// CTR_EL0.DIC: every cacheable mapping is executable from the start.
  public var hasDIC: Bool
  /// FEAT_S2FWB: no cache maintenance.
  public var hasFWB: Bool
  /// FEAT_TLBIRANGE.
  public var hasTLBIRange: Bool
  /// FEAT_XNX, used from 6.19 on.
  public var hasXNX: Bool
  /// What a fault takes to map. The kernel's choice is read, and write under pKVM.
  public var faultLock: FaultLock
  /// Whether faults may map blocks. Under pKVM from 6.16 on.
  public var mapsBlocks: Bool
  /// Bytes of the slab that one `struct pkvm_mapping` costs: 64, and 8 more with memory control groups.
  public var bytesPerNode: Int
  /// Mappings that one hypercall of a range operation covers; the kernel's answer is 1.
  public var hypercallBatch: Int
  /// `mmu.split_page_chunk_size` (`KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE`), 0 for no eager splitting.
  public var splitChunkBytes: UInt64
  /// Whether a fault's address is aligned to a page before it is mapped; nil for what the era says. A stable release
  /// of 6.18 or 6.19 may be on the other side of the fix.
  public var alignsFaultIPA: Bool?

  /// The kernel of `era` as it is, on a host with 4 KiB pages and hardware access flags.
  public init(path: Path, era: PKVMEra) {
    name = Self.name(path, era)
    self.path = path
    self.era = era
    isProtected = false
    pageSize = .size4K
    ipaBits = path == .pkvm ? 48 : Stage2Geometry.defaultIPABits
    hasHardwareAF = true
    hasDIC = false
    hasFWB = false
    hasTLBIRange = false
    hasXNX = false
    faultLock = path == .pkvm ? .write : .read
    mapsBlocks = path == .traditional || era.hasIntervalTree
    bytesPerNode = 64
    hypercallBatch = 1
    splitChunkBytes = 0
  }

  /// What a kernel as it is is called: `7.3-pkvm`.
  public static func name(_ path: Path, _ era: PKVMEra) -> String { "\(era.name)-\(path.rawValue)" }

  /// A profile for each name that `profiles` lists, on a host with 4 KiB pages: `v3-pkvm` to `7.3-traditional`.
  public static var builtIns: [Profile] { NamedKernel.listed.map(Profile.init) }

  /// The built-in profile of that name. A release alone, such as `7.3`, names its profile in protected mode here, where no
  /// trace tells.
  public static func builtIn(named name: String) -> Profile? { NamedKernel(name).map(Profile.init) }

  /// A kernel on a host with 4 KiB pages and hardware access flags, in protected mode where its name does not tell.
  init(_ kernel: NamedKernel) {
    self.init(path: kernel.path(isProtectedMode: kernel.isProtectedMode ?? true), era: kernel.era)
    name = kernel.name
  }

  /// Whether EL2 owns the table.
  @inlinable
  public var isPKVM: Bool { path == .pkvm }

  /// The shape of the table.
  ///
  /// - Throws: where `problems()` has `ipaBits` among its fields.
  public func geometry() throws(Stage2Geometry.Failure) -> Stage2Geometry {
    try Stage2Geometry(pageSize: pageSize, ipaBits: ipaBits)
  }

  /// What the CPU offers to the table, and the era makes of it.
  public var features: Stage2Features {
    Stage2Features(
      hasFWB: hasFWB, hasTLBIRange: hasTLBIRange, hasXNX: hasXNX && era >= .v6_19,
      relaxPermsTakesExecute: era.relaxPermsTakesExecute)
  }
}
