import KVMTrace
import KVMTypes
import Testing

@testable import Stage2Replay

/// Where a permission fault on a block relaxes it: at the block's address if hugetlb pages hold the memory, for then the
/// VMA asks for blocks, at the page's if transparent huge pages do.
@Suite("The address at which a block is relaxed")
struct HugetlbTests {
  static let atPage = "relax_perms 40003000 = 0, "
  static let atBlock = "relax_perms 40000000 = 0, assumed"

  /// A vCPU lacks the right to execute a page of a block, after something that the story tells.
  private func relaxation(
    _ story: Scenario = Scenario(), before: (Scenario) -> Void = { _ in }
  ) throws -> [String] {
    story.createSlot(hva: story.congruentHVA)
    story.enter(.vcpu0)
    before(story)
    story.handle(.vcpu0, story.memory, level: 2)
    story.handle(.vcpu0, story.memory + 3 * story.page, .permission, level: 2, .exec)
    return try story.replay().operations(.relaxPerms)
  }

  /// The host ages memory that is no guest's.
  private func ageElsewhere(_ story: Scenario, times: Int = HostAges.agesMin) {
    for place in 0..<UInt64(times) { story.age(.kswapd, 0xaaaa_0000_0000 + place * story.page) }
  }

  /// The host unmaps memory, and is done with it.
  private func unmap(_ story: Scenario, _ hva: UInt64, bytes: UInt64? = nil) {
    story.unmap(.vmm, hva, bytes: bytes)
    story.age(.vmm, 0xaaaa_0000_0000)
  }

  @Test("Where nothing tells, it is taken to be the page's")
  func byDefault() throws {
    #expect(try relaxation() == [Self.atPage + "assumed"])
    #expect(try relaxation { ageElsewhere($0, times: HostAges.agesMin - 1) } == [Self.atPage + "assumed"])
  }

  @Test("Memory that is never aged, where much else is, is taken to be hugetlb")
  func neverAged() throws {
    #expect(try relaxation { ageElsewhere($0) } == [Self.atBlock])
  }

  @Test("What was aged before the VM was there, or after it had gone, says nothing of its memory")
  func agedAtOtherTimes() throws {
    let before = Scenario()
    ageElsewhere(before)
    #expect(try relaxation(before) == [Self.atPage + "assumed"])
    for isGone in [true, false] {
      let after = Scenario(formats: Scenario.markedFormats)
      after.createSlot(hva: after.congruentHVA)
      after.enter(.vcpu0)
      after.handle(.vcpu0, after.memory, level: 2)
      after.handle(.vcpu0, after.memory + 3 * after.page, .permission, level: 2, .exec)
      if isGone { after.destroyVM() }
      ageElsewhere(after)
      #expect(
        try after.replay().operations(.relaxPerms) == [isGone ? Self.atPage + "assumed" : Self.atBlock])
    }
  }

  @Test("What is aged later is on an LRU list, too")
  func agedLater() throws {
    let story = Scenario()
    story.createSlot(hva: story.congruentHVA)
    story.enter(.vcpu0)
    ageElsewhere(story)
    story.handle(.vcpu0, story.memory, level: 2)
    story.handle(.vcpu0, story.memory + 3 * story.page, .permission, level: 2, .exec)
    story.age(.kswapd, story.congruentHVA + story.block, bytes: story.block)
    #expect(try story.replay().operations(.relaxPerms) == [Self.atPage + "assumed"])
  }

  @Test(
    "The host deals with a hugetlb page as a whole: an age or an unmap of a page in the region rules it out")
  func agedInPages() throws {
    #expect(
      try relaxation { story in
        ageElsewhere(story)
        story.age(.kswapd, story.congruentHVA)
      } == [Self.atPage + "derived"])
    #expect(
      try relaxation { story in
        ageElsewhere(story)
        unmap(story, story.congruentHVA + story.page)
      } == [Self.atPage + "derived"])
    // Of a whole block it does not.
    #expect(
      try relaxation { story in
        ageElsewhere(story)
        unmap(story, story.congruentHVA, bytes: story.block)
      } == [Self.atBlock])
  }

  @Test("So does a page that was mapped there, until other memory may have taken its place")
  func mappedInPages() throws {
    func pages(_ story: Scenario) {
      ageElsewhere(story)
      story.handle(.vcpu0, story.memory, level: 2)
      story.handle(.vcpu0, story.memory + story.page)
      unmap(story, story.congruentHVA, bytes: story.block)
    }
    #expect(try relaxation(before: pages) == [Self.atPage + "derived"])
    // The slot has pages elsewhere, so it is hardly hugetlb.
    #expect(
      try relaxation { story in
        pages(story)
        unmap(story, story.congruentHVA, bytes: 2 * story.block)
      } == [Self.atPage + "assumed"])
  }

  @Test("Of many ages, those in a range are found, wherever it lies")
  func skipping() {
    var ages = HostAges()
    let life = VMLife(since: Nanoseconds(0))
    for place in 0..<UInt64(200) {
      let start = HVA(0x1000_0000 + place << 21)
      ages.note(HVARange(start: start, end: HVA(start.rawValue + 0x1000)), at: Nanoseconds(place))
    }
    #expect(ages.skip(HVA(0x800_0000), bytes: 0x800_0000, of: life))
    #expect(!ages.skip(HVA(0x800_0000), bytes: 0x820_0000, of: life))
    #expect(!ages.skip(HVA(0x800_0000), bytes: 0x800_0000, of: VMLife(since: Nanoseconds(190))))
    #expect(!ages.skip(HVA(0x800_0000), bytes: 1 << 40, of: life))
    #expect(ages.skip(HVA(0x1000_0000 + 200 << 21), bytes: 1 << 40, of: life))
    #expect(!ages.skip(HVA(0x1000_0000 + 199 << 21), bytes: 1 << 40, of: life))
  }
}
