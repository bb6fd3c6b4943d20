import KVMTrace
import KVMTypes
import Testing
import TraceSynth

@testable import Stage2Replay

/// A replay of a part of a trace: what is under way where it ends, no event of it tells.
@Suite("Parts of a trace")
struct CutTests {
  private static let formats = KVMEventFormats.all + StageTwoProbeFormats.all

  @Test("Events of what may be one notification are one place: what was recorded meets the first")
  func openRepetition() throws {
    let story = Scenario(formats: Self.formats)
    story.createSlot(hva: story.congruentHVA)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1)
    for _ in 0..<2 { story.unmap(.vmm, story.congruentHVA, bytes: story.block) }
    story.recordUnmap(.vmm, story.memory, bytes: story.block)
    story.handle(.vcpu0, story.memory, level: 1)
    let score = try #require(try story.replay().result.agreement?.scores[.unmap])
    #expect(score.recorded == 1 && score.matched == 1 && score.derivedWrong == 0, "\(score)")
  }

  @Test("What a notification does after the last event was not recorded, which contradicts nothing")
  func endInNotification() throws {
    let story = Scenario(formats: Self.formats)
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1)
    story.handle(.vcpu0, story.memory + story.page)
    story.unmap(.kswapd, story.crookedHVA)
    story.recordUnmap(.kswapd, story.memory)
    story.unmap(.kswapd, story.crookedHVA + story.page)
    story.options.to = Nanoseconds(story.now + 1)
    story.recordUnmap(.kswapd, story.memory + story.page)
    story.unmap(.kswapd, story.crookedHVA + 9 * story.page)
    let replayed = try story.replay()
    #expect(replayed.operations(.unmap).count == 2)
    let score = try #require(replayed.result.agreement?.scores[.unmap])
    #expect(score.recorded == 1 && score.predicted == 1 && score.derivedWrong == 0, "\(score)")
  }

  @Test("Every fault is in one count, whether it led to an operation or not, or the part ends in its window")
  func everyFaultCounts() throws {
    func story() -> Scenario {
      let story = Scenario(formats: Self.formats)
      story.createSlot()
      story.enter(.vcpu0)
      story.enter(.vcpu1)
      story.handle(.vcpu0, story.memory, level: 1)
      story.fault(.vcpu0, story.memory + story.page)
      story.fault(.vcpu1, 0x900_0000, level: 1)
      return story
    }
    func check(_ story: Scenario, mmio: Int, _ nothing: [NoOperationReason: Int]) throws {
      let replayed = try story.replay()
      let faults = try #require(replayed.result.vms.first?.faults)
      #expect(
        faults.total == 3 && faults.mmio == mmio && replayed.nothing == nothing,
        "\(faults) \(replayed.nothing)")
      #expect(replayed.all.count + nothing.values.reduce(0, +) == faults.total)
    }
    try check(story(), mmio: 0, [.cutOff: 2])
    let device = story()
    device.mmio(.vcpu1, 0x900_0000)
    try check(device, mmio: 1, [.cutOff: 1, .noSlot: 1])
    let part = story()
    part.options.to = Nanoseconds(part.now + 1)
    part.mmio(.vcpu1, 0x900_0000)
    part.enter(.vcpu1)
    part.enter(.vcpu0)
    try check(part, mmio: 0, [.cutOff: 2])
    let whole = story()
    whole.mmio(.vcpu1, 0x900_0000)
    whole.enter(.vcpu1)
    whole.enter(.vcpu0)
    try check(whole, mmio: 1, [.noSlot: 1])
  }

  /// A thread unmaps a page, which no probe records, though one on another page was.
  private func unrecorded(then goOn: (Scenario) -> Void) throws -> AgreementScore {
    let story = Scenario(formats: Self.formats)
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1)
    story.unmap(.vmm, story.crookedHVA + story.page)
    story.recordUnmap(.vmm, story.memory + story.page)
    story.run(.vmm)
    story.unmap(.kswapd, story.crookedHVA)
    goOn(story)
    story.enter(.vcpu0)
    return try #require(try story.replay().result.agreement?.scores[.unmap])
  }

  @Test("A thread's last event is no excuse where its processor went on with others")
  func processorGoesOn() throws {
    let ended = try unrecorded { _ in }
    #expect(ended.predicted == 1 && ended.derivedWrong == 0, "\(ended)")
    let waits = try unrecorded { $0.contend(.kswapd, lock: 0xffff_0000, flags: 4) }
    #expect(waits.predicted == 1 && waits.derivedWrong == 0, "\(waits)")
    let wentOn = try unrecorded { $0.run(Scenario.Thread(tid: 61, cpu: Scenario.Thread.kswapd.cpu)) }
    #expect(wentOn.predicted == 2 && wentOn.derivedWrong == 1, "\(wentOn)")
  }
}
