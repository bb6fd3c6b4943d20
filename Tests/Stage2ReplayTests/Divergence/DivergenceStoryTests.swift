import KVMTypes
import Stage2Model
import Testing

@testable import Stage2Replay

/// Each rule in a trace: what breaks it, and what accounts for that.
@Suite("Divergences in stories")
struct DivergenceStoryTests {
  /// A VM of 40 bits whose first page is mapped, by the first of two vCPUs; both are in the guest.
  private func story(_ change: (Scenario) -> Void = { _ in }) -> Scenario {
    let story = Scenario()
    change(story)
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1, .write)
    story.enter(.vcpu1)
    return story
  }

  /// The same where blocks are possible, and the first one is mapped by a block.
  private func blockStory() -> Scenario {
    let story = Scenario()
    story.createSlot(hva: story.congruentHVA)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1, .write)
    story.enter(.vcpu1)
    story.handle(.vcpu1, story.memory, .permission, level: 2, .exec)
    return story
  }

  @Test("Faults that the table accounts for are no divergence")
  func clean() throws {
    let story = story()
    story.handle(.vcpu0, story.memory + story.page, level: 3)
    story.handle(.vcpu0, story.memory + story.block, level: 2)
    story.handle(.vcpu1, story.memory, .permission, .exec)
    story.age(.kswapd, story.crookedHVA)
    story.handleAccessFault(.vcpu1, story.memory)
    story.unmap(.kswapd, story.crookedHVA, bytes: 2 * story.block)
    story.age(.kswapd, story.crookedHVA)
    story.handle(.vcpu0, story.memory + story.block, level: 1)
    let divergences = try story.replay().result.divergences
    #expect(divergences == DivergenceReport())
  }

  @Test("D1: a translation fault on a page that is mapped; the model takes the hardware's word")
  func mappedPage() throws {
    let story = story()
    story.handle(.vcpu0, story.memory + story.page, level: 3)
    story.handle(.vcpu1, story.memory, level: 3)
    story.handle(.vcpu1, story.memory + story.page, .permission, .exec)
    let replayed = try story.replay()
    #expect(replayed.divergences == ["D1 unexplained"])
    // Mapped once more, for it was not there.
    #expect(replayed.operations(.map).last == "map 40000000+1000 = 0, assumed")
    let item = try #require(replayed.result.divergences.items.first)
    #expect(item.vm == 0 && item.ipa == IPA(story.memory) && item.tid == ThreadID(1002))
    #expect(item.state == .leaf(level: .l3, prot: .rw, young: true))
    #expect(item.observed.contains("translation fault at level 3 by a read"))
    #expect(item.expected.contains("a level 3 page rw-, young"))
    #expect(item.recentEvents.map(\.effect) == [.mappedPage, .mappedPage])
  }

  @Test("D1: two vCPUs fault on one page, and the second finds it mapped")
  func race() throws {
    let story = story()
    story.fault(.vcpu0, story.memory + story.page, level: 3)
    story.fault(.vcpu1, story.memory + story.page, level: 3)
    story.enter(.vcpu0)
    story.enter(.vcpu1)
    try expect(story, ["D1 explained E2"])
  }

  @Test("D1: a walk that stops above a table which is there")
  func missingTable() throws {
    let story = story()
    story.handle(.vcpu1, story.memory + story.page, level: 2)
    try expect(story, ["D1 unexplained"])
  }

  @Test("D1: the table appeared after the vCPU's last entry")
  func recentTable() throws {
    let story = story()
    story.fault(.vcpu0, story.memory + story.block, level: 2)
    story.enter(.vcpu0)
    story.handle(.vcpu1, story.memory + story.block + story.page, level: 2)
    try expect(story, ["D1 explained E2"])
  }

  @Test("D1: while another vCPU replaces pages by a block, a walk stops above them again and again")
  func breakBeforeMake() throws {
    let story = Scenario()
    story.profile.path = .traditional
    story.createSlot(hva: story.congruentHVA, flags: 1)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1)
    story.setFlags(0, hva: story.congruentHVA)
    story.enter(.vcpu1)
    story.fault(.vcpu1, story.memory, .permission, .write)
    story.handle(.vcpu0, story.memory + story.page, level: 2)
    story.enter(.vcpu1)
    story.handle(.vcpu0, story.memory + story.page, level: 2)
    story.handle(.vcpu0, story.memory + story.page, .permission, level: 2, .exec)
    let divergences = try story.replay().divergences
    #expect(divergences.allSatisfy { $0.contains(" explained ") }, "\(divergences)")
    #expect(divergences.contains { $0.hasPrefix("D1 explained E3") }, "\(divergences)")
  }

  @Test("D15: a walk that goes on into a table which is not there")
  func unexpectedTable() throws {
    let story = story()
    story.handle(.vcpu1, story.memory + story.block, level: 3)
    story.handle(.vcpu1, story.memory + story.block + story.page, level: 3)
    try expect(story, ["D15 unexplained"])
  }

  @Test("D15: another vCPU's fault has made the table, though its window ends later")
  func peerTable() throws {
    let story = story()
    story.fault(.vcpu0, story.memory + story.block, level: 2)
    story.fault(.vcpu1, story.memory + story.block + story.page, level: 3)
    story.enter(.vcpu1)
    story.enter(.vcpu0)
    // And for the model, the first one finds a table that was not there.
    try expect(story, ["D15 explained E2", "D1 explained E2"])
  }

  @Test("D15: on the traditional path the kernel maps the vGIC itself, where no slot is")
  func kernelsOwnMapping() throws {
    // Where a fault found no table of level 2 there is none of the kernel's: it maps the vGIC before any vCPU runs.
    for (isTableSeen, divergences) in [(true, ["D15 explained E8"]), (false, ["D15 unexplained"])] {
      let story = Scenario()
      story.profile.path = .traditional
      story.createSlot()
      story.enter(.vcpu0)
      story.handle(.vcpu0, story.memory, level: isTableSeen ? 2 : 1, .write)
      let device = story.memory + 4 * story.block
      for _ in 0..<3 {
        story.fault(.vcpu0, device, level: 3)
        story.mmio(.vcpu0, device)
        story.enter(.vcpu0)
      }
      try expect(story, divergences)
    }
  }

  @Test("D2: a permission fault where nothing is mapped; the page is mapped from then on")
  func permission() throws {
    let story = story()
    story.handle(.vcpu1, story.memory + story.page, .permission, .write)
    story.handle(.vcpu1, story.memory + story.page, .permission, .exec)
    try expect(story, ["D2 unexplained"])
  }

  @Test("D2: the page goes in the fault's window", arguments: [true, false])
  func unmapped(isOver: Bool) throws {
    let story = story()
    story.handle(.vcpu0, story.memory + story.page, level: 3)
    story.fault(.vcpu0, story.memory, .permission, .exec)
    story.unmap(.kswapd, story.crookedHVA)
    if isOver { story.age(.kswapd, story.crookedHVA + 9 * story.page) }
    story.enter(.vcpu0)
    try expect(story, [isOver ? "D2 explained E2" : "D2 explained E14"])
  }

  @Test("D2: an unmap that was over when the vCPU entered accounts for nothing")
  func unmappedBefore() throws {
    let story = story()
    story.handle(.vcpu0, story.memory + story.page, level: 3)
    story.unmap(.kswapd, story.crookedHVA)
    story.age(.kswapd, story.crookedHVA + 9 * story.page)
    story.handle(.vcpu0, story.memory + 5 * story.page, level: 3)
    story.handle(.vcpu0, story.memory, .permission, .exec)
    try expect(story, ["D2 unexplained"])
  }

  @Test("D4: an access flag fault where nothing is mapped")
  func accessFlag() throws {
    let story = story()
    story.handleAccessFault(.vcpu1, story.memory + story.page)
    story.age(.kswapd, story.crookedHVA + story.page)
    story.handleAccessFault(.vcpu1, story.memory + story.page)
    try expect(story, ["D4 unexplained"])
  }

  @Test("D3: a permission fault on a page that was aged: a TLB may hold it")
  func agedPermission() throws {
    let story = story()
    story.age(.kswapd, story.crookedHVA)
    story.handle(.vcpu1, story.memory, .permission, .exec)
    try expect(story, ["D3 explained E1"])
  }

  @Test("D6 and D10: a page that was not aged since")
  func young() throws {
    let story = story()
    story.handleAccessFault(.vcpu0, story.memory)
    try expect(story, ["D10 unexplained"])
    story.handleAccessFault(.vcpu0, story.memory)
    try expect(story, ["D10 unexplained", "D6 unexplained"])
  }

  @Test("D6: an age that was under way may have come last")
  func ageUnderway() throws {
    let story = story()
    story.age(.kswapd, story.crookedHVA)
    story.handleAccessFault(.vcpu0, story.memory)
    story.handleAccessFault(.vcpu0, story.memory)
    try expect(story, ["D6 explained E14"])
  }

  @Test("D5: an access flag fault without its event, and the event without the fault")
  func accessFaultEvent() throws {
    let story = story()
    story.age(.kswapd, story.crookedHVA)
    story.handle(.vcpu0, story.memory, .accessFlag)
    story.handle(.vcpu0, story.memory + story.page, level: 3)
    try expect(story, [])
    story.exit(.vcpu0, exceptionClass: 0x16)
    story.accessFault(.vcpu0, story.memory)
    story.enter(.vcpu0)
    // Only now it is known that the trace has such events.
    try expect(story, ["D5 unexplained x2"])
  }

  @Test("D7: something is mapped where no slot is")
  func outsideSlots() throws {
    let story = story()
    story.handle(.vcpu0, 0x900_0000, .permission, .write)
    try expect(story, ["D7 unexplained"])
  }

  @Test("D8: an access of the VMM's where a slot is")
  func accessToSlot() throws {
    let story = story()
    story.fault(.vcpu0, story.memory + story.page, level: 3, .write)
    story.mmio(.vcpu0, story.memory + story.page)
    story.enter(.vcpu0)
    try expect(story, ["D8 unknown E8"])
    story.handle(.vcpu0, story.memory + story.page, level: 3, .write)
    try expect(story, ["D8 unexplained"])
  }

  @Test("D8: a slot that is being deleted, or is for reading only")
  func accessToDyingSlot() throws {
    let story = story()
    story.fault(.vcpu0, story.memory + story.page, level: 3, .write)
    story.mmio(.vcpu0, story.memory + story.page)
    story.enter(.vcpu0)
    story.deleteSlot()
    try expect(story, ["D8 explained E8"])
    let readOnly = Scenario()
    readOnly.createSlot(flags: 2)
    readOnly.enter(.vcpu0)
    readOnly.fault(.vcpu0, readOnly.memory, level: 1, .write)
    readOnly.mmio(.vcpu0, readOnly.memory)
    readOnly.enter(.vcpu0)
    try expect(readOnly, [])
  }

  @Test("D9: an unmap of a part of a page")
  func partOfPage() throws {
    let story = story()
    story.unmap(.kswapd, 0x1000_0800, bytes: story.page)
    try expect(story, ["D9 unexplained"])
  }

  @Test("D11 and D12: rights that the leaf has")
  func rights() throws {
    let story = story()
    story.handle(.vcpu1, story.memory, .permission, .write)
    story.handle(.vcpu0, story.memory, .permission, .read)
    try expect(story, ["D11 unexplained", "D12 unexplained"])
  }

  @Test("D11: a page that a read mapped may have been read-only")
  func hostReadOnly() throws {
    let story = story { $0.options.lag = 1 }
    story.handle(.vcpu0, story.memory + story.page, level: 3, .read)
    story.handle(.vcpu0, story.memory + 2 * story.page, level: 3, .write)
    story.handle(.vcpu0, story.memory + 3 * story.page, level: 3, .write)
    story.handle(.vcpu0, story.memory + story.page, .permission, .write)
    try expect(story, ["D11 explained E12"])
  }

  @Test("D11: dirty logging takes rights without an event")
  func logging() throws {
    // The end of the log has left the queue when a fault shows that it was cleared.
    let story = story { $0.options.lag = 1 }
    story.setFlags(1)
    story.handle(.vcpu0, story.memory, .permission, .write)
    story.handle(.vcpu0, story.memory + story.page, level: 3, .write)
    story.setFlags(0)
    story.handle(.vcpu1, story.memory + 2 * story.page, level: 3, .write)
    story.handle(.vcpu1, story.memory + story.page, .permission, .write)
    try expect(story, ["D11 explained E8"])
    story.handle(.vcpu1, story.memory + story.page, .permission, .write)
    try expect(story, ["D13 unexplained", "D11 explained E8"])
  }

  @Test(
    "D13: kernels from 6.19 to 7.1 take the right to execute when they grant that to write",
    arguments: [(PKVMEra.v6_18, true), (.v6_19, false), (.v7_1, false), (.v7_2, true)])
  func executeIsTaken(era: PKVMEra, isContradiction: Bool) throws {
    let story = Scenario()
    story.profile.era = era
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, .translation, .exec)
    // Dirty logging takes the right to write, which the guest asks for once more, and then that to execute.
    story.setFlags(1)
    story.handle(.vcpu0, story.memory, .permission, .write)
    story.handle(.vcpu0, story.memory, .permission, .exec)
    let found = try story.replay().divergences
    #expect(
      found.contains { $0.hasPrefix("D11 ") || $0.hasPrefix("D12 ") || $0.hasPrefix("D13 ") }
        == isContradiction, "\(found)")
  }

  @Test("D13: a right is missing again on the CPU whose TLB was flushed, or on another one")
  func grants() throws {
    let story = story()
    story.handle(.vcpu0, story.memory, .permission, .exec)
    story.handle(.vcpu1, story.memory + story.page, level: 3)
    story.handle(.vcpu1, story.memory, .permission, .exec)
    try expect(story, ["D13 explained E1"])
    story.handle(.vcpu1, story.memory, .permission, .exec)
    try expect(story, ["D13 unexplained", "D13 explained E1"])
  }

  @Test("D14: a protected guest's page faults again")
  func protected() throws {
    let story = story { $0.profile.isProtected = true }
    story.handle(.vcpu1, story.memory + story.page, level: 3)
    story.unmap(.kswapd, story.crookedHVA)
    story.handle(.vcpu1, story.memory, level: 3)
    try expect(story, ["D14 unexplained"])
    story.handle(.vcpu1, story.memory + story.page, .permission, .write)
    try expect(story, ["D14 unexplained x2"])
  }

  @Test("D16: a block in a slot whose addresses are not congruent")
  func crookedBlock() throws {
    let story = story()
    story.handle(.vcpu0, story.memory, .permission, level: 2, .exec)
    try expect(story, ["D16 unexplained"])
    try expect(blockStory(), [])
  }

  @Test("D17: a fault in which its thread unmapped the page maps nothing")
  func ownUnmap() throws {
    let story = story()
    story.fault(.vcpu0, story.memory + story.page, level: 3, .write)
    story.unmap(.vcpu0, story.crookedHVA + story.page)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory + story.page, .permission, .exec)
    try expect(story, ["D17 unexplained"])
  }

  @Test("D17 says nothing of what the thread reclaims")
  func ownReclaim() throws {
    let story = story()
    story.fault(.vcpu0, story.memory + story.page, level: 3, .write)
    story.age(.vcpu0, story.crookedHVA)
    story.unmap(.vcpu0, story.crookedHVA)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory + story.page, .permission, .exec)
    try expect(story, [])
  }

  @Test("A fault is held against the table before its own copy-on-write changes that")
  func copyOnWrite() throws {
    let story = story()
    for page in [story.memory, story.memory + story.page] {
      story.fault(.vcpu0, page, .permission, .write)
      story.unmap(.vcpu0, story.crookedHVA + (page - story.memory))
      story.enter(.vcpu0)
      story.handle(.vcpu0, page, level: page == story.memory ? 1 : 3, .write)
    }
    // The first page was writable, the second was not mapped.
    try expect(story, ["D11 unexplained", "D2 unexplained"])
  }

  @Test("D18, D19 and D20: a fault that does not fit its exit, or itself")
  func syndrome() throws {
    let story = story()
    story.exit(.vcpu0, exceptionClass: 0x20)
    story.guestFault(.vcpu0, story.memory + story.page, esr: 0x9200_0007)
    story.enter(.vcpu0)
    try expect(story, ["D18 unexplained"])
    story.exit(.vcpu0)
    story.guestFault(.vcpu0, story.memory + 2 * story.page, esr: 0x9000_0007)
    story.enter(.vcpu0)
    try expect(story, ["D18 unexplained", "D19 unexplained"])
    story.exit(.vcpu0)
    story.guestFault(.vcpu0, story.memory + 3 * story.page + 8, esr: 0x9200_0007)
    story.enter(.vcpu0)
    try expect(story, ["D18 unexplained", "D19 unexplained", "D20 unexplained"])
  }

  @Test("D21: a fault with which KVM_RUN fails maps nothing")
  func failure() throws {
    let story = story()
    story.fault(.vcpu0, story.memory + story.page, level: 3)
    story.exitToVMM(.vcpu0, errno: -14)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory + story.page, .permission, .exec)
    try expect(story, ["D21 unexplained"])
  }

  @Test("D22 and D23: blocks that cannot be")
  func blocks() throws {
    let memfd = Scenario()
    memfd.createSlot(hva: memfd.congruentHVA, flags: 4)
    memfd.enter(.vcpu0)
    memfd.handle(.vcpu0, memfd.memory, .permission, level: 2, .exec)
    try expect(memfd, ["D22 unexplained"])
    let story = story()
    story.handle(.vcpu0, story.memory, .permission, level: 1, .exec)
    try expect(story, ["D23 unexplained"])
  }

  @Test("O1 and O2: an event of the loop is missing, or comes twice")
  func loop() throws {
    let story = story()
    story.enter(.vcpu0)
    story.exit(.vcpu0)
    story.enter(.vcpu0)
    try expect(story, ["O1 unexplained", "O2 unexplained"])
  }

  @Test("L1: one page faults over and over, with nothing to account for it")
  func livelock() throws {
    let story = story()
    for _ in 0..<5 { story.handle(.vcpu1, story.memory, level: 3) }
    story.handle(.vcpu1, story.memory + story.page, level: 3)
    let replayed = try story.replay()
    #expect(replayed.divergences == ["D1 unexplained x5", "L1 unexplained"])
    #expect(replayed.result.divergences.items.last?.observed.hasPrefix("5 faults in a row") == true)
  }

  @Test("L1: retries while memory is being unmapped are told, and no livelock")
  func retries() throws {
    let story = story()
    story.unmap(.kswapd, story.crookedHVA + 9 * story.page)
    for _ in 0..<40 { story.handle(.vcpu1, story.memory + story.page, level: 3) }
    try expect(story, ["L1 explained E2"])
  }
}
