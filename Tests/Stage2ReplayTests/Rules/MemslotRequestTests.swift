import KVMTypes
import Testing
import TraceSynth

@testable import Stage2Replay

/// Memslots from the probe on kvm_set_memory_region, which tells what a VMM asks for.
@Suite("Requests for memslots")
struct MemslotRequestTests {
  private func story(withReturns: Bool = false) -> Scenario {
    Scenario(formats: Scenario.requestFormats(withReturns: withReturns))
  }

  @Test("A request is taken to succeed, and what follows from it is assumed")
  func request() throws {
    let story = story()
    story.requestSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    story.unmap(.kswapd, story.crookedHVA)
    let replayed = try story.replay()
    #expect(
      replayed.operations == ["map 40000000+1000 = 0, assumed", "unmap 40000000+1000 = 0, assumed"])
    #expect(replayed.result.vms[0].slots.map(\.basis) == [.assumed])
    #expect(replayed.result.vms[0].creator == ThreadID(1000))
  }

  @Test("With the return recorded, a request is as good as a commit, and one that failed is none")
  func returns() throws {
    let story = story(withReturns: true)
    story.requestSlot(id: 1, ipa: story.memory + 0x1000_0000, hva: 0xfe00_0000_1000)
    story.answerRequest(-17)
    story.requestSlot()
    story.answerRequest(0)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    story.handle(.vcpu0, story.memory + 0x1000_0000)
    let replayed = try story.replay()
    #expect(replayed.operations == ["map 40000000+1000 = 0, derived"])
    #expect(replayed.nothing == [.noSlot: 1])
    #expect(replayed.result.vms[0].slots.map(\.id) == [0])
  }

  @Test("A request without memory deletes the slot of its number")
  func delete() throws {
    let story = story()
    story.requestSlot(id: 3)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    story.requestSlot(id: 3, ipa: 0, pages: 0, hva: 0)
    story.requestSlot(id: 3, ipa: 0, pages: 0, hva: 0)
    story.handle(.vcpu0, story.memory)
    let replayed = try story.replay()
    #expect(
      replayed.operations == ["map 40000000+1000 = 0, assumed", "unmap 40000000+400000 = 0, assumed"])
    #expect(replayed.nothing == [.noSlot: 1])
  }

  @Test("The same slot elsewhere is a move; with other flags, a change of flags; the same again, nothing")
  func changes() throws {
    let story = story()
    story.requestSlot()
    story.requestSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    story.requestSlot(flags: 1)
    story.requestSlot(ipa: story.memory + 0x100_0000, flags: 1)
    story.handle(.vcpu0, story.memory + 0x100_0000)
    #expect(
      try story.replay().operations == [
        "map 40000000+1000 = 0, assumed", "wrprotect 40000000+400000 = 0, assumed",
        "unmap 40000000+400000 = 0, assumed", "wrprotect 41000000+400000 = 0, assumed",
        "map 41000000+1000 = 0, assumed",
      ])
  }

  @Test("What the kernel refuses for its form is no slot")
  func impossible() throws {
    let story = story()
    story.requestSlot(hva: story.crookedHVA + 1)
    story.requestSlot(ipa: 1 << 52)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    let replayed = try story.replay()
    #expect(replayed.operations.isEmpty && replayed.result.vms.allSatisfy(\.slots.isEmpty))
  }

  @Test("A slot of another size or place under a number in use belongs to a new VM of that address")
  func newVM() throws {
    let story = story()
    story.requestSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    story.requestSlot(hva: 0xfe00_0000_1000)
    story.enter(.vcpu1)
    story.handle(.vcpu1, story.memory)
    let replayed = try story.replay()
    #expect(replayed.result.vms.count == 2)
    #expect(replayed.operations(vm: 0) == ["map 40000000+1000 = 0, assumed"])
    #expect(replayed.operations(vm: 1) == ["map 40000000+1000 = 0, assumed"])
  }

  @Test("Where both probes tell, the commits count")
  func commitWins() throws {
    let story = Scenario(formats: KVMEventFormats.all + [KVMEventFormats.slotRequest])
    story.requestSlot(hva: 0xfe00_0000_1000)
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    let replayed = try story.replay()
    #expect(replayed.operations == ["map 40000000+1000 = 0, derived"])
    #expect(replayed.result.vms[0].slots.map(\.hva) == [HVA(story.crookedHVA)])
  }

  @Test("Slots asked for one by one are each found again, by number and by frame")
  func many() throws {
    let story = story()
    func ask(_ id: UInt64, at page: UInt64, pages: UInt64 = 4) {
      story.requestSlot(
        id: id, ipa: story.memory + page * story.page, pages: pages, hva: story.congruentHVA + id << 20)
    }
    let numbers = Array((0..<300 as Range<UInt64>).reversed())
    for number in numbers { ask(number, at: 8 * number) }
    // A third moves up by its length, a third goes.
    for number in numbers where number % 3 == 1 { ask(number, at: 8 * number + 4) }
    for number in numbers where number % 3 == 2 { ask(number, at: 0, pages: 0) }
    story.enter(.vcpu0)
    for page in 0..<300 * 8 as Range<UInt64> where page % 4 == 0 {
      story.handle(.vcpu0, story.memory + page * story.page)
    }
    let replayed = try story.replay()
    #expect(replayed.result.vms.count == 1)
    let mapped = replayed.all.filter { $0.kind == .map }
      .map { ($0.address.rawValue - story.memory) / story.page }
    #expect(mapped == numbers.reversed().filter { $0 % 3 != 2 }.map { $0 % 3 == 1 ? 8 * $0 + 4 : 8 * $0 })
    // Where a slot lies, no other one of the same VM is created: the address is another VM's by now.
    ask(1000, at: 0)
    #expect(try story.replay().result.vms.count == 2)
  }
}
