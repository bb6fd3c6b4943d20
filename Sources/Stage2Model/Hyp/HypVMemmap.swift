public import KVMTypes

/// What EL2 knows about the host's pages, for all VMs of a machine: the host's part of `hyp_vmemmap` and the
/// owners that the host's stage-2 table is annotated with.
///
/// A reference type, because the VMs of a machine share it. Only pages that were named by a known frame
/// number ever enter it; a page never mentioned is the host's own.
public final class HypVMemmap {
  /// A stretch of physical addresses.
  public struct Region: Hashable, Sendable {
    /// Its frames.
    public var frames: Range<PFN>
    /// Memory, as opposed to MMIO or memory that the kernel does not map (NOMAP).
    public var isMemory: Bool

    /// A region of `frames`.
    public init(frames: Range<PFN>, isMemory: Bool) {
      self.frames = frames
      self.isMemory = isMemory
    }
  }

  /// The protected guest's page that a host page became.
  public struct GuestOwner: Hashable, Sendable {
    /// The guest's VM.
    public var handle: PKVMHandle
    /// Where the guest sees it.
    public var gfn: GFN
  }

  /// `struct hyp_page`, as far as the host's side goes.
  private struct Page {
    var shareCount: UInt32 = 0
    var state = HypPageState.owned
  }

  /// The physical memory. Empty: every frame below `limit` is memory.
  public let regions: [Region]
  /// The first frame beyond the host's IPA space.
  public let limit: PFN

  /// Small, for machines of which pages are named here and there.
  private static let chunkShift: UInt64 = 4
  private var chunkIndex: [UInt64: Int] = [:]
  private var pages: [Page] = []
  /// The chunk used last: most neighbours are in it.
  private var lastChunk: (key: UInt64, start: Int) = (.max, 0)
  private var owners: [PFN: GuestOwner] = [:]
  private var handles = HandleTable()

  /// A machine with these regions of memory.
  public init(regions: [Region] = [], limit: PFN = PFN(1 << 36)) {
    self.regions = regions
    self.limit = limit
  }

  /// Bytes of memory behind the pages that were named, without those of the dictionary that finds them.
  var byteCount: Int { pages.capacity * MemoryLayout<Page>.stride }

  // MARK: Handles

  /// `__pkvm_reserve_vm`: a free handle, nil (-ENOMEM) where 255 VMs exist.
  func reserveHandle() -> PKVMHandle? { handles.reserve() }

  func releaseHandle(_ handle: PKVMHandle) { handles.release(handle) }

  /// Whether a VM holds `handle`.
  public func isLive(_ handle: PKVMHandle) -> Bool { handles.isLive(handle) }

  // MARK: Pages

  /// The host's state of a page.
  public func hostState(_ pfn: PFN) -> HypPageState { pages[slot(pfn)].state }

  /// In how many guest leaves a page is mapped by sharing (`host_share_guest_count`).
  public func shareCount(_ pfn: PFN) -> UInt32 { pages[slot(pfn)].shareCount }

  /// The protected guest that owns a page, nil for pages of the host.
  public func guestOwner(_ pfn: PFN) -> GuestOwner? { owners[pfn] }

  /// The slot of a page, made on first mention.
  private func slot(_ pfn: PFN) -> Int {
    let key = pfn.rawValue >> Self.chunkShift
    let offset = Int(pfn.rawValue & (1 << Self.chunkShift - 1))
    if lastChunk.key == key { return lastChunk.start + offset }
    let start: Int
    if let known = chunkIndex[key] {
      start = known
    } else {
      start = pages.count
      chunkIndex[key] = start
      pages.append(contentsOf: repeatElement(Page(), count: 1 << Int(Self.chunkShift)))
    }
    lastChunk = (key, start)
    return start + offset
  }

  /// `pfn_range_is_valid`.
  @inline(never)
  func isValidRange(_ pfn: PFN, pages: UInt64) -> Bool {
    let (end, overflow) = pfn.rawValue.addingReportingOverflow(pages)
    return !overflow && pfn < limit && end <= limit.rawValue
  }

  /// `check_range_allowed_memory`: -EINVAL unless the whole range lies in one region or in one gap between regions,
  /// -EPERM if that is no memory.
  @inline(never)
  func checkAllowedMemory(_ pfn: PFN, pages: UInt64) -> KernelResult {
    if regions.isEmpty { return .success }
    let end = pfn + pages
    guard let region = regions.first(where: { $0.frames.contains(pfn) }) else {
      let isGap = !regions.contains { $0.frames.lowerBound > pfn && $0.frames.lowerBound < end }
      return isGap ? .notPermitted : .invalid
    }
    if end > region.frames.upperBound { return .invalid }
    return region.isMemory ? .success : .notPermitted
  }

  /// `addr_is_memory`. The kernel counts NOMAP memory too; `Region` does not tell it from MMIO.
  func isMemory(_ pfn: PFN) -> Bool {
    regions.isEmpty ? pfn < limit : regions.contains { $0.frames.contains(pfn) && $0.isMemory }
  }

  /// Whether the host may share the pages with one guest more: owned, or shared with guests already.
  @inline(never)
  func checkShareable(_ pfn: PFN, pages count: UInt64) -> KernelResult {
    for offset in 0..<count {
      let page = pages[slot(pfn + offset)]
      switch page.state {
      case .owned: continue
      case .sharedOwned:
        if page.shareCount == .max { return .busy }
        if page.shareCount == 0 { return .notPermitted }
      default: return .notPermitted
      }
    }
    return .success
  }

  /// The pages get one guest leaf more.
  @inline(never)
  func share(_ pfn: PFN, pages count: UInt64) {
    for offset in 0..<count {
      let slot = slot(pfn + offset)
      pages[slot].state = .sharedOwned
      pages[slot].shareCount += 1
    }
  }

  /// Whether every page is shared with guests: -EPERM for another state, -EINVAL (and a warning of the
  /// kernel) for a count of 0.
  @inline(never)
  func checkUnshareable(_ pfn: PFN, pages count: UInt64) -> KernelResult {
    for offset in 0..<count {
      let page = pages[slot(pfn + offset)]
      if page.state != .sharedOwned { return .notPermitted }
      if page.shareCount == 0 { return .invalid }
    }
    return .success
  }

  /// The pages lose one guest leaf; the last one makes them the host's own.
  @inline(never)
  func unshare(_ pfn: PFN, pages count: UInt64) {
    for offset in 0..<count {
      let slot = slot(pfn + offset)
      pages[slot].shareCount -= 1
      if pages[slot].shareCount == 0 { pages[slot].state = .owned }
    }
  }

  /// The page becomes a protected guest's: the host's stage 2 is annotated with the owner.
  func donate(_ pfn: PFN, to owner: GuestOwner) {
    pages[slot(pfn)].state = .noPage
    owners[pfn] = owner
  }

  /// The page is the host's again.
  func reclaim(_ pfn: PFN) {
    pages[slot(pfn)].state = .owned
    owners[pfn] = nil
  }

  /// The host's state of a page of a protected guest, which the guest shares (`sharedBorrowed`) or does not
  /// (`noPage`).
  func setHostState(_ pfn: PFN, _ state: HypPageState) { pages[slot(pfn)].state = state }

  /// Sets a page's state and count out of turn: what other users of the page (the hypervisor, FF-A, a leak)
  /// did to it.
  public func override(_ pfn: PFN, state: HypPageState, shareCount: UInt32 = 0) {
    pages[slot(pfn)] = Page(shareCount: shareCount, state: state)
  }

  /// Every page with a share count, for comparison with the leaves of all guests.
  public var shareCounts: [PFN: UInt32] {
    var counts: [PFN: UInt32] = [:]
    for (key, start) in chunkIndex {
      for offset in 0..<(1 << Int(Self.chunkShift)) where pages[start + offset].shareCount > 0 {
        counts[PFN(key << Self.chunkShift + UInt64(offset))] = pages[start + offset].shareCount
      }
    }
    return counts
  }
}

/// The number that names a VM at EL2 (`pkvm_handle_t`), never 0.
@frozen
public struct PKVMHandle: Hashable, Sendable {
  /// The number.
  public var rawValue: UInt16

  /// The handle `rawValue`.
  @inlinable
  public init(_ rawValue: UInt16) { self.rawValue = rawValue }
}

/// `vm_table`: which handles are in use.
private struct HandleTable {
  /// `KVM_MAX_PVMS`.
  static let maxVMs = 255
  /// `HANDLE_OFFSET`.
  static let offset: UInt16 = 0x1000
  private var live = [Bool](repeating: false, count: maxVMs)

  mutating func reserve() -> PKVMHandle? {
    guard let index = live.firstIndex(of: false) else { return nil }
    live[index] = true
    return PKVMHandle(Self.offset + UInt16(index))
  }

  mutating func release(_ handle: PKVMHandle) { live[Int(handle.rawValue - Self.offset)] = false }

  func isLive(_ handle: PKVMHandle) -> Bool {
    let index = Int(handle.rawValue) - Int(Self.offset)
    return live.indices.contains(index) && live[index]
  }
}
