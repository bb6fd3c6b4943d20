import KVMTrace
import KVMTypes
import Stage2Model
import Stage2Replay
import Testing
import TraceMutation
import TraceSynth
import UnnamedFiles

/// Guests of guests: a fault's address is then one of the nested guest, and its table a shadow stage 2, which is not replayed.
@Suite("Nested guests")
struct NestedGuestTests {
  /// A guest hypervisor with a page, about to run a guest.
  private func story(recordsNesting: Bool = true) -> Scenario {
    let story = Scenario.nested(recordsNesting: recordsNesting)
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1, .write)
    return story
  }

  private func expect(
    _ story: Scenario, maps: Int, nested: Int, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let replayed = try story.replay()
    #expect(replayed.divergences == [], sourceLocation: sourceLocation)
    #expect(replayed.operations(.map).count == maps, sourceLocation: sourceLocation)
    #expect(replayed.operations.allSatisfy { $0.hasPrefix("map ") }, sourceLocation: sourceLocation)
    let faults = replayed.result.vms.first?.faults
    #expect(faults?.nested == nested && faults?.total == maps, sourceLocation: sourceLocation)
  }

  @Test("Faults of a nested guest are counted, and leave the VM's own table as it is")
  func faults() throws {
    let story = story()
    for number in 1...3 as ClosedRange<UInt64> {
      story.eret(.vcpu0)
      // Handed to the guest hypervisor, which maps the page: then the same fault is KVM's.
      story.fault(.vcpu0, story.memory, level: 0)
      story.exception(.vcpu0)
      story.handle(.vcpu0, story.memory + number * story.page)
      story.eret(.vcpu0)
      story.handleNested(.vcpu0, story.memory)
      story.exit(.vcpu0, exceptionClass: 0x16)
      story.exception(.vcpu0)
    }
    try expect(story, maps: 4, nested: 6)
    let replayed = try story.replay()
    #expect(replayed.operations.allSatisfy { $0.hasSuffix("derived") })
    #expect(replayed.result.vms[0].tableBasis == .assumed)
  }

  @Test("Nested guests show that the host runs without pKVM")
  func path() throws {
    let story = story()
    story.request = ProfileRequest()
    story.eret(.vcpu0)
    story.handleNested(.vcpu0, story.memory)
    let profile = try story.replay().result.profile
    #expect(!profile.isPKVM && profile.basis[.path] == .derived)
    // Nor do their faults say anything of the table's first level.
    #expect(profile.profile.ipaBits == 40)
  }

  @Test(
    "A guest hypervisor that returns to its own EL2 or user space stays on the VM's own stage 2",
    arguments: [Scenario.Regime.hypervisor, .hostUser])
  func ownRegime(regime: Scenario.Regime) throws {
    let story = story()
    story.eret(.vcpu0, to: regime)
    story.handle(.vcpu0, story.memory + story.page)
    story.exit(.vcpu0, exceptionClass: 0x18)
    story.exception(.vcpu0, from: regime)
    story.handle(.vcpu0, story.memory + 2 * story.page)
    try expect(story, maps: 3, nested: 0)
  }

  @Test("An access of a nested guest to a device is at another address than its fault")
  func device() throws {
    let story = story()
    story.eret(.vcpu0)
    story.fault(.vcpu0, story.memory, level: 0)
    story.mmio(.vcpu0, 0x900_0000)
    story.enter(.vcpu0)
    try expect(story, maps: 1, nested: 1)
  }

  @Test("A vCPU can be in a nested guest when tracing begins, as the first event tells that leads out of it")
  func begunInside() throws {
    let story = Scenario.nested()
    story.createSlot()
    story.enter(.vcpu0, pc: 0x80_0000)
    story.handleNested(.vcpu0, story.memory)
    story.handleNested(.vcpu0, story.memory + story.page, level: 3)
    story.exit(.vcpu0, exceptionClass: 0x16)
    story.exception(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1)
    try expect(story, maps: 1, nested: 2)
  }

  @Test("Of two vCPUs one can run a nested guest and the other not")
  func vcpus() throws {
    let story = story()
    story.enter(.vcpu1)
    story.eret(.vcpu0)
    story.handle(.vcpu1, story.memory + story.page)
    story.handleNested(.vcpu0, story.memory + story.page)
    story.handle(.vcpu1, story.memory + 2 * story.page)
    try expect(story, maps: 3, nested: 1)
  }

  @Test("An unmap of the VM's memory takes its page, whatever else the guest hypervisor made of it")
  func unmap() throws {
    let story = story()
    story.eret(.vcpu0)
    story.handleNested(.vcpu0, story.memory)
    story.unmap(.kswapd, story.crookedHVA)
    story.age(.kswapd, story.crookedHVA + story.page)
    story.fault(.vcpu0, story.memory, level: 0, pc: 0x80_0000)
    story.exception(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1)
    let replayed = try story.replay()
    #expect(replayed.divergences == [])
    #expect(replayed.operations(.map).count == 2 && replayed.operations(.unmap).count == 1)
  }

  @Test("A reset of the guest ends its guests: each vCPU begins in the guest hypervisor")
  func reset() throws {
    let story = story()
    story.enter(.vcpu1)
    story.handle(.vcpu1, story.memory + 2 * story.page)
    story.eret(.vcpu1)
    story.exit(.vcpu0, exceptionClass: 0x16)
    story.emit(KVMEventFormats.userspaceExit, .vcpu0, [24, 0])
    // Still out of the VMM's reach.
    story.handleNested(.vcpu1, story.memory)
    story.exit(.vcpu1, exceptionClass: 1)
    story.exitToVMM(.vcpu1, errno: -4)
    story.enter(.vcpu1)
    story.handle(.vcpu1, story.memory + story.page)
    try expect(story, maps: 3, nested: 1)
  }

  @Test("The next VM of a thread begins on its own stage 2")
  func nextVM() throws {
    let story = story()
    story.eret(.vcpu0)
    story.handleNested(.vcpu0, story.memory)
    story.exit(.vcpu0, exceptionClass: 1)
    story.exitToVMM(.vcpu0)
    story.createSlot(kvm: 0xffff_8000)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1)
    let result = try story.replay().result
    #expect(result.vms.map(\.faults.nested) == [1, 0] && result.vms.map(\.faults.total) == [1, 1])
  }

  @Test("Where events are lost that led into or out of a nested guest, the next one tells")
  func loss() throws {
    let story = story()
    story.exit(.vcpu0, exceptionClass: 0x1a)
    story.loseEvents(cpu: 0)
    story.handleNested(.vcpu0, story.memory + 7 * story.page)
    story.fault(.vcpu0, story.memory + 8 * story.page, pc: 0x80_0000)
    story.exception(.vcpu0)
    story.eret(.vcpu0)
    story.handleNested(.vcpu0, story.memory + 9 * story.page)
    story.loseEvents(cpu: 0)
    story.handle(.vcpu0, story.memory + story.page)
    story.eret(.vcpu0)
    story.handleNested(.vcpu0, story.memory + 9 * story.page)
    let replayed = try story.replay()
    #expect(replayed.result.divergences.unexplained == 0)
    #expect(replayed.operations(.map).map { $0.prefix(12) } == ["map 40000000", "map 40001000"])
    #expect(replayed.result.vms[0].faults.nested == 4)
  }

  @Test(
    "Without events of nesting, a trapped ERET leads into a nested guest, and a vector out of it; all is assumed"
  )
  func exitsAlone() throws {
    let story = story(recordsNesting: false)
    for number in 1...3 as ClosedRange<UInt64> {
      story.eret(.vcpu0, isRecorded: false)
      story.handleNested(.vcpu0, story.memory)
      // An instruction that KVM emulates.
      story.exit(.vcpu0, exceptionClass: 0x18, pc: 0x80_0000)
      story.enter(.vcpu0, pc: 0x80_0004)
      story.fault(.vcpu0, story.memory, level: 0, pc: 0x80_0004)
      story.exception(.vcpu0, isRecorded: false)
      story.handle(.vcpu0, story.memory + number * story.page)
    }
    let replayed = try story.replay()
    #expect(replayed.result.divergences.unexplained == 0)
    #expect(replayed.operations(.map).count == 4 && replayed.result.vms[0].faults.nested == 6)
    #expect(replayed.operations.allSatisfy { $0.hasSuffix("assumed") })
    let missing = replayed.result.missingEvents.filter(\.isEssential).flatMap(\.events)
    #expect(missing == ["kvm_nested_eret", "kvm_inject_nested_exception"])
  }

  @Test("Operations on a shadow stage 2 are not among those that a prediction is held against")
  func probes() throws {
    let story = Scenario.nested()
    func map(_ table: UInt64, _ ipa: UInt64) {
      story.emit(StageTwoProbeFormats.map, .vcpu0, [0, table, ipa, story.page, 0, 0xc, 0, 0])
      story.emit(StageTwoProbeFormats.mapReturn, .vcpu0, [0, 0, 0])
    }
    story.createSlot()
    story.enter(.vcpu0)
    story.fault(.vcpu0, story.memory, level: 1, .write)
    map(0x77, story.memory)
    story.enter(.vcpu0)
    story.eret(.vcpu0)
    story.fault(.vcpu0, 0, level: 0, pc: 0x80_0000)
    map(0x99, 0)
    story.enter(.vcpu0, pc: 0x80_0000)
    let scores = try #require(try story.replay().result.agreement?.scores)
    #expect(scores[.map]?.recorded == 1 && scores[.map]?.matched == 1)
  }

  @Test("The survey reads ahead where the trace can be read once")
  func onePass() throws {
    let story = Scenario.nested()
    story.createSlot()
    story.enter(.vcpu0, pc: 0x80_0000)
    story.handleNested(.vcpu0, story.memory)
    story.exit(.vcpu0, exceptionClass: 0x16)
    story.exception(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1)
    for number in 1..<80 as Range<UInt64> { story.handle(.vcpu0, story.memory + number * story.page) }
    // The event that led into a nested guest is lost; the one that leads out of it comes when the replay has begun.
    story.exit(.vcpu0, exceptionClass: 0x1a)
    story.loseEvents(cpu: 0)
    story.handleNested(.vcpu0, story.memory)
    story.exit(.vcpu0, exceptionClass: 0x16)
    story.exception(.vcpu0)
    for number in 80..<120 as Range<UInt64> { story.handle(.vcpu0, story.memory + number * story.page) }
    let file = try UnnamedFile(story.bytes())
    let trace = MemoryTrace(try TraceFile(path: file.path))
    var options = ReplayOptions()
    options.recordsAhead = 100
    let (result, _) = try Replay.run(over: ReadOnce(trace), profile: ProfileRequest(), options: options)
    #expect(result.vms[0].faults.nested == 2 && result.divergences.unexplained == 0)
  }
}
