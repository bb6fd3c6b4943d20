public import KVMTrace
public import KVMTypes

/// A range of guest memory and the place in the VMM's address space that backs it (`struct kvm_memory_slot`).
public struct Memslot: Hashable, Sendable, BitwiseCopyable {
  /// The slot's number, nil where the trace does not tell it.
  public var id: Int16?
  /// The first frame.
  public var base: GFN
  /// How many pages of the host's size the slot has.
  public var pages: UInt64
  /// Where the first frame's memory lies in the VMM, nil where that is not known: no notifier can be joined with it.
  public var hva: HVA?
  /// The slot's flags.
  public var flags: MemslotFlags
  /// How the slot is known.
  public var basis: Basis

  /// A slot.
  public init(id: Int16?, base: GFN, pages: UInt64, hva: HVA?, flags: MemslotFlags, basis: Basis) {
    self.id = id
    self.base = base
    self.pages = pages
    self.hva = hva
    self.flags = flags
    self.basis = basis
  }

  /// The frame behind the last one.
  var end: GFN { base + pages }

  var frames: FrameRange { FrameRange(start: base, end: end) }

  /// Whether a kernel can have such a slot: addresses end at 52 bits, a slot at 2^31 - 1 pages
  /// (`KVM_MEM_MAX_NR_PAGES`), and neither address wraps around.
  func isPossible(_ pageSize: PageSize) -> Bool {
    let frames = IPA.limit >> pageSize.shift
    return pages > 0 && pages < 1 << 31 && base.rawValue < frames && pages <= frames - base.rawValue
      && !(hva?.rawValue ?? 0).addingReportingOverflow(pages << pageSize.shift).overflow
  }

  func contains(_ gfn: GFN) -> Bool { gfn >= base && gfn < end }

  func overlaps(_ base: GFN, _ pages: UInt64) -> Bool { self.base < base + pages && base < end }

  /// Whether dirty pages are logged: then every mapping is one page (`memslot_is_logging`).
  var isLogging: Bool { flags.contains(.logDirtyPages) && !flags.contains(.readOnly) }

  /// Where the memory of a frame of the slot lies in the VMM, nil where that is not known.
  func hva(of gfn: GFN, _ pageSize: PageSize) -> HVA? { hva.map { $0 + ((gfn - base) << pageSize.shift) } }

  /// The frames of the slot that a notifier's range covers, rounded outwards to pages
  /// (`hva_to_gfn_memslot` in `kvm_handle_hva_range`), nil where there are none.
  func frames(_ range: HVARange, _ pageSize: PageSize) -> FrameRange? {
    guard let hva else { return nil }
    let slotEnd = hva.rawValue &+ (pages << pageSize.shift)
    let start = max(range.start.rawValue, hva.rawValue)
    let end = min(range.end.rawValue, slotEnd)
    guard start < end else { return nil }
    let first = base + ((start - hva.rawValue) >> pageSize.shift)
    let last = base + ((end - 1 - hva.rawValue) >> pageSize.shift)
    return FrameRange(start: first, end: last + 1)
  }

  /// Whether a block of `bytes` may hold `gfn`: guest and host addresses are congruent modulo the block and the
  /// block lies inside the slot (`fault_supports_stage2_huge_mapping`). Where the host address is not known, they may be
  /// congruent. Of guest_memfd pages are mapped alone (`gmem_abort`).
  @inline(__always)
  func supportsBlock(of bytes: UInt64, at gfn: GFN, _ pageSize: PageSize) -> Bool {
    if flags.contains(.guestMemfd) { return bytes == pageSize.bytes }
    let gpa = base.ipa(pageSize).rawValue
    let hva = hva ?? HVA(gpa)
    guard (gpa ^ hva.rawValue) & (bytes - 1) == 0 else { return false }
    let address = hva.rawValue &+ ((gfn - base) << pageSize.shift)
    let block = address & ~(bytes - 1)
    return block >= hva.rawValue && block &+ bytes <= hva.rawValue &+ (pages << pageSize.shift)
  }
}

extension IPA {
  /// No Arm CPU has stage-2 tables for more than 52 bits in the formats that KVM uses.
  static let limit: UInt64 = 1 << 52
}

/// Consecutive guest frames.
public struct FrameRange: Hashable, Sendable, BitwiseCopyable {
  /// The first frame.
  public var start: GFN
  /// The frame behind the last one.
  public var end: GFN

  /// The frames `start ..< end`.
  public init(start: GFN, end: GFN) {
    self.start = start
    self.end = end
  }

  /// How many frames there are.
  public var count: UInt64 { end - start }

  /// Whether `gfn` is one of them.
  public func contains(_ gfn: GFN) -> Bool { gfn >= start && gfn < end }
}
