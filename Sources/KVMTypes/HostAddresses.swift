/// A host virtual address: where a memslot's memory lies in the VMM's address space, in bytes.
///
/// The MMU notifier events (`kvm_unmap_hva_range`, `kvm_age_hva`, `kvm_test_age_hva`) speak of these.
@frozen
public struct HVA: Hashable, Comparable, Sendable {
  /// The address in bytes.
  public var rawValue: UInt64

  /// The address `rawValue`, in bytes.
  @inlinable
  public init(_ rawValue: UInt64) { self.rawValue = rawValue }

  /// By address.
  @inlinable
  public static func < (a: HVA, b: HVA) -> Bool { a.rawValue < b.rawValue }

  /// The address `bytes` further up.
  @inlinable
  public static func + (a: HVA, bytes: UInt64) -> HVA { HVA(a.rawValue &+ bytes) }

  /// How many bytes lie between `b` and `a`; `a` must not lie below `b`.
  @inlinable
  public static func - (a: HVA, b: HVA) -> UInt64 { a.rawValue - b.rawValue }
}

/// A host page frame number (`kvm_pfn_t`), in units of the host's page size.
@frozen
public struct PFN: Hashable, Comparable, Sendable {
  /// The number of the frame.
  public var rawValue: UInt64

  /// The frame numbered `rawValue`.
  @inlinable
  public init(_ rawValue: UInt64) { self.rawValue = rawValue }

  /// By number.
  @inlinable
  public static func < (a: PFN, b: PFN) -> Bool { a.rawValue < b.rawValue }

  /// The frame `pages` further up.
  @inlinable
  public static func + (a: PFN, pages: UInt64) -> PFN { PFN(a.rawValue &+ pages) }
}

/// A kernel address as a probe records it: `struct kvm`, `struct kvm_pgtable`, a lock. Only ever compared.
@frozen
public struct KernelAddress: Hashable, Sendable {
  /// The address.
  public var rawValue: UInt64

  /// The address `rawValue`.
  @inlinable
  public init(_ rawValue: UInt64) { self.rawValue = rawValue }
}

/// A guest virtual address, as FAR_EL2 or a program counter reports it, in bytes.
@frozen
public struct GuestVA: Hashable, Sendable {
  /// The address in bytes.
  public var rawValue: UInt64

  /// The address `rawValue`, in bytes.
  @inlinable
  public init(_ rawValue: UInt64) { self.rawValue = rawValue }
}
