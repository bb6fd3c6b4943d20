import KVMTrace
import KVMTypes
import Testing

@testable import Stage2Replay

/// Two VMs of two processes, each with 16 pages of memory at one address, and the second one with 16 more behind those.
@Suite("Whose memory changes")
struct MemoryChangeTests {
  private static let start = HVA(0x7f00_0000_0000)
  private static let page = PageSize.size4K.bytes
  private static let creators = [ThreadID(10), ThreadID(20)]
  private static let kvms = [KernelAddress(0xa000), KernelAddress(0xb000)]

  private static func twins() -> VMRegister {
    var vms = VMRegister()
    for (position, creator) in creators.enumerated() {
      let answer = vms.roster.setMemoryRegion(
        of: kvms[position], .create, by: creator, isContradicted: false)
      vms.append(
        AttributedVM(
          id: answer.vm,
          identity: VMIdentity(
            tids: nil, since: Nanoseconds(0), kvm: nil, wasRunning: false, isProtected: false,
            firstEpoch: Epoch(0), slotsKnownFrom: Epoch(0)),
          slots: VMSlots(pageSize: .size4K), knownFrom: Epoch(0)))
      vms[answer.vm].slots.insert(
        Memslot(
          id: 0, base: GFN(0x40000), pages: 16 * UInt64(position + 1), hva: start, flags: [], basis: .recorded
        ), in: Epoch(0))
    }
    return vms
  }

  /// Whose memory some pages are, as either VM sees it.
  private func owners(
    _ pages: Range<UInt64>, by tid: Int32, vcpuOf: Int? = nil, isCreator: Bool = false,
    isOfFault: Bool = false, lacksOthers: Bool = false
  ) -> [MemoryChange.Owner] {
    let vms = Self.twins()
    let change = MemoryChange(
      range: HVARange(
        start: Self.start + pages.lowerBound * Self.page, end: Self.start + pages.upperBound * Self.page),
      tid: ThreadID(tid), vcpuOf: vcpuOf.map { VMIndex($0) }, isCreator: isCreator, isOfFault: isOfFault,
      lacksOthers: lacksOthers, pageSize: .size4K)
    let evidence = VCPUEvidence(pageSize: .size4K) { _ in nil }
    return (0..<2).map { change.owner(seenFrom: VMIndex($0), vms, evidence) }
  }

  @Test("What a VM's own thread changes is its own, unless it may be a folio that it reclaims from the other")
  func ownThreads() {
    #expect(owners(0..<3, by: 10, isCreator: true) == [.own, .another])
    #expect(owners(0..<3, by: 21, vcpuOf: 1) == [.another, .own])
    #expect(owners(0..<1, by: 21, vcpuOf: 1) == [.another, .unknown])
    #expect(owners(0..<1, by: 21, vcpuOf: 1, isOfFault: true) == [.another, .own])
  }

  @Test("What only the other VM has is reclaimed from it, a folio at a time")
  func reclaim() {
    #expect(owners(16..<18, by: 11, vcpuOf: 0)[1] == .unknown)
    #expect(owners(16..<19, by: 11, vcpuOf: 0)[1] == .another)
    // Nobody else has memory there.
    #expect(owners(16..<18, by: 21, vcpuOf: 1)[1] == .own)
    // Nobody whom the trace shows.
    #expect(owners(16..<18, by: 21, vcpuOf: 1, lacksOthers: true)[1] == .unknown)
  }

  @Test(
    "A thread of no VM may change anybody's memory, but one that makes a VM changes more than a folio of its own"
  )
  func strangers() {
    #expect(owners(0..<3, by: 99) == [.unknown, .unknown])
    #expect(owners(0..<3, by: 99, isCreator: true) == [.another, .another])
    #expect(owners(0..<2, by: 99, isCreator: true) == [.unknown, .unknown])
  }

  @Test("Folios are powers of two up to a block; an entry of the host's table maps a page, a block or 1 GiB")
  func sizes() {
    func range(_ bytes: UInt64) -> HVARange { HVARange(start: Self.start, end: Self.start + bytes) }
    let sizes: [UInt64] = [0x1000, 0x3000, 0x10000, 0x20_0000, 0x40_0000, 0x4000_0000]
    #expect(sizes.filter { range($0).isFolio(.size4K) } == [0x1000, 0x10000, 0x20_0000])
    #expect(sizes.filter { range($0).isPage(.size4K) } == [0x1000, 0x20_0000, 0x4000_0000])
    #expect(!range(0).isFolio(.size4K) && !range(0).isPage(.size4K))
  }

  @Test("Frames that several slots have in common with a range")
  func intersection() {
    func frames(_ range: Range<UInt64>) -> FrameRange {
      FrameRange(start: GFN(range.lowerBound), end: GFN(range.upperBound))
    }
    var all = FrameRanges(frames(10..<20))
    for start in [UInt64(30), 50] { all.append(frames(start..<start + 10)) }
    var common: [FrameRange] = []
    all.intersection(with: frames(15..<32)).forEach { common.append($0) }
    #expect(common == [frames(15..<20), frames(30..<32)])
    #expect(all.intersection(with: frames(20..<30)).isEmpty)
  }
}
