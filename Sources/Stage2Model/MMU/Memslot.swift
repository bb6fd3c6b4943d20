public import KVMTypes

/// A range of guest memory and the memory of the VMM behind it (`struct kvm_memory_slot`).
@frozen
public struct Memslot: Hashable, Sendable {
  /// `KVM_MEM_*`.
  @frozen
  public struct Flags: OptionSet, Hashable, Sendable {
    /// The bits, as userspace passes them.
    public var rawValue: UInt32

    /// The bits `rawValue`.
    @inlinable
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// `KVM_MEM_LOG_DIRTY_PAGES`.
    @inlinable
    public static var logDirtyPages: Flags { Flags(rawValue: 1) }
    /// `KVM_MEM_READONLY`.
    @inlinable
    public static var readonly: Flags { Flags(rawValue: 2) }
    /// `KVM_MEM_GUEST_MEMFD`.
    @inlinable
    public static var guestMemfd: Flags { Flags(rawValue: 4) }
  }

  /// Address space and slot number, as userspace passes them.
  public var id: UInt32
  /// The first guest frame (`base_gfn`).
  public var baseGFN: GFN
  /// How many pages (`npages`).
  public var pages: UInt64
  /// Where the memory lies in the VMM (`userspace_addr`).
  public var hva: HVA
  /// What userspace asked for.
  public var flags: Flags

  /// A memslot.
  @inlinable
  public init(id: UInt32, baseGFN: GFN, pages: UInt64, hva: HVA, flags: Flags = []) {
    self.id = id
    self.baseGFN = baseGFN
    self.pages = pages
    self.hva = hva
    self.flags = flags
  }

  /// The first frame behind the slot.
  @inlinable
  public var endGFN: GFN { baseGFN + pages }

  /// `memslot_is_logging`: dirty pages are logged, which a read-only slot cannot have.
  @inlinable
  public var isLogging: Bool { flags.contains(.logDirtyPages) && !flags.contains(.readonly) }

  /// The slot's bucket of `id_hash`, which has 128 (`hash_32` of the number in its address space).
  var idBucket: UInt32 { ((id & 0xffff) &* 0x61c8_8647) >> 25 }

  /// Whether the slot has `gfn`.
  @inlinable
  public func contains(_ gfn: GFN) -> Bool { gfn >= baseGFN && gfn < endGFN }

  /// `__gfn_to_hva_memslot`.
  @inlinable
  public func hva(of gfn: GFN, _ pageSize: PageSize) -> HVA { hva + (gfn - baseGFN) << pageSize.shift }

  /// The frames that a range of host addresses touches, nil where it touches none. A partly covered page
  /// counts (`kvm_handle_hva_range`).
  @inlinable
  public func frames(_ start: HVA, _ end: HVA, _ pageSize: PageSize) -> Range<GFN>? {
    let first = max(start, hva)
    let last = min(end, hva + pages << pageSize.shift)
    guard first < last else { return nil }
    let from = baseGFN + (first - hva) >> pageSize.shift
    let to = baseGFN + (last - hva + pageSize.bytes - 1) >> pageSize.shift
    return from..<to
  }
}

/// The memslots of a VM (`struct kvm_memslots`), in order of their guest frames.
@frozen
public struct Memslots: Hashable, Sendable {
  /// The slots, ascending; they do not overlap.
  public private(set) var slots: [Memslot] = []
  /// The same slots in the order of their host addresses, in which notifiers meet them (`hva_tree`). Of slots that
  /// begin at one host address, the one that was changed last comes last.
  public private(set) var inHVAOrder: [Memslot] = []
  /// The same slots in the order of `kvm_for_each_memslot`, bucket by bucket of `id_hash`; of those in one bucket, the one
  /// that was changed last comes first.
  public private(set) var inIDOrder: [Memslot] = []

  /// No slots.
  public init() {}

  /// Slots that do not overlap, in the order in which they were changed last.
  public init(changed: [Memslot]) {
    slots = changed.sorted { $0.baseGFN < $1.baseGFN }
    // Sorting leaves equal ones in their order.
    inHVAOrder = changed.sorted { $0.hva < $1.hva }
    inIDOrder = changed.reversed().sorted { $0.idBucket < $1.idBucket }
  }

  /// `gfn_to_memslot`.
  @inlinable
  public func slot(of gfn: GFN) -> Memslot? {
    var low = 0
    var high = slots.count
    while low < high {
      let middle = (low + high) / 2
      if slots[middle].endGFN <= gfn { low = middle + 1 } else { high = middle }
    }
    return low < slots.count && slots[low].baseGFN <= gfn ? slots[low] : nil
  }

  /// The slot numbered `id`.
  public func slot(id: UInt32) -> Memslot? { slots.first { $0.id == id } }

  /// Whether another slot has frames of `slot` (`kvm_check_memslot_overlap`).
  public func overlaps(_ slot: Memslot) -> Bool {
    slots.contains { $0.id != slot.id && $0.baseGFN < slot.endGFN && slot.baseGFN < $0.endGFN }
  }

  /// Adds a slot, or replaces the one of the same number.
  ///
  /// - Returns: false, and nothing changes, where it overlaps another slot (-EEXIST).
  @discardableResult
  public mutating func set(_ slot: Memslot) -> Bool {
    if overlaps(slot) { return false }
    remove(id: slot.id)
    let place = slots.firstIndex { $0.baseGFN > slot.baseGFN } ?? slots.count
    slots.insert(slot, at: place)
    let placeOfHVA = inHVAOrder.firstIndex { $0.hva > slot.hva } ?? inHVAOrder.count
    inHVAOrder.insert(slot, at: placeOfHVA)
    let placeOfID = inIDOrder.firstIndex { $0.idBucket >= slot.idBucket } ?? inIDOrder.count
    inIDOrder.insert(slot, at: placeOfID)
    return true
  }

  /// Removes the slot numbered `id`.
  public mutating func remove(id: UInt32) {
    slots.removeAll { $0.id == id }
    inHVAOrder.removeAll { $0.id == id }
    inIDOrder.removeAll { $0.id == id }
  }
}
