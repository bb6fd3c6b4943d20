import KVMTypes
import Stage2Model
import Testing

@testable import Stage2Replay

/// Page or block: KVM maps a block exactly where the host does, which later events of the region show.
@Suite("Size of a mapping")
struct MappingSizeTests {
  static let page = "map 40000000+1000 = 0, derived"
  static let block = "map 40000000+200000 = 0, derived"
  static let assumedPage = "map 40000000+1000 = 0, assumed"
  static let assumedBlock = "map 40000000+200000 = 0, assumed"

  /// A slot that can hold blocks, one fault on its first page, and what the story adds.
  static func maps(level: Int = 2, _ more: (Scenario) -> Void) throws -> [String] {
    let story = Scenario()
    story.createSlot(hva: story.congruentHVA)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: level)
    more(story)
    return try story.replay().operations(.map)
  }

  // MARK: What the guest's next faults prove

  @Test("A fault at level 3 shows a table: pages")
  func levelThree() throws {
    let maps = try Self.maps { $0.handle(.vcpu0, $0.memory + $0.page, level: 3) }
    #expect(maps == [Self.page, "map 40001000+1000 = 0, derived"])
  }

  @Test("A permission fault at level 2 shows a block, one at level 3 a page")
  func permissionFault() throws {
    let atTwo = try Self.maps { $0.handle(.vcpu0, $0.memory + $0.page, .permission, level: 2, .write) }
    #expect(atTwo == [Self.block])
    let atThree = try Self.maps { $0.handle(.vcpu0, $0.memory, .permission, level: 3, .write) }
    #expect(atThree == [Self.page])
  }

  @Test("An access flag fault at level 2 shows a block, one at level 3 a page")
  func accessFault() throws {
    #expect(try Self.maps { $0.handleAccessFault(.vcpu0, $0.memory, level: 2) } == [Self.block])
    #expect(try Self.maps { $0.handleAccessFault(.vcpu0, $0.memory, level: 3) } == [Self.page])
  }

  @Test("A level-2 translation fault after a part was unmapped shows that a block went whole")
  func partialUnmap() throws {
    let maps = try Self.maps { story in
      story.unmap(.kswapd, story.congruentHVA + 5 * story.page)
      story.age(.kswapd, story.congruentHVA + 3 * story.block)
      story.handle(.vcpu0, story.memory + story.page, level: 2)
    }
    // The host has split its own block: pages from then on.
    #expect(maps == [Self.block, "map 40001000+1000 = 0, assumed"])
  }

  @Test("The level of a stage-1 walk's fault is no evidence: emulators report the other table's level")
  func stage1Walk() throws {
    let maps = try Self.maps { $0.handle(.vcpu0, $0.memory + $0.page, level: 3, .stage1Walk) }
    #expect(maps.first == Self.assumedBlock)
  }

  @Test("A vCPU that entered before the operation may have walked the table before it")
  func staleWalk() throws {
    let story = Scenario()
    story.createSlot(hva: story.congruentHVA)
    story.enter(.vcpu1)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 2)
    story.handle(.vcpu1, story.memory + 7 * story.page, .accessFlag, level: 3)
    #expect(try story.replay().operations(.map) == [Self.assumedBlock])
  }

  // MARK: What the host's notifiers prove

  @Test("Aging one page shows pages; aging exactly the block a block, or a table of pages of one age")
  func aging() throws {
    #expect(try Self.maps { $0.age(.kswapd, $0.congruentHVA) } == [Self.page])
    #expect(try Self.maps { $0.age(.kswapd, $0.congruentHVA, bytes: $0.block) } == [Self.assumedBlock])
  }

  @Test("Aging a block outweighs a fault at level 3")
  func agedBlock() throws {
    let maps = try Self.maps(level: 3) { $0.age(.kswapd, $0.congruentHVA, bytes: $0.block) }
    #expect(maps == [Self.assumedBlock])
  }

  @Test("Testing the age is always about one page, and says nothing")
  func testAge() throws {
    #expect(try Self.maps { $0.testAge(.kswapd, $0.congruentHVA) } == [Self.assumedBlock])
  }

  @Test("After exactly a block was unmapped, a block takes its place, whatever the fault's level")
  func blockUnmap() throws {
    let maps = try Self.maps { story in
      story.handle(.vcpu0, story.memory + story.page, level: 3)
      story.unmap(.kswapd, story.congruentHVA, bytes: story.block)
      story.age(.kswapd, story.congruentHVA + 3 * story.block)
      story.handle(.vcpu0, story.memory + story.page, level: 3)
    }
    #expect(maps == [Self.page, "map 40001000+1000 = 0, derived", Self.assumedBlock])
  }

  // MARK: What is known stays known

  @Test("What one fault proves holds for the next ones, also across dirty logging")
  func dirtyLogging() throws {
    let story = Scenario()
    let second = story.memory + story.block
    story.createSlot(hva: story.congruentHVA)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 2)
    story.handle(.vcpu0, story.memory, .permission, level: 2, .write)
    story.setFlags(1, hva: story.congruentHVA)
    story.handle(.vcpu0, story.memory + story.page, .permission, level: 2, .write)
    story.handle(.vcpu0, second, level: 2)
    story.run(.vmm)
    story.setFlags(0, hva: story.congruentHVA)
    story.handle(.vcpu0, story.memory + 2 * story.page, level: 3)
    #expect(
      try story.replay().operations(.map) == [
        Self.block, "map 40001000+1000 = 0, derived", "map 40200000+1000 = 0, derived", Self.block,
      ])
  }

  @Test("An unmap of several regions makes their sizes unknown again")
  func forgotten() throws {
    let maps = try Self.maps { story in
      story.handle(.vcpu0, story.memory + story.page, level: 3)
      story.unmap(.kswapd, story.congruentHVA, bytes: 2 * story.block)
      story.age(.kswapd, story.congruentHVA + 3 * story.block)
      story.handle(.vcpu0, story.memory, level: 3)
    }
    #expect(maps.last == Self.assumedPage)
  }

  @Test("Without evidence: pages after a fault at level 3, a block after one at level 2")
  func noEvidence() throws {
    #expect(try Self.maps(level: 3) { _ in } == [Self.assumedPage])
    #expect(try Self.maps(level: 2) { _ in } == [Self.assumedBlock])
    #expect(try Self.maps(level: 1) { _ in } == [Self.assumedBlock])
  }

  @Test("Without evidence, a slot whose other regions were all proven to be pages has pages")
  func otherRegions() throws {
    let maps = try Self.maps { story in
      story.handle(.vcpu0, story.memory + story.page, level: 3)
      story.handle(.vcpu0, story.memory + story.block, level: 2)
    }
    #expect(maps.last == "map 40200000+1000 = 0, assumed")
  }

  @Test("What reclaim unmaps, after it has asked whether it was used, comes back page by page")
  func reclaimed() throws {
    for (thread, line) in [
      (Scenario.Thread.kswapd, "map 40000000+1000 = 0, assumed"), (.vmm, Self.assumedBlock),
    ] {
      let story = Scenario()
      story.createSlot(hva: story.congruentHVA)
      story.enter(.vcpu0)
      story.handle(.vcpu0, story.memory, level: 2)
      story.age(.kswapd, story.congruentHVA, bytes: story.block)
      story.unmap(thread, story.congruentHVA, bytes: story.block)
      story.wait(microseconds: 1)
      story.age(thread, story.crookedHVA + story.block)
      story.handle(.vcpu0, story.memory, level: 2)
      #expect(try story.replay().operations(.map).last == line)
    }
  }

  // MARK: What the whole trace shows

  @Test(
    "Where every region of a trace takes faults at level 3, sooner or later, the first fault maps a page, too"
  )
  func hostWithoutBlocks() throws {
    for (regions, line) in [
      (FaultedRegions.regionsMin, Self.page.replacing("derived", with: "assumed")),
      (FaultedRegions.regionsMin - 1, Self.assumedBlock),
    ] {
      let story = Scenario()
      // What comes in the other regions comes too late to be looked ahead to.
      story.options.lag = 1
      story.createSlot(pages: 512 * 32, hva: story.congruentHVA)
      story.enter(.vcpu0)
      for region in 0..<UInt64(regions) {
        story.handle(.vcpu0, story.memory + region * story.block, level: 2)
      }
      for region in 1..<UInt64(regions) {
        story.handle(.vcpu0, story.memory + region * story.block + story.page)
      }
      #expect(try story.replay().operations.first == line)
    }
  }

  // MARK: Where no block can be

  @Test("Addresses that are not congruent rule a block out")
  func notCongruent() throws {
    let story = Scenario()
    story.createSlot(hva: story.crookedHVA)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 2)
    #expect(try story.replay().operations == [Self.page])
  }

  @Test("A block that sticks out of its slot, at either end, is none")
  func sticksOut() throws {
    let story = Scenario()
    let half = story.block / 2
    story.createSlot(ipa: story.memory + half, pages: 512, hva: story.congruentHVA + half)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory + half, level: 2)
    story.handle(.vcpu0, story.memory + story.block, level: 2)
    #expect(
      try story.replay().operations
        == ["map 40100000+1000 = 0, derived", "map 40200000+1000 = 0, derived"])
  }

  @Test("A slot that logs dirty pages maps pages; a read-only one cannot log")
  func logging() throws {
    for (flags, map) in [(UInt64(1), Self.page), (3, Self.assumedBlock)] {
      let story = Scenario()
      story.createSlot(hva: story.congruentHVA, flags: flags)
      story.enter(.vcpu0)
      story.handle(.vcpu0, story.memory, level: 2)
      #expect(try story.replay().operations(.map) == [map])
    }
  }

  @Test("A permission fault on a block relaxes it at the page's address; with logging it maps the page")
  func permissionOnBlock() throws {
    let story = Scenario()
    story.createSlot(hva: story.congruentHVA)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 2)
    story.handle(.vcpu0, story.memory + 3 * story.page, .permission, level: 2, .write)
    story.setFlags(1, hva: story.congruentHVA)
    story.handle(.vcpu0, story.memory + 4 * story.page, .permission, level: 2, .write)
    #expect(
      try story.replay().operations == [
        Self.block, "relax_perms 40003000 = 0, assumed", "wrprotect 40000000+400000 = 0, assumed",
        "map 40004000+1000 = 0, derived",
      ])
  }

  // MARK: Other page sizes

  @Test("Blocks are of 32 MiB with 16 KiB pages, and of 512 MiB with 64 KiB pages")
  func otherPageSizes() throws {
    for (pageSize, line) in [
      (PageSize.size16K, "map 40000000+2000000 = 0, derived"),
      (.size64K, "map 40000000+20000000 = 0, derived"),
    ] {
      let story = Scenario(pageSize)
      story.createSlot(pages: 2 * pageSize.pagesPerPMD, hva: story.congruentHVA)
      story.enter(.vcpu0)
      story.handle(.vcpu0, story.memory + 0x7000, level: 2)
      story.handle(.vcpu0, story.memory + 0x3000, .permission, level: 2, .write)
      let replayed = try story.replay()
      #expect(replayed.operations == [line, "relax_perms 40000000 = 0, assumed"])
      #expect(replayed.result.profile.pageSize == pageSize)
    }
  }

  @Test(
    "A page is mapped at the address of the fault where the kernel does not align it",
    arguments: [(PKVMEra.v6_14, "40007000"), (.v7_3, "40004000")])
  func faultAddress(_ era: PKVMEra, _ address: String) throws {
    let story = Scenario(.size16K)
    story.profile.path = .traditional
    story.profile.era = era
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory + 2 * story.page)
    story.handle(.vcpu0, story.memory + 0x7000)
    story.handle(.vcpu0, story.memory + 0x7000, .permission, .exec)
    #expect(
      try story.replay().operations.suffix(2) == [
        "map \(address)+4000 = 0, derived", "relax_perms \(address) = 0, derived",
      ])
  }

  @Test(
    "Where nothing names the kernel, or not which side of a fix, the address of a larger page is an assumption",
    arguments: [nil, "6.12.5", "6.18.3", "6.19.30", "7.3.1"])
  func unnamedKernel(release: String?) throws {
    let story = Scenario(.size16K)
    story.uname = release.map { "Linux host \($0) #1 SMP aarch64" }
    story.request = ProfileRequest()
    story.request?.pageSize = .size16K
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory + 2 * story.page)
    story.handle(.vcpu0, story.memory + 0x7000)
    story.handle(.vcpu0, story.memory + 4 * story.page)
    #expect(
      try story.replay().all.map(\.basis)
        == [.derived, release == "6.12.5" || release == "7.3.1" ? .derived : .assumed, .derived])
  }

  @Test(
    "Nor does an era tell that has kernels on both sides of the fix",
    arguments: [("6.16", Basis.derived), ("6.18", .assumed), ("6.19", .assumed), ("7.3", .derived)])
  func statedEra(era: String, basis: Basis) throws {
    let story = Scenario(.size16K)
    story.request = ProfileRequest()
    story.request?.pageSize = .size16K
    try story.request?.set("era", to: .word(era))
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory + 4 * story.page)
    story.handle(.vcpu0, story.memory + 0x7000)
    #expect(try story.replay().all.map(\.basis) == [.derived, basis])
  }
}
