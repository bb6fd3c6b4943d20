internal import KVMTrace
internal import KVMTypes

/// Turns calls of `kvm_set_memory_region` into the changes that they make.
///
/// The call says what the VMM wants a slot to be. What kind of change that is follows from what the slot was, and so
/// does whether the kernel can agree: it refuses to change a slot's size or host address, or to put it over another one.
/// Where the call's return was recorded, too, the change counts from then on and is as certain as a commit.
struct MemslotRequests {
  /// The slots of a VM, by frame and by number: a VMM may ask for 32,767 of them one by one.
  private struct Slots {
    var table: MemslotTable
    var byNumber: [UInt32: Memslot] = [:]

    mutating func insert(_ slot: Memslot, number: UInt32) {
      table.insert(slot)
      byNumber[number] = slot
    }

    mutating func remove(number: UInt32) {
      if let slot = byNumber.removeValue(forKey: number) { _ = table.remove(base: slot.base) }
    }
  }

  private let pageSize: PageSize
  /// Whether the trace records what the calls return.
  private let hasReturns: Bool
  private var slots: [KernelAddress: Slots] = [:]
  private var open: [ThreadID: MemslotRequest] = [:]

  init(pageSize: PageSize, hasReturns: Bool) {
    self.pageSize = pageSize
    self.hasReturns = hasReturns
  }

  /// The change that a call makes, as far as is known when it begins.
  mutating func call(_ request: MemslotRequest, by tid: ThreadID) -> (KernelAddress, MemslotUpdate)? {
    guard hasReturns else { return change(request, basis: .assumed).map { (request.kvm, $0) } }
    open[tid] = request
    return nil
  }

  /// The change that the thread's call has made.
  mutating func callReturned(_ result: Int64, to tid: ThreadID) -> (KernelAddress, MemslotUpdate)? {
    guard let request = open.removeValue(forKey: tid), result == 0 else { return nil }
    return change(request, basis: .recorded).map { (request.kvm, $0) }
  }

  private mutating func change(_ request: MemslotRequest, basis: Basis) -> MemslotUpdate? {
    let pages = request.bytes >> pageSize.shift
    let old = slots[request.kvm]?.byNumber[request.slot]
    if request.bytes == 0 {
      guard let old else { return nil }
      slots[request.kvm]?.remove(number: request.slot)
      return MemslotUpdate(change: .delete, slot: nil, oldBase: old.base, oldPages: old.pages, basis: basis)
    }
    let slot = Memslot(
      id: Int16(truncatingIfNeeded: request.slot), base: request.address.gfn(pageSize), pages: pages,
      hva: request.hva, flags: request.flags, basis: basis)
    let isAligned =
      (request.bytes | request.address.rawValue | request.hva.rawValue) & (pageSize.bytes - 1) == 0
    guard isAligned, slot.isPossible(pageSize) else { return nil }
    // A VM of the same address that was there before: the slots that this one creates are not those.
    let isNewVM =
      old.map { $0.pages != pages || $0.hva != request.hva }
      ?? slots[request.kvm]?.table.overlaps(slot.base, pages) ?? false
    if isNewVM { slots[request.kvm] = nil }
    guard let old, !isNewVM else {
      insert(slot, request)
      return MemslotUpdate(change: .create, slot: slot, oldBase: nil, oldPages: nil, basis: basis)
    }
    if old.base == slot.base, old.flags == slot.flags { return nil }
    slots[request.kvm]?.remove(number: request.slot)
    insert(slot, request)
    return MemslotUpdate(
      change: old.base == slot.base ? .flagsOnly : .move, slot: slot, oldBase: old.base, oldPages: old.pages,
      basis: basis)
  }

  private mutating func insert(_ slot: Memslot, _ request: MemslotRequest) {
    slots[request.kvm, default: Slots(table: MemslotTable(pageSize: pageSize))]
      .insert(slot, number: request.slot)
  }
}
