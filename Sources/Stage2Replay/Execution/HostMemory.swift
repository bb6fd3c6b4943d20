internal import KVMTrace
internal import KVMTypes

/// What is known of the host's memory behind a VM's slots: what a fault finds there is the host's affair, and no event of
/// KVM's tells it.
struct HostMemory: ~Copyable {
  var mappings: HostMappings
  /// What a notifier aged last, and whose it was.
  private var lastAge: (frames: FrameRange, tid: ThreadID)?
  /// How many regions of a slot are proven to have held a block, or pages, by the first frame of the slot.
  private var sizes: [FrameKey: SizeTally] = [:]
  /// Whether slots are taken to be of hugetlb pages, for those of which that was asked, by the first frame.
  private var hugetlb: [FrameKey: (slot: Memslot, isHugetlb: Bool)] = [:]
  /// The pages of slots that log on which a write was granted last, and to whom.
  private var writeGrants: [FrameKey: WriteGrant] = [:]
  /// Which pages of slots that log were written since their log was cleared.
  var dirty = DirtyBitmaps()
  /// A fault showed that the VMM asked KVM to split blocks where a slot begins to log.
  var splitsEagerly = false

  /// The epoch of which the host's pages are known.
  private var epoch = Epoch(0)
  /// When its VM was there.
  private let life: VMLife

  init(pageSize: PageSize, _ life: VMLife) {
    mappings = HostMappings(pageSize: pageSize)
    self.life = life
  }

  /// A fault of an epoch comes.
  @inline(__always)
  mutating func enter(epoch new: Epoch) {
    if new == epoch { return }
    epoch = new
    mappings.doubtPUDs()
  }

  /// How often the regions of a slot are proven to hold blocks, or pages.
  func tally(_ slot: Memslot, areRegionsOfPages: Bool) -> SizeTally {
    sizes[FrameKey(slot.base.rawValue)] ?? SizeTally(pages: areRegionsOfPages ? 1 : 0)
  }

  /// A fault showed the size with which the host maps a region in a slot.
  mutating func learn(
    _ size: MappingSize, of gfn: GFN, _ region: RegionIndex, _ regions: inout GuestRegions, _ slot: Memslot
  ) {
    if mappings.learn(size, of: gfn, &regions) {
      sizes[FrameKey(slot.base.rawValue), default: SizeTally()].puds += 1
    }
    if size.level == .l1 { return }
    if size.basis == .derived, regions[region].host.size?.basis != .derived { count(size, slot) }
    regions[region].host.learn(size)
  }

  private mutating func count(_ size: MappingSize, _ slot: Memslot) {
    if size.isBlock {
      sizes[FrameKey(slot.base.rawValue), default: SizeTally()].blocks += 1
    } else {
      sizes[FrameKey(slot.base.rawValue), default: SizeTally()].pages += 1
    }
  }

  /// A thread of the host ages frames.
  mutating func age(_ frames: FrameRange, by tid: ThreadID, _ regions: inout GuestRegions) {
    mappings.age(frames, &regions)
    lastAge = (frames, tid)
  }

  /// A thread of the host unmaps frames.
  mutating func unmap(_ frames: FrameRange, by tid: ThreadID, _ regions: inout GuestRegions) {
    // shrink_folio_list asks whether a folio was used before it unmaps it; khugepaged and faults do not.
    mappings.unmap(frames, isReclaimed: lastAge.map { $0 == (frames, tid) } ?? false, &regions)
  }

  /// Whether a slot's memory is taken to be hugetlb pages.
  mutating func isHugetlb(_ slot: Memslot, _ ages: HostAges, _ pageSize: PageSize) -> Bool {
    let key = FrameKey(slot.base.rawValue)
    if let tally = sizes[key], tally.pages > 0 { return false }
    if let known = hugetlb[key], known.slot == slot { return known.isHugetlb }
    let isHugetlb = slot.hva.map { ages.skip($0, bytes: slot.pages << pageSize.shift, of: life) } ?? false
    hugetlb[key] = (slot, isHugetlb)
    return isHugetlb
  }

  /// A fault was granted the right to write to a page of a slot that logs.
  @inline(never)
  mutating func grantWrite(to gfn: GFN, _ fault: SettledFault) {
    writeGrants[FrameKey(gfn.rawValue)] = WriteGrant(tid: fault.tid, sequence: fault.end)
  }

  /// Whether the vCPU of a fault was granted the right to write to its page, and had used it before it entered the guest.
  func usedWriteGrant(_ fault: SettledFault, _ pageSize: PageSize) -> Bool {
    guard let grant = writeGrants[FrameKey(fault.page.gfn(pageSize).rawValue)] else { return false }
    return grant.tid == fault.tid && fault.evidence.entry >= grant.sequence
  }
}

/// Who was granted the right to write to a page, and where in the merged trace.
private struct WriteGrant {
  var tid: ThreadID
  var sequence: Sequence
}
