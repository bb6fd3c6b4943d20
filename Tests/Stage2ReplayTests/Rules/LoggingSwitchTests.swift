import KVMTypes
import Stage2Model
import Testing

@testable import Stage2Replay

/// Dirty logging that is switched on or off while vCPUs fault, on a host with the traditional table.
@Suite("Switching of dirty logs")
struct LoggingSwitchTests {
  /// A slot that may hold blocks.
  private func story(flags: UInt64) -> Scenario {
    let story = Scenario(formats: Scenario.markedFormats)
    story.profile = Profile(path: .traditional, era: .v7_3)
    story.profile.ipaBits = 40
    story.mark("begin")
    story.createVM()
    story.createSlot(hva: story.congruentHVA, flags: flags)
    story.enter(.vcpu0)
    story.enter(.vcpu1)
    return story
  }

  /// The first block of it is mapped, and proven to be.
  private func block(_ access: Scenario.Access = .write) -> Scenario {
    let story = story(flags: 0)
    story.handle(.vcpu0, story.memory, level: 1, access)
    story.handle(.vcpu0, story.memory, .permission, level: 2, .exec)
    return story
  }

  /// It logs, and two of its pages are mapped.
  private func pages() -> Scenario {
    let story = story(flags: 1)
    story.handle(.vcpu0, story.memory, level: 1, .write)
    story.handle(.vcpu0, story.memory + story.page, level: 3, .write)
    return story
  }

  private func switchLog(_ flags: UInt64, _ story: Scenario) {
    story.setFlags(flags, hva: story.congruentHVA)
  }

  @Test("Logging is off before its commit says so: a fault puts a block in the place of pages")
  func offEarly() throws {
    let story = pages()
    story.handle(.vcpu0, story.memory + 2 * story.page, level: 3, .write)
    switchLog(0, story)
    story.handle(.vcpu0, story.memory + 3 * story.page, .permission, level: 2, .exec)
    let replayed = try story.replay()
    #expect(replayed.operations(.map).last == "map 40000000+200000 = 0, derived")
    #expect(replayed.divergences == [])
  }

  @Test("Logging is on before its commit says so: a fault on a block breaks it into a page")
  func onEarly() throws {
    let story = block(.read)
    story.run(.vmm)
    story.handle(.vcpu0, story.memory, .permission, level: 2, .write)
    switchLog(1, story)
    story.handle(.vcpu0, story.memory + 2 * story.page, level: 3, .write)
    let replayed = try story.replay()
    #expect(
      replayed.operations(.map) == [
        "map 40000000+200000 = 0, derived", "map 40000000+1000 = 0, derived",
        "map 40002000+1000 = 0, derived",
      ])
    #expect(replayed.operations(.relaxPerms).count == 1)
    #expect(replayed.divergences == [])
  }

  @Test("Where nothing follows a fault may have found either, and the host's figures may be those of both")
  func open() throws {
    for kilobytes in [4 * (2 + 1), 4 * (2 + 2)] {
      let story = pages()
      story.handle(.vcpu0, story.memory + 2 * story.page, level: 3, .write)
      switchLog(0, story)
      story.mark("off", kilobytes: kilobytes)
      let replayed = try story.replay()
      #expect(replayed.operations(.map).last == "map 40002000+1000 = 0, assumed")
      #expect(replayed.figures == ["off secPageTablesBytes \(kilobytes << 10) 16384 agrees"])
    }
  }

  @Test("A block in a slot that began to log may be split: the range of the host's figures has its table")
  func mayBeSplit() throws {
    for (kilobytes, verdict) in [(12, "agrees"), (16, "agrees"), (20, "differs")] {
      let story = block()
      story.exit(.vcpu0)
      switchLog(1, story)
      story.mark("logs", kilobytes: kilobytes)
      #expect(
        try story.replay().figures == ["logs secPageTablesBytes \(kilobytes << 10) 12288 \(verdict)"])
    }
  }

  @Test("A fault on a page after logging began does not prove that pages were mapped before")
  func splitSince() throws {
    let story = story(flags: 0)
    story.handle(.vcpu0, story.memory, level: 1, .write)
    switchLog(1, story)
    story.handle(.vcpu0, story.memory + 5 * story.page, .permission, level: 3, .write)
    #expect(try story.replay().operations(.map).first?.hasSuffix("= 0, assumed") == true)
  }

  @Test("While a vCPU breaks a block, another one finds nothing and maps nothing, as a third fault shows")
  func brokenBlock() throws {
    let story = block()
    switchLog(1, story)
    story.fault(.vcpu0, story.memory, .permission, level: 2, .write)
    let page = story.memory + 5 * story.page
    for _ in 0..<3 { story.handle(.vcpu1, page, level: 2) }
    story.enter(.vcpu0)
    story.handle(.vcpu0, page, level: 3)
    let replayed = try story.replay()
    #expect(
      replayed.all.filter { $0.kind == .map && $0.tid == ThreadID(1002) }.map(\.result) == [-11, -11, -11])
    #expect(replayed.operations(.map).last?.hasPrefix("map 40005000+1000 = 0") == true)
    // The table is the model's, in which it stands from the start of what made it.
    #expect(replayed.divergences == ["D1 explained E2 x3"])
  }

  @Test("Who finds no table while a vCPU puts a block in its place comes after it, though it ends first")
  func brokenTable() throws {
    let story = pages()
    story.run(.vmm)
    switchLog(0, story)
    story.fault(.vcpu0, story.memory + 2 * story.page, level: 3, .write)
    story.handle(.vcpu1, story.memory + 9 * story.page, level: 2, .write)
    story.handle(.vcpu1, story.memory + story.block, level: 2, .write)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory + 8 * story.page, .permission, level: 2, .exec)
    let replayed = try story.replay()
    #expect(
      replayed.operations(.map).suffix(3) == [
        "map 40000000+200000 = 0, assumed", "map 40000000+200000 = -11, assumed",
        "map 40200000+200000 = 0, assumed",
      ])
    #expect(replayed.divergences.allSatisfy { $0.hasPrefix("D1 explained E2") })
  }

  @Test("Who is proven to have found the old flags shows that all before it found them")
  func orderedByOldFlags() throws {
    let story = block()
    switchLog(1, story)
    story.handle(.vcpu1, story.memory + story.block, level: 2, .write)
    story.handle(.vcpu0, story.memory, .permission, level: 2, .write)
    story.handle(.vcpu0, story.memory + story.page, level: 3, .write)
    switchLog(0, story)
    let replayed = try story.replay()
    #expect(replayed.operations(.map).contains("map 40200000+1000 = 0, derived"))
    #expect(replayed.divergences == [])
  }

  @Test("Who is proven to have found the new flags shows that all after it found them")
  func orderedByNewFlags() throws {
    let story = block(.read)
    story.handle(.vcpu0, story.memory, .permission, level: 2, .write)
    story.handle(.vcpu0, story.memory + story.page, level: 3, .write)
    story.handle(.vcpu1, story.memory + story.block, level: 2, .write)
    switchLog(1, story)
    let replayed = try story.replay()
    #expect(replayed.operations(.map).last == "map 40200000+1000 = 0, derived")
    #expect(replayed.divergences == [])
  }

  @Test("Who overlaps with the one that is proven may have found either")
  func openAroundProof() throws {
    let story = block()
    switchLog(1, story)
    story.fault(.vcpu1, story.memory + story.block, level: 2, .write)
    story.handle(.vcpu0, story.memory, .permission, level: 2, .write)
    story.handle(.vcpu0, story.memory + story.page, level: 3, .write)
    story.enter(.vcpu1)
    switchLog(0, story)
    #expect(
      try story.replay().operations(.map).contains { $0.hasPrefix("map 40200000") && $0.hasSuffix("assumed") }
    )
  }

  @Test("Who began before an earlier switch may have found the flags from before that one")
  func twoSwitches() throws {
    for isOpenBefore in [true, false] {
      let story = block()
      story.options.lag = 6
      let fault = { story.fault(.vcpu1, story.memory + story.block, level: 2, .write) }
      if isOpenBefore { fault() }
      switchLog(1, story)
      // So much happens that nothing waits any more from before that.
      for page in 9..<17 as Range<UInt64> { story.age(.kswapd, story.congruentHVA + page * story.page) }
      if !isOpenBefore { fault() }
      story.enter(.vcpu1)
      // Proven to have found that logging was on, when it was not off yet.
      story.handle(.vcpu0, story.memory, .permission, level: 2, .write)
      story.handle(.vcpu0, story.memory + story.page, level: 3, .write)
      switchLog(0, story)
      let map = try story.replay().all.last { $0.address == IPA(story.memory + story.block) }
      #expect(map?.basis == (isOpenBefore ? .assumed : .derived))
    }
  }

  @Test("So does a vCPU that walks the guest's own table, as long as it comes back")
  func brokenTableOfWalk() throws {
    let story = pages()
    story.run(.vmm)
    switchLog(0, story)
    story.fault(.vcpu0, story.memory + 2 * story.page, level: 3, .write)
    for _ in 0..<3 { story.handle(.vcpu1, story.memory + 9 * story.page, level: 1, .stage1Walk) }
    story.handle(.vcpu1, story.memory + story.block, level: 2, .write)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory + 8 * story.page, .permission, level: 2, .exec)
    let replayed = try story.replay()
    #expect(
      replayed.all.filter { $0.kind == .map && $0.tid == ThreadID(1002) }.prefix(2).map(\.result) == [
        -11, -11,
      ])
  }

  @Test(
    "A block that is met under logging comes back when that is over, though the trace did not see it mapped")
  func blockBeforeTrace() throws {
    let story = Scenario()
    story.profile = Profile(path: .traditional, era: .v7_3)
    switchLog(1, story)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, .permission, level: 2, .write)
    story.handle(.vcpu0, story.memory + 3 * story.page, level: 3)
    story.run(.vmm)
    switchLog(0, story)
    story.handle(.vcpu0, story.memory + 3 * story.page, .permission, level: 3, .write)
    let replayed = try story.replay()
    #expect(replayed.operations(.map).last == "map 40000000+200000 = 0, derived")
    #expect(replayed.operations(.relaxPerms) == [])
  }

  @Test("A fault on a page ends that there may be a block, while another one is open elsewhere, too")
  func openElsewhere() throws {
    for (isOnPage, verdict) in [(true, "differs"), (false, "agrees")] {
      let story = pages()
      story.options.lag = 2
      story.handle(.vcpu0, story.memory + 2 * story.page, level: 3, .write)
      switchLog(0, story)
      for _ in 0..<4 { story.testAge(.kswapd, story.congruentHVA + story.block) }
      story.fault(.vcpu1, story.memory + story.block, level: 2, .write)
      if isOnPage {
        for page in [3, 4] as [UInt64] {
          story.handle(.vcpu0, story.memory + page * story.page, level: 3, .write)
        }
      }
      story.exitToVMM(.vcpu1, errno: -14)
      story.mark("off", kilobytes: 12)
      let figures = try story.replay().figures
      #expect(figures == ["off secPageTablesBytes 12288 16384 \(verdict)"])
    }
  }

  // MARK: What proves which flags were found

  /// Pages of the first block are mapped one after the other: the first is proven to be one.
  private func mapPages(_ story: Scenario) {
    for page in [1, 2] as [UInt64] {
      story.handle(.vcpu0, story.memory + page * story.page, level: 3, .write)
    }
  }

  @Test("A page where the host has a block, as an earlier fault met it, shows that logging was on")
  func pageInBlock() throws {
    for (isUnmapped, basis) in [(false, "derived"), (true, "assumed")] {
      let story = block()
      switchLog(1, story)
      story.run(.vmm)
      if isUnmapped {
        // The block that the next fault met may be none by now.
        story.unmap(.kswapd, story.congruentHVA + 9 * story.page)
        story.run(.kswapd)
      }
      story.fault(.vcpu0, story.memory, .permission, level: 2, .write)
      story.handle(.vcpu1, story.memory + story.block, level: 2, .write)
      story.enter(.vcpu0)
      mapPages(story)
      switchLog(0, story)
      #expect(try story.replay().operations(.map).contains("map 40200000+1000 = 0, \(basis)"))
    }
  }

  @Test("A block that is proven shows that logging was off, and off for all that begins after it")
  func blockIsNew() throws {
    for (isProven, bytes) in [(true, "200000"), (false, "1000")] {
      let story = story(flags: 1)
      story.handle(.vcpu0, story.memory, level: 1, .write)
      if isProven { story.handle(.vcpu0, story.memory + 5 * story.page, .permission, level: 2, .exec) }
      story.handle(.vcpu1, story.memory + story.block, level: 2, .write)
      switchLog(0, story)
      let replayed = try story.replay()
      #expect(replayed.operations(.map).last == "map 40200000+\(bytes) = 0, assumed")
      #expect(replayed.divergences == [])
    }
  }

  @Test("Until all are over that raced with who found the new flags, a fault may have found the old ones")
  func rivalOutlastsProof() throws {
    for isBefore in [true, false] {
      let story = block(.read)
      let page = story.memory + 7 * story.page
      if isBefore { story.fault(.vcpu1, page, .permission, level: 2, .exec) }
      story.fault(.vcpu0, story.memory, .permission, level: 2, .write)
      if !isBefore { story.fault(.vcpu1, page, level: 2) }
      story.enter(.vcpu0)
      story.handle(.vcpu0, story.memory + story.page, level: 3, .write)
      story.handle(.vcpu0, story.memory + story.block, level: 2, .write)
      story.enter(.vcpu1)
      switchLog(1, story)
      let map = try story.replay().all.last { $0.address == IPA(story.memory + story.block) }
      #expect(map?.basis == .assumed)
    }
  }

  @Test("Who may have met what another vCPU mapped proves nothing of the flags that it found")
  func rivalBeforeProof() throws {
    let vcpu2 = Scenario.Thread(tid: 1003, cpu: 2)
    let story = block()
    story.enter(vcpu2)
    switchLog(1, story)
    story.fault(vcpu2, story.memory + 9 * story.page, .permission, level: 2, .exec)
    story.handle(.vcpu1, story.memory + story.block, level: 2, .write)
    story.handle(.vcpu0, story.memory, .permission, level: 2, .write)
    story.handle(.vcpu0, story.memory + story.page, level: 3, .write)
    story.enter(vcpu2)
    switchLog(0, story)
    let map = try story.replay().all.last { $0.address == IPA(story.memory + story.block) }
    #expect(map?.basis == .assumed)
  }

  @Test("Pages or a block in their place: a walk cannot have stopped above, unless a part was unmapped")
  func somethingIsThere() throws {
    for (isUnmapped, verdict) in [(false, "unexplained"), (true, "unknown")] {
      let story = pages()
      story.options.lag = 2
      story.handle(.vcpu0, story.memory + 2 * story.page, level: 3, .write)
      switchLog(0, story)
      if isUnmapped {
        story.unmap(.kswapd, story.congruentHVA)
        story.run(.kswapd)
        story.stop(.vcpu0)
        story.enter(.vcpu0)
      }
      story.handle(.vcpu0, story.memory + 3 * story.page, level: 2, .write)
      let divergences = try story.replay().divergences
      #expect(divergences == ["D1 \(verdict)"])
    }
  }
}
