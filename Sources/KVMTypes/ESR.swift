/// ESR_EL2 of an abort that a guest took, the `hsr` field of `kvm_guest_fault`.
///
/// Bits as in the Arm ARM and `arch/arm64/include/asm/esr.h`. Newer CPUs fill ISS2 (bits 55:32), which
/// no accessor here reads.
@frozen
public struct ESR: Hashable, Sendable {
  /// The register's value.
  public var rawValue: UInt64

  /// The register value `rawValue`.
  @inlinable
  public init(_ rawValue: UInt64) { self.rawValue = rawValue }

  /// EC: why the exception was taken; 0x20 and 0x24 are the aborts of a guest.
  @inlinable
  public var exceptionClass: UInt8 { UInt8(truncatingIfNeeded: rawValue >> 26) & 0x3f }

  /// IL: the trapped instruction has 32 bits.
  @inlinable
  public var instructionLength32: Bool { rawValue & (1 << 25) != 0 }

  /// ISV: the access size and register fields are valid (data aborts only).
  @inlinable
  public var syndromeValid: Bool { rawValue & (1 << 24) != 0 }

  /// The bytes that the access covers, nil where the syndrome does not say.
  @inlinable
  public var accessBytes: Int? { syndromeValid ? 1 << Int((rawValue >> 22) & 3) : nil }

  /// CM: a cache maintenance or address translation instruction.
  @inlinable
  public var isCacheMaintenance: Bool { rawValue & (1 << 8) != 0 }

  /// S1PTW: stage 2 faulted while the CPU walked the guest's stage-1 table.
  @inlinable
  public var isStage1Walk: Bool { rawValue & (1 << 7) != 0 }

  /// WnR, as recorded. `isWrite` is what KVM makes of it.
  @inlinable
  public var writeNotRead: Bool { rawValue & (1 << 6) != 0 }

  /// IFSC or DFSC, the fault status code.
  @inlinable
  public var faultStatusCode: UInt8 { UInt8(truncatingIfNeeded: rawValue) & 0x3f }

  /// An instruction abort (`kvm_vcpu_trap_is_iabt`).
  @inlinable
  public var isInstructionAbort: Bool { exceptionClass == 0x20 }

  /// A data abort.
  @inlinable
  public var isDataAbort: Bool { exceptionClass == 0x24 }

  /// The guest fetched an instruction (`kvm_vcpu_trap_is_exec_fault`).
  @inlinable
  public var isExec: Bool { isInstructionAbort && !isStage1Walk }

  /// The guest wrote (`kvm_is_write_fault`): a fault of a stage-1 walk counts as a write when it is a
  /// permission fault (the CPU updates the descriptor) and never otherwise.
  @inlinable @inline(__always)
  public var isWrite: Bool {
    if isStage1Walk { return faultKind == .permission }
    if isInstructionAbort { return false }
    return writeNotRead
  }

  /// What kind of fault the status code names.
  @inlinable @inline(__always)
  public var faultKind: FaultKind {
    // Nearly all are of a level from 0 to 3, which is in the two lowest bits.
    switch faultStatusCode >> 2 {
    case 0: .addressSize
    case 1: .translation
    case 2: .accessFlag
    case 3: .permission
    default: kindWithoutLevelBits
    }
  }

  /// What kind of fault a status code names whose lowest bits are no level.
  @usableFromInline
  var kindWithoutLevelBits: FaultKind {
    switch faultStatusCode {
    case 0x2b: .translation
    case 0x29: .addressSize
    case 0x10, 0x13...0x17, 0x18, 0x1b...0x1f: .externalAbort
    case 0x35: .exclusiveOrAtomic
    default: .other
    }
  }

  /// The table level at which the walk stopped, nil for faults that have none.
  @inlinable @inline(__always)
  public var level: TranslationLevel? {
    switch faultStatusCode {
    case 0x00...0x0f: TranslationLevel(Int8(truncatingIfNeeded: faultStatusCode & 3))
    case 0x29, 0x2b: TranslationLevel(-1)
    default: nil
    }
  }
}

/// The kinds of abort that KVM tells apart (`kvm_handle_guest_abort`).
@frozen
public enum FaultKind: UInt8, Hashable, Sendable, CaseIterable {
  /// No valid descriptor: the page is not mapped.
  case translation
  /// A descriptor without the right that the access needs.
  case permission
  /// A descriptor whose access flag is clear, on a CPU that does not set it itself.
  case accessFlag
  /// The address has more bits than the table resolves.
  case addressSize
  /// A synchronous external abort or ECC error; KVM emits no `kvm_guest_fault` for it.
  case externalAbort
  /// An exclusive or atomic access to memory that does not support it (0x35).
  case exclusiveOrAtomic
  /// Any other status code.
  case other
}
