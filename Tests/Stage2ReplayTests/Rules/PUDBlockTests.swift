import KVMTypes
import Stage2Model
import Testing
import TraceSynth

@testable import Stage2Replay

/// Blocks of PUD_SIZE, 1 GiB with pages of 4 KiB: hugetlb pages of that size, on the traditional path.
@Suite("Blocks of 1 GiB")
struct PUDBlockTests {
  static let gib: UInt64 = 1 << 30
  static let block = "map 40000000+40000000 = 0, derived"
  static let assumedBlock = "map 40000000+40000000 = 0, assumed"
  static let next = "map 80000000+40000000 = 0, assumed"

  /// A slot of three stretches of 1 GiB, and a vCPU that enters.
  static func story(
    _ path: Profile.Path = .traditional, pages: UInt64 = 3 << 18,
    formats: [TraceSynth.EventFormat] = KVMEventFormats.all, before: (Scenario) -> Void = { _ in }
  ) -> Scenario {
    let story = Scenario(formats: formats)
    before(story)
    story.profile = Profile(path: path, era: .v7_3)
    story.profile.ipaBits = 48
    story.profile.hasHardwareAF = false
    story.createSlot(pages: pages, hva: story.congruentHVA)
    story.enter(.vcpu0)
    return story
  }

  /// A fetch in the first stretch, far from where it was touched first, meets a leaf of level 1.
  private func fetch(_ story: Scenario, at offset: UInt64 = 0x1d0_0000) {
    story.handle(.vcpu0, story.memory + offset, .permission, level: 1, .exec)
  }

  /// The slot's flags change.
  private func setFlags(_ story: Scenario, _ flags: UInt64) {
    story.setFlags(flags, pages: 3 << 18, hva: story.congruentHVA)
  }

  /// The host unmaps memory, and is done with it.
  private func unmap(_ story: Scenario, _ offset: UInt64, bytes: UInt64) {
    story.unmap(.vmm, story.congruentHVA + offset, bytes: bytes)
    story.age(.vmm, 0xaaaa_0000_0000)
  }

  // MARK: What shows them

  @Test("A permission fault at level 1 shows that the fault before it, anywhere around it, mapped 1 GiB")
  func permission() throws {
    let story = Self.story()
    story.handle(.vcpu0, story.memory + 0x123_4000, level: 0, .write)
    fetch(story)
    let replayed = try story.replay()
    // A VMA of hugetlb pages asks for blocks, so the address is the block's.
    #expect(replayed.operations == [Self.block, "relax_perms 40000000 = 0, derived"])
    #expect(replayed.divergences.isEmpty)
    let memory = replayed.result.vms[0].memory
    #expect(memory.tables(level: .l1).peak == 1 && memory.tables(level: .l2).peak == 0)
    #expect(memory.tables(level: .l3).peak == 0)
    #expect(replayed.result.vms[0].workingSet.pages == 1 << 18)
  }

  @Test("So does an access flag fault, but no fault of a stage-1 walk")
  func accessFlag() throws {
    let story = Self.story()
    story.handle(.vcpu0, story.memory, level: 0, .write)
    story.age(.kswapd, story.congruentHVA, bytes: Self.gib)
    story.handleAccessFault(.vcpu0, story.memory + 5 * story.block, level: 1)
    #expect(try story.replay().operations(.map) == [Self.block])
    let walk = Self.story()
    walk.handle(.vcpu0, walk.memory, level: 0, .write)
    walk.handle(.vcpu0, walk.memory + walk.block, .permission, level: 1, .stage1Walk)
    #expect(try walk.replay().operations(.map).first == "map 40000000+200000 = 0, assumed")
  }

  @Test("Only hugetlb pages are aged in such pieces")
  func aged() throws {
    let story = Self.story()
    story.handle(.vcpu0, story.memory, level: 0, .write)
    story.age(.kswapd, story.congruentHVA, bytes: Self.gib)
    #expect(try story.replay().operations(.map) == [Self.assumedBlock])
  }

  @Test("What was unmapped meanwhile may have been other memory")
  func unmapped() throws {
    let story = Self.story()
    story.handle(.vcpu0, story.memory, level: 0, .write)
    unmap(story, 0, bytes: Self.gib)
    story.handle(.vcpu0, story.memory + story.block, level: 1, .write)
    fetch(story)
    #expect(try story.replay().operations(.map) == ["map 40000000+200000 = 0, assumed", Self.block])
  }

  @Test("A vCPU that entered before the operation may have walked the table before it")
  func staleWalk() throws {
    let story = Self.story()
    story.enter(.vcpu1)
    story.handle(.vcpu0, story.memory, level: 0, .write)
    story.handle(.vcpu1, story.memory + story.block, .permission, level: 1, .exec)
    #expect(try story.replay().operations(.map) == ["map 40000000+200000 = 0, assumed"])
  }

  @Test("Four of them, on a kernel that may be pKVM, without waits for locks: their leaves decide the path")
  func path() throws {
    let story = Scenario(formats: KVMEventFormats.all.filter { !$0.name.hasPrefix("contention") })
    story.uname = "Linux host 6.18.5 #1 SMP aarch64"
    story.request = ProfileRequest()
    story.createSlot(pages: 4 << 18, hva: story.congruentHVA)
    story.enter(.vcpu0)
    let pages = (0..<UInt64(4)).map { story.memory + $0 * Self.gib + 0x123_4000 }
    for page in pages { story.handle(.vcpu0, page, level: page == pages[0] ? 0 : 1, .write) }
    for page in pages { story.handle(.vcpu0, page + 0x1dc_c000, .permission, level: 1, .exec) }
    let replayed = try story.replay()
    let profile = replayed.result.profile
    #expect(!profile.isPKVM && profile.basis[.path] == .derived && profile.profile.era == .v6_18)
    #expect(replayed.all.map(\.size) == Array(repeating: Self.gib, count: 4) + [0, 0, 0, 0])
    #expect(replayed.all.allSatisfy { $0.result == 0 && $0.basis == .derived })
    #expect(replayed.divergences.isEmpty)
  }

  // MARK: What is known stays known

  @Test("The rest of the slot is taken to be of such pages, too, where it can hold them")
  func restOfSlot() throws {
    let story = Self.story(pages: 2 << 18 | 1 << 17)
    story.handle(.vcpu0, story.memory, level: 0, .write)
    fetch(story)
    story.handle(.vcpu0, story.memory + Self.gib, level: 1, .write)
    story.handle(.vcpu0, story.memory + 2 * Self.gib, level: 1, .write)
    #expect(
      try story.replay().operations(.map) == [Self.block, Self.next, "map c0000000+200000 = 0, assumed"])
  }

  @Test("Logging breaks the block into the page that is written; when it ends, the block comes back")
  func logging() throws {
    // Without an event of the VMM's thread, logging may have ended right after it began.
    for (runs, basis) in [(true, "derived"), (false, "assumed")] {
      let story = Self.story()
      story.handle(.vcpu0, story.memory, level: 0, .write)
      fetch(story)
      setFlags(story, 1)
      story.handle(.vcpu0, story.memory + 7 * story.page, .permission, level: 1, .write)
      story.handle(.vcpu0, story.memory + 8 * story.page, level: 3, .write)
      story.handle(.vcpu0, story.memory + 8 * story.block, level: 2, .write)
      if runs { story.run(.vmm) }
      setFlags(story, 0)
      story.handle(.vcpu0, story.memory + 9 * story.page, level: 3, .write)
      fetch(story)
      let replayed = try story.replay()
      #expect(
        replayed.operations(.map) == [
          Self.block, "map 40007000+1000 = 0, \(basis)", "map 40008000+1000 = 0, \(basis)",
          "map 41000000+1000 = 0, \(basis)", Self.block,
        ])
      #expect(replayed.divergences.isEmpty)
    }
  }

  @Test("An unmap of a part takes all of the block, of all of it leaves the hugetlb page's size")
  func unmaps() throws {
    for (offset, bytes, map) in [
      (0, Self.gib, Self.assumedBlock), (Self.gib / 2, 0x1000, Self.assumedBlock),
      (0, 3 * Self.gib, Self.assumedBlock),
    ] {
      let story = Self.story()
      story.handle(.vcpu0, story.memory, level: 0, .write)
      fetch(story)
      unmap(story, offset, bytes: bytes)
      // Nothing else is mapped, so the tables above go, too.
      story.handle(.vcpu0, story.memory + 3 * story.block, level: 0, .write)
      let replayed = try story.replay()
      #expect(replayed.operations(.map) == [Self.block, map])
      #expect(replayed.divergences.isEmpty)
    }
  }

  @Test("A smaller leaf shows that the host does not map it by one page, whatever the rest of the slot is")
  func smallerLeaf() throws {
    let story = Self.story()
    story.handle(.vcpu0, story.memory, level: 0, .write)
    fetch(story)
    story.handle(.vcpu0, story.memory + Self.gib, level: 1, .write)
    story.handle(.vcpu0, story.memory + Self.gib + story.page, level: 3, .write)
    story.handle(.vcpu0, story.memory + Self.gib + story.block, level: 2, .write)
    story.handle(.vcpu0, story.memory + Self.gib + story.block, .permission, level: 3, .exec)
    let replayed = try story.replay()
    #expect(
      replayed.operations(.map).prefix(3) == [
        Self.block, "map 80000000+1000 = 0, derived", "map 80001000+1000 = 0, derived",
      ])
    #expect(replayed.divergences.allSatisfy { !$0.contains("unexplained") })
  }

  // MARK: What the rules make of them

  @Test("Where the proof comes too late, what was assumed is corrected")
  func corrected() throws {
    for kind in [FaultKind.permission, .accessFlag] {
      let story = Self.story()
      story.options.lag = 1
      story.handle(.vcpu0, story.memory, level: 0, .write)
      for line in 0..<UInt64(3) {
        story.handle(.vcpu0, story.memory + Self.gib + line * story.block, level: 1, .write)
      }
      story.handle(.vcpu0, story.memory + 7 * story.block, kind, level: 1, .exec)
      story.handle(.vcpu0, story.memory + 9 * story.block, .permission, level: 1, .write)
      let found = try story.replay().divergences
      #expect(found.contains { $0.hasPrefix("\(kind == .permission ? "D2" : "D4") unknown") })
      #expect(!found.contains { $0.contains("unexplained") })
    }
  }

  @Test("Another vCPU finds 1 GiB unmapped in the window of the fault that maps it")
  func race() throws {
    let story = Self.story()
    story.enter(.vcpu1)
    story.fault(.vcpu1, story.memory + 5 * story.block, level: 0, .write)
    story.handle(.vcpu0, story.memory, level: 0, .write)
    story.enter(.vcpu1)
    fetch(story)
    let replayed = try story.replay()
    #expect(replayed.operations(.map) == [Self.assumedBlock, "map 40000000+40000000 = -11, assumed"])
    #expect(replayed.divergences == ["D1 explained E2"])
  }

  @Test("Another vCPU finds it unmapped while a page takes the place of the block")
  func breakBeforeMake() throws {
    let story = Self.story()
    story.enter(.vcpu1)
    story.handle(.vcpu0, story.memory, level: 0, .write)
    fetch(story)
    setFlags(story, 1)
    story.exit(.vcpu1, exceptionClass: 1)
    story.enter(.vcpu1)
    story.fault(.vcpu0, story.memory, .permission, level: 1, .write)
    story.handle(.vcpu1, story.memory + 5 * story.block, level: 1)
    story.enter(.vcpu0)
    let replayed = try story.replay()
    #expect(replayed.divergences == ["D1 explained E3", "D2 explained E3"])
  }

  @Test("A permission fault at level 1 where pages are known to be contradicts the model")
  func contradiction() throws {
    let story = Self.story()
    setFlags(story, 1)
    story.handle(.vcpu0, story.memory, level: 0, .write)
    fetch(story, at: 0)
    #expect(try story.replay().divergences == ["D2 unexplained"])
  }

  @Test("Under pKVM, and with larger pages, there is none")
  func impossible() throws {
    let story = Self.story(.pkvm)
    story.handle(.vcpu0, story.memory, level: 0, .write)
    fetch(story)
    #expect(try story.replay().divergences == ["D23 unexplained"])
    let larger = Scenario(.size16K)
    larger.profile.path = .traditional
    larger.createSlot(pages: 1 << 24, hva: larger.congruentHVA)
    larger.enter(.vcpu0)
    larger.handle(.vcpu0, larger.memory, .permission, level: 1, .exec)
    #expect(try larger.replay().divergences == ["D23 unexplained"])
  }

  @Test("A slot that cannot hold it has none: D16")
  func slotTooSmall() throws {
    let story = Self.story(pages: 1 << 17)
    story.handle(.vcpu0, story.memory, level: 0, .write)
    fetch(story)
    #expect(try story.replay().divergences == ["D16 unexplained"])
  }

  // MARK: Figures

  @Test("A block that is an assumption may be a page, with a table of level 2 and one of level 3")
  func bounds() throws {
    for (isKnown, most) in [(false, 16384), (true, 8192)] {
      let story = Self.story(formats: Scenario.markedFormats) { story in
        story.mark("begin")
        story.createVM()
      }
      story.handle(.vcpu0, story.memory, level: 0, .write)
      if isKnown { fetch(story) } else { story.age(.kswapd, story.congruentHVA, bytes: Self.gib) }
      story.mark("mapped")
      let figure = try #require(try story.replay().result.markers.last?.figures.first)
      #expect(figure.modelled == 8192 && figure.range == 8192...most)
    }
  }

  @Test("Under pKVM the same memory is mapped by blocks of level 2, one for each access or all of them")
  func otherKernel() throws {
    for (extent, count, bytes) in [(OtherKernel.Extent.least, 1, "200000"), (.most, 512, "200000")] {
      let story = Self.story()
      story.handle(.vcpu0, story.memory, level: 0, .write)
      fetch(story)
      let replayed = try OtherKernelTests.under(Profile(path: .pkvm, era: .v7_3), extent, story)
      let maps = replayed.all.filter { $0.kind == .map }
      #expect(maps.count >= count && maps.allSatisfy { String($0.size, radix: 16) == bytes })
      if extent == .most { #expect(maps.count == count) }
    }
    let same = Self.story()
    same.handle(.vcpu0, same.memory, level: 0, .write)
    fetch(same)
    let replayed = try OtherKernelTests.under(Profile(path: .traditional, era: .v6_18), .most, same)
    #expect(replayed.operations.first == "map 40000000+40000000 = 0, modelled")
  }
}
