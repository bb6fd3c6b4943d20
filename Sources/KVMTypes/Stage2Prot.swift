/// `enum kvm_pgtable_prot`: what a stage-2 mapping permits, with the bits that a probe on
/// `kvm_pgtable_stage2_map` records.
@frozen
public struct Stage2Prot: OptionSet, Hashable, Sendable {
  /// The bits, as the kernel numbers them.
  public var rawValue: UInt64

  /// The bits `rawValue`.
  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// `KVM_PGTABLE_PROT_PX`: execute at EL1.
  @inlinable
  public static var privilegedExecute: Stage2Prot { Stage2Prot(rawValue: 1) }
  /// `KVM_PGTABLE_PROT_UX`: execute at EL0.
  @inlinable
  public static var userExecute: Stage2Prot { Stage2Prot(rawValue: 2) }
  /// `KVM_PGTABLE_PROT_X`: execute at both.
  @inlinable
  public static var execute: Stage2Prot { Stage2Prot(rawValue: 3) }
  /// `KVM_PGTABLE_PROT_W`.
  @inlinable
  public static var write: Stage2Prot { Stage2Prot(rawValue: 4) }
  /// `KVM_PGTABLE_PROT_R`.
  @inlinable
  public static var read: Stage2Prot { Stage2Prot(rawValue: 8) }
  /// `KVM_PGTABLE_PROT_DEVICE`.
  @inlinable
  public static var device: Stage2Prot { Stage2Prot(rawValue: 0x10) }
  /// `KVM_PGTABLE_PROT_NORMAL_NC`.
  @inlinable
  public static var normalNonCacheable: Stage2Prot { Stage2Prot(rawValue: 0x20) }
  /// `KVM_PGTABLE_PROT_SW0`.
  @inlinable
  public static var software0: Stage2Prot { Stage2Prot(rawValue: 1 << 55) }
  /// `KVM_PGTABLE_PROT_SW1`.
  @inlinable
  public static var software1: Stage2Prot { Stage2Prot(rawValue: 1 << 56) }
  /// `KVM_PGTABLE_PROT_SW2`.
  @inlinable
  public static var software2: Stage2Prot { Stage2Prot(rawValue: 1 << 57) }
  /// `KVM_PGTABLE_PROT_SW3`.
  @inlinable
  public static var software3: Stage2Prot { Stage2Prot(rawValue: 1 << 58) }

  /// Read and write.
  @inlinable
  public static var rw: Stage2Prot { [.read, .write] }
  /// `KVM_PGTABLE_PROT_RWX`.
  @inlinable
  public static var rwx: Stage2Prot { [.read, .write, .execute] }

  /// The rights that a kernel before 6.19 recorded, which had one bit for execution (X 1, W 2, R 4, DEVICE 8,
  /// NORMAL_NC 16); the software bits are the same.
  public init(beforeXNX early: Stage2Prot) {
    let bits = early.rawValue
    self.init(rawValue: bits & ~0x3f | (bits & 1 != 0 ? 3 : 0) | (bits & 0x1e) << 1)
  }
}
