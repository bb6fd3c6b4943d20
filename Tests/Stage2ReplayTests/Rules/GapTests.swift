import KVMTrace
import KVMTypes
import Stage2Model
import Testing
import UnnamedFiles

@testable import Stage2Replay

/// What a thread began before a gap is not taken to go on behind it.
@Suite("Threads across gaps")
struct GapTests {
  private static let kvm: UInt64 = 0xffff_0000

  /// Events are lost of the CPU of a thread that has nothing to do with a VM.
  private func lose(_ story: Scenario) {
    story.run(.vmm)
    story.loseEvents(cpu: Scenario.Thread.vmm.cpu)
    story.run(.vmm)
  }

  // MARK: Streams

  @Test(
    "What one buffer lost begins at its own last event, whatever another one has of the CPU meanwhile",
    arguments: [false, true])
  func lossOfBuffer(inferring: Bool) throws {
    func replayed(losesOn cpu: Int, _ lossy: Bool = true) throws -> Replayed {
      let story = Scenario()
      let other = Scenario.Thread(tid: 5000, cpu: cpu, buffer: 1)
      story.options.infersMemslots = inferring
      story.createSlot()
      story.enter(.vcpu0)
      story.handle(.vcpu0, story.memory, level: 1)
      story.run(other)
      for page in UInt64(1)...4 { story.handle(.vcpu0, story.memory + page * story.page) }
      if lossy { story.loseEvents(cpu: cpu, buffer: 1) }
      story.run(other)
      story.handle(.vcpu0, story.memory + 5 * story.page)
      return try story.replay()
    }
    // The vCPU's own CPU is as good as any.
    let (own, another) = (try replayed(losesOn: 0), try replayed(losesOn: 2))
    #expect(own.operations == another.operations && own.result.gaps == another.result.gaps)
    let gap = try #require(own.result.gaps.first)
    #expect(own.result.gaps.count == 1 && gap.upperBound.rawValue - gap.lowerBound.rawValue > 10_000)
    if !inferring {
      let whole = try replayed(losesOn: 0, false)
      #expect(whole.operations(.map).count { $0.hasSuffix("derived") } == 6)
      #expect(own.operations(.map).count { $0.hasSuffix("derived") } < 4)
    }
  }

  // MARK: Waits

  @Test("A wait behind a gap is not that of a fault from before it, whichever CPU lacks events")
  func faultWait() throws {
    for lossy in [nil, Scenario.Thread.vcpu0, .kswapd] {
      let profile = try ProfileTests.profile { story in
        story.run(.kswapd)
        story.fault(.vcpu0, story.memory)
        if let lossy { story.loseEvents(cpu: lossy.cpu) }
        story.contend(.vcpu0, lock: Self.kvm, flags: 2)
        story.run(.kswapd)
        story.enter(.vcpu0)
      }
      #expect(profile.isPKVM == (lossy != nil))
      #expect(profile.basis[.path] == (lossy == nil ? .derived : .assumed))
    }
  }

  @Test("A gap that was over before a fault, or began behind its wait, leaves what that shows")
  func otherGap() throws {
    for isBefore in [false, true] {
      let profile = try ProfileTests.profile { story in
        if isBefore { lose(story) }
        story.fault(.vcpu0, story.memory)
        story.contend(.vcpu0, lock: Self.kvm, flags: 2)
        if !isBefore { lose(story) }
        story.enter(.vcpu0)
      }
      #expect(!profile.isPKVM && profile.basis[.path] == .derived)
    }
  }

  @Test("Until when an unmap waited is not known where events are missing")
  func notification() throws {
    for (waits, isLost) in [(true, false), (true, true), (false, true)] {
      let story = NotifierTests.running()
      story.unmap(.kswapd, story.crookedHVA)
      let time = story.now
      if waits { story.contend(.kswapd, lock: Self.kvm, flags: 4) }
      if isLost { story.loseEvents(cpu: Scenario.Thread.kswapd.cpu) }
      story.acquire(.kswapd, lock: Self.kvm)
      let unmap = try story.replay().all.last
      #expect(unmap?.line == "unmap 40000000+1000 = 0, \(isLost ? "assumed" : "derived")")
      #expect(unmap?.time == Nanoseconds(isLost ? time : story.now))
    }
  }

  @Test("Whether an unmap waited after its event, and until when, is not known where a gap follows")
  func lastBeforeGap() throws {
    for (waits, follows, isLost) in [
      (false, false, true), (true, false, true), (false, true, true), (false, false, false),
    ] {
      let story = NotifierTests.running()
      story.unmap(.kswapd, story.crookedHVA)
      if waits { story.contend(.kswapd, lock: Self.kvm, flags: 4) }
      // What the thread does next comes when it is done.
      if follows { (0..<2).forEach { _ in story.run(.kswapd) } }
      if isLost { story.loseEvents(cpu: Scenario.Thread.kswapd.cpu) }
      story.run(.kswapd)
      let unmap = try story.replay().operations(.unmap)
      let isOpen = isLost && !follows
      #expect(unmap == ["unmap 40000000+1000 = 0, \(isOpen ? "assumed" : "derived")"])
    }
  }

  // MARK: vCPUs

  @Test("A vCPU that is not seen between two gaps, or until the end, may be in a fault all the while")
  func silentVCPU() throws {
    for (isSeen, isLostAgain) in [(true, false), (true, true), (false, false), (false, true)] {
      let story = Scenario()
      story.createSlot()
      for (number, vcpu) in [Scenario.Thread.vcpu0, .vcpu1].enumerated() {
        story.enter(vcpu)
        story.handle(vcpu, story.memory + UInt64(number) * story.page)
      }
      lose(story)
      story.enter(.vcpu0)
      if isSeen { story.enter(.vcpu1) }
      // A vCPU gets on, so no unmap goes on that began in the gap.
      for page in 16..<20 as Range<UInt64> { story.handle(.vcpu0, story.memory + page * story.page) }
      if isLostAgain { lose(story) }
      let maps = try story.replay().operations
      #expect(maps.first == "map 40000000+1000 = 0, derived")
      #expect(maps.last == "map 40013000+1000 = 0, \(isSeen ? "derived" : "assumed")")
    }
  }

  @Test("A thread that appears behind a gap is of a VM from before it only if something says so")
  func newThread() throws {
    let new = Scenario.Thread(tid: 1005, cpu: 1)
    for (wasThere, waits) in [(true, false), (false, true), (false, false)] {
      let story = Scenario()
      story.createSlot()
      story.enter(.vcpu0)
      if wasThere { story.enter(new) }
      story.handle(.vcpu0, story.memory)
      lose(story)
      story.enter(.vcpu0)
      for page in 16..<20 as Range<UInt64> { story.handle(.vcpu0, story.memory + page * story.page) }
      story.enter(new)
      for page in 32..<36 as Range<UInt64> {
        story.fault(new, story.memory + page * story.page)
        if page == 33, waits { story.contend(new, lock: Self.kvm, flags: 4) }
        story.enter(new)
      }
      let maps = try story.replay().operations
      #expect(maps.last == "map 40023000+1000 = 0, \(wasThere || waits ? "derived" : "assumed")")
    }
  }

  @Test("What a thread does that may be of another VM contradicts nothing, and no one's table is known by it")
  func strangerContradictsNothing() throws {
    let new = Scenario.Thread(tid: 1005, cpu: 1)
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1)
    lose(story)
    story.enter(.vcpu0)
    for page in 16..<20 as Range<UInt64> { story.handle(.vcpu0, story.memory + page * story.page) }
    story.enter(new)
    // Both are given the same pages.
    for page in 18..<24 as Range<UInt64> { story.handle(new, story.memory + page * story.page) }
    for page in 20..<24 as Range<UInt64> { story.handle(.vcpu0, story.memory + page * story.page) }
    #expect(try story.replay().result.divergences.unexplained == 0)
  }

  @Test(
    "What a thread does that may be of another VM may have been done to that one", arguments: [true, false])
  func strangerRivalsOthers(wasThere: Bool) throws {
    let (other, otherVCPU) = (Scenario.Thread(tid: 900, cpu: 2), Scenario.Thread(tid: 901, cpu: 3))
    let new = Scenario.Thread(tid: 1005, cpu: 1)
    let story = Scenario()
    story.createSlot(other, kvm: 0xb000, hva: 0xee00_4000_1000)
    story.createSlot()
    story.enter(otherVCPU)
    story.enter(.vcpu0)
    if wasThere { story.enter(new) }
    // The first VM's vCPU gives itself away, and so does the second's.
    for (vcpu, lock) in [(otherVCPU, 0xb000), (.vcpu0, Self.kvm)] as [(Scenario.Thread, UInt64)] {
      story.fault(vcpu, story.memory)
      story.contend(vcpu, lock: lock, flags: 4)
      story.enter(vcpu)
    }
    lose(story)
    story.enter(otherVCPU)
    story.enter(new)
    for page in 16..<20 as Range<UInt64> { story.handle(otherVCPU, story.memory + page * story.page) }
    story.fault(new, story.memory + 20 * story.page)
    story.fault(otherVCPU, story.memory + 20 * story.page)
    story.enter(new)
    story.enter(otherVCPU)
    let replayed = try story.replay()
    #expect(replayed.result.vms.map { $0.vcpus.map(\.rawValue) } == [[901], [1001, 1005]])
    // How many faults there are is recorded; how many of each VM is not, where one may be another's.
    #expect(Certainty(replayed.result).faults == .recorded)
    for vm in replayed.result.vms {
      #expect(Certainty(replayed.result, of: vm).faults == (wasThere ? .recorded : .assumed))
    }
    #expect(
      replayed.operations(vm: 0).last == "map 40014000+1000 = 0, \(wasThere ? "derived" : "assumed")")
  }

  /// A VM with a vCPU, a gap, and a part that begins behind it, in which another thread faults.
  private func storyOfPart(wasThere: Bool, entersBehindGap: Bool, heading: [String] = []) -> Scenario {
    let new = Scenario.Thread(tid: 1005, cpu: 1)
    let story = Scenario(formats: Scenario.markedFormats)
    for line in heading { story.print(line) }
    story.createSlot()
    story.enter(.vcpu0)
    if wasThere { story.enter(new) }
    story.handle(.vcpu0, story.memory)
    lose(story)
    story.enter(.vcpu0)
    for page in 16..<20 as Range<UInt64> { story.handle(.vcpu0, story.memory + page * story.page) }
    if entersBehindGap { story.enter(new) }
    story.options.from = Nanoseconds(story.now + 1)
    story.enter(.vcpu0)
    story.enter(new)
    for page in 32..<36 as Range<UInt64> { story.handle(new, story.memory + page * story.page) }
    return story
  }

  @Test(
    "In a part behind a gap, it is no guess whose vCPU a thread runs that ran one before the gap",
    arguments: [true, false], [true, false])
  func newThreadOfPart(wasThere: Bool, entersBehindGap: Bool) throws {
    let story = storyOfPart(wasThere: wasThere, entersBehindGap: entersBehindGap)
    let maps = try story.replay().operations
    #expect(maps.last == "map 40023000+1000 = 0, \(wasThere ? "derived" : "assumed")")
    let file = try UnnamedFile(story.bytes())
    let markers = Replay.slice(of: try TraceFile(path: file.path), TracePart(from: story.options.from))
    let threads = ["1001"] + (wasThere ? ["1005"] : [])
    #expect(markers.headings.last == "pkvm-replay:running tids=" + threads.joined(separator: ","))
  }

  @Test("A part that was cut out says so", arguments: [true, false])
  func newThreadOfSlice(isTold: Bool) throws {
    let heading =
      ["pkvm-replay:slice path_assumed=pkvm"] + (isTold ? ["pkvm-replay:running tids=1005"] : [])
    let story = storyOfPart(wasThere: false, entersBehindGap: false, heading: heading)
    let maps = try story.replay().operations
    #expect(maps.last == "map 40023000+1000 = 0, \(isTold ? "derived" : "assumed")")
  }

  @Test("A thread that ran a vCPU of a VM that is gone is like one that appears")
  func reusedThread() throws {
    for isLost in [false, true] {
      let story = Scenario(formats: Scenario.markedFormats)
      let (old, other) = (Self.kvm + 0x1000, Scenario.Thread(tid: 1004, cpu: 2))
      story.createSlot(kvm: old)
      story.enter(.vcpu0)
      story.handle(.vcpu0, story.memory)
      story.createSlot(other, kvm: Self.kvm)
      story.destroyVM(kvm: old)
      if isLost { lose(story) }
      story.enter(.vcpu0)
      for page in 16..<20 as Range<UInt64> { story.handle(.vcpu0, story.memory + page * story.page) }
      let maps = try story.replay().operations
      #expect(maps.first == "map 40000000+1000 = 0, derived")
      #expect(maps.last == "map 40013000+1000 = 0, \(isLost ? "assumed" : "derived")")
    }
  }

  // MARK: What follows

  @Test("That a page faults again behind a gap does not show that the fault before came to nothing")
  func faultedAgain() throws {
    for (next, isLost) in [
      (Scenario.Thread.vcpu0, false), (.vcpu0, true), (.vcpu1, false), (.vcpu1, true),
    ] {
      let story = Scenario()
      story.createSlot()
      story.enter(.vcpu0)
      story.unmap(.kswapd, story.crookedHVA + 9 * story.page)
      story.handle(.vcpu0, story.memory)
      if isLost { lose(story) }
      story.enter(next)
      story.handle(next, story.memory)
      #expect(try story.replay().nothing == (isLost ? [:] : [.faultedAgain: 1]))
    }
  }

  @Test("A right that a leaf had before a gap is not one of the leaf that is met behind it")
  func rights() throws {
    for isLost in [false, true] {
      let story = Scenario()
      story.createSlot(flags: 2)
      story.setFlags(0)
      story.enter(.vcpu0)
      story.handle(.vcpu0, story.memory, level: 1)
      story.handle(.vcpu0, story.memory, .permission, .exec)
      if isLost {
        lose(story)
        story.enter(.vcpu0)
      }
      story.handle(.vcpu0, story.memory, .permission, .write)
      for page in 16..<20 as Range<UInt64> { story.handle(.vcpu0, story.memory + page * story.page) }
      story.handle(.vcpu0, story.memory, .permission, .exec)
      #expect(try story.replay().divergences == [isLost ? "D11 unknown E6" : "D13 unexplained"])
    }
  }

  @Test("What the last event before a gap says may be damaged, too")
  func damagedEvent() throws {
    for isLost in [false, true] {
      let story = NotifierTests.running()
      story.guestFault(.vcpu0, story.memory, esr: 0)
      if isLost { story.loseEvents(cpu: Scenario.Thread.vcpu0.cpu) }
      story.enter(.vcpu0)
      let divergences = try story.replay().divergences
      #expect(divergences.contains("D19 unknown E6") == isLost)
      #expect(divergences.contains("D19 unexplained") == !isLost)
    }
  }
}
