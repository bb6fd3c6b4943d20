internal import KVMTrace
internal import KVMTypes

/// Looks for memory that is certainly mapped where a marker counts no `struct pkvm_mapping`: such a host has no pKVM.
///
/// One page is enough. Under pKVM a vCPU that handles a translation fault in a memslot has allocated a mapping object
/// (`topup_hyp_memcache`), which stays, in the tree or at hand, until a notifier, a memslot or the end of the VM takes the
/// page away. That the VM had not ended is seen from its vCPU, which runs on after the marker.
struct MappedMemory {
  private static let slotsMax = 64
  private let pageSize: PageSize
  /// VMs whose creation was seen, and those of them that have memslots.
  private var created: Set<KernelAddress> = []
  private var owners: Set<KernelAddress> = []
  /// Whether there is one owner, and its creation was seen: with two VMs it is not certain whose memory a vCPU faults in.
  private var hasOnlyOwner = false
  private var slots: [MemslotCommit] = []
  /// A fault in a memslot of which it is open whether KVM handles it.
  private var open: Page?
  /// A page that is mapped, the first that nobody took back.
  private var mapped: Page?
  /// The vCPU that has to run on before the marker counts.
  private var stopped: ThreadID?
  private var ranOn = false
  private var isIncomplete = false

  private struct Page {
    var tid: ThreadID
    /// The slot's VM and first frame.
    var kvm: KernelAddress
    var base: GFN
    /// The page, or the block that may map it.
    var range: HVARange
  }

  /// Nothing is mapped.
  init(pageSize: PageSize) { self.pageSize = pageSize }

  /// Whether a vCPU ran on after a marker without mapping objects, although it had faulted memory in that nobody took back.
  var lacksMappings: Bool { ranOn && !isIncomplete }

  /// A marker tells how many mapping objects the host has.
  mutating func note(mappings: Int) { stopped = mappings == 0 ? mapped?.tid : nil }

  /// Events are missing: nothing is certain.
  mutating func lose() { isIncomplete = true }

  /// Whether the end of some fault's window matters.
  @inline(__always)
  var hasOpenFault: Bool { open != nil }

  /// The window of a fault ended: KVM has handled it if the guest runs on and it was no access to a device.
  mutating func close(_ window: FaultWindows.Window, _ end: FaultWindows.End) {
    guard let page = open, page.tid == window.tid else { return }
    if case .entry = end, !window.sawMMIO { mapped = page }
    open = nil
  }

  /// kvm_entry or kvm_exit.
  @inline(__always)
  mutating func consumeRun(of tid: ThreadID) { if let stopped, stopped == tid { ranOn = true } }

  /// kvm_guest_fault of a thread, after it ended a window.
  @inline(__always)
  mutating func consume(_ fault: GuestFault, _ kind: FaultKind, by tid: ThreadID) {
    if hasOnlyOwner, kind == .translation, mapped == nil { self.fault(fault, by: tid) }
  }

  /// Any other event.
  mutating func consume(_ record: TraceRecord) {
    switch record.kind {
    case .lost: lose()
    case .initVM:
      end(record.vmCreation.kvm)
      created.insert(record.vmCreation.kvm)
      countOwners()
    case .destroyVM: end(record.destroyedVM)
    case .commitMemoryRegion: commit(record.memslotCommit)
    case .unmapHVARange:
      let range = record.hvaRange
      if let page = open, takes(range, page) { open = nil }
      if let page = mapped, takes(range, page) { forget() }
    default: break
    }
  }

  private mutating func forget() { (open, mapped, stopped) = (nil, nil, nil) }

  /// A VM begins or ends: whose memory is gone is not told.
  private mutating func end(_ kvm: KernelAddress) {
    created.remove(kvm)
    owners.remove(kvm)
    slots.removeAll { $0.kvm == kvm }
    countOwners()
    forget()
  }

  private mutating func countOwners() {
    hasOnlyOwner = owners.count == 1 && owners.isSubset(of: created)
  }

  private mutating func commit(_ commit: MemslotCommit) {
    owners.insert(commit.kvm)
    countOwners()
    if commit.change != .create {
      slots.removeAll { $0.kvm == commit.kvm && $0.base == commit.oldBase }
      if let page = open, takes(commit, page) { open = nil }
      if let page = mapped, takes(commit, page) { forget() }
    }
    if commit.change != .delete, slots.count < Self.slotsMax { slots.append(commit) }
  }

  private mutating func fault(_ fault: GuestFault, by tid: ThreadID) {
    guard !fault.esr.isStage1Walk else { return }
    let gfn = fault.ipa.gfn(pageSize)
    for slot in slots where slot.base <= gfn && gfn - slot.base < slot.pages {
      guard slot.flags.isDisjoint(with: [.readOnly, .guestMemfd]) else { return }
      open = Page(tid: tid, kvm: slot.kvm, base: slot.base, range: range(of: gfn, in: slot))
    }
  }

  /// What is unmapped together with a page: a block that may map it goes as a whole.
  private func range(of gfn: GFN, in slot: MemslotCommit) -> HVARange {
    let offset = (gfn - slot.base) << pageSize.shift
    let inBlock = gfn.ipa(pageSize).rawValue & (pageSize.pmdBytes - 1)
    let isCongruent = (slot.hva + offset).rawValue & (pageSize.pmdBytes - 1) == inBlock
    let bytes = slot.pages << pageSize.shift
    guard isCongruent, inBlock <= offset, (offset - inBlock) &+ pageSize.pmdBytes <= bytes else {
      return HVARange(start: slot.hva + offset, end: slot.hva + offset + pageSize.bytes)
    }
    let start = slot.hva + (offset - inBlock)
    return HVARange(start: start, end: start + pageSize.pmdBytes)
  }

  private func takes(_ range: HVARange, _ page: Page) -> Bool {
    range.start < page.range.end && page.range.start < range.end
  }

  private func takes(_ commit: MemslotCommit, _ page: Page) -> Bool {
    commit.kvm == page.kvm && (commit.oldBase == page.base || commit.change == .unknown)
  }
}
