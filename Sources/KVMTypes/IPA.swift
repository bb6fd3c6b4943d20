/// An intermediate physical address: what a guest believes to be physical, in bytes.
///
/// Stage 2 translates it. `kvm_guest_fault` reports it with a granularity of 4 KiB whatever the host's
/// page size is (HPFAR_EL2.FIPA holds bits 12 and up).
@frozen
public struct IPA: Hashable, Comparable, Sendable {
  /// The address in bytes.
  public var rawValue: UInt64

  /// The address `rawValue`, in bytes.
  @inlinable
  public init(_ rawValue: UInt64) { self.rawValue = rawValue }

  /// By address.
  @inlinable
  public static func < (a: IPA, b: IPA) -> Bool { a.rawValue < b.rawValue }

  /// The address `bytes` further up.
  @inlinable
  public static func + (a: IPA, bytes: UInt64) -> IPA { IPA(a.rawValue + bytes) }

  /// The address `bytes` further down.
  @inlinable
  public static func - (a: IPA, bytes: UInt64) -> IPA { IPA(a.rawValue - bytes) }

  /// The first address of the naturally aligned block of `size` bytes (a power of two) around this one.
  @inlinable
  public func alignedDown(to size: UInt64) -> IPA { IPA(rawValue & ~(size &- 1)) }

  /// Whether the address is a multiple of `size` bytes (a power of two).
  @inlinable
  public func isAligned(to size: UInt64) -> Bool { rawValue & (size &- 1) == 0 }

  /// The frame that holds this address.
  @inlinable
  public func gfn(_ pageSize: PageSize) -> GFN { GFN(rawValue &>> pageSize.shift) }
}

/// A guest frame number: an `IPA` in units of the *host's* page size (`gfn_t`).
@frozen
public struct GFN: Hashable, Comparable, Sendable {
  /// The number of the frame.
  public var rawValue: UInt64

  /// The frame numbered `rawValue`.
  @inlinable
  public init(_ rawValue: UInt64) { self.rawValue = rawValue }

  /// By number.
  @inlinable
  public static func < (a: GFN, b: GFN) -> Bool { a.rawValue < b.rawValue }

  /// The frame `pages` further up.
  @inlinable
  public static func + (a: GFN, pages: UInt64) -> GFN { GFN(a.rawValue + pages) }

  /// How many frames lie between `b` and `a`; `a` must not lie below `b`.
  @inlinable
  public static func - (a: GFN, b: GFN) -> UInt64 { a.rawValue - b.rawValue }

  /// The address of the frame's first byte.
  @inlinable
  public func ipa(_ pageSize: PageSize) -> IPA { IPA(rawValue &<< pageSize.shift) }
}
