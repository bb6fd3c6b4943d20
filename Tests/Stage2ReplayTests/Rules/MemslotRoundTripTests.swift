import KVMTrace
import KVMTypes
import Testing
import TraceMutation
import UnnamedFiles

@testable import Stage2Replay

/// What a survey puts down of memslots leads to the same operations as the events that it was made of.
@Suite("Memslots that a trace tells, given back")
struct MemslotRoundTripTests {
  private func survey(_ trace: some EventSource) -> MemslotHistory {
    var survey = MemslotSurvey(pageSize: .size4K)
    _ = trace.forEachRun(.replay(probes: false)) { survey.consume($0) }
    return survey.history
  }

  private func trace(_ story: Scenario) throws -> MemoryTrace {
    let file = try UnnamedFile(story.bytes())
    return MemoryTrace(try TraceFile(path: file.path))
  }

  /// The operations, each with the thread and the CPU, but without the basis.
  private func operations(_ trace: MemoryTrace, _ memslots: MemslotHistory?) throws -> [String] {
    var options = ReplayOptions()
    options.memslots = memslots
    var lines: [String] = []
    _ = try Replay.run(over: trace, profile: ProfileRequest(), options: options) {
      lines.append("\($0.line.split(separator: ",")[0]) by \($0.tid.rawValue) on \($0.cpu.rawValue)")
    }
    return lines
  }

  private func expectSame(_ trace: MemoryTrace, sourceLocation: SourceLocation = #_sourceLocation) throws {
    let told = try operations(trace, nil)
    #expect(!told.isEmpty, sourceLocation: sourceLocation)
    #expect(try operations(trace, survey(trace)) == told, sourceLocation: sourceLocation)
  }

  @Test("A change is that of the thread that made it, which need not be the one that made the VM")
  func threads() throws {
    let story = Scenario()
    let migration = Scenario.Thread(tid: 1009, cpu: 2)
    story.createSlot(id: 1)
    story.createSlot(migration, id: 2, ipa: 0x8000_0000, hva: 0xfe00_0000_1000)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1, .write)
    story.setFlags(1, migration, id: 1)
    story.deleteSlot(migration, ipa: 0x8000_0000)
    let trace = try trace(story)
    let slots = try #require(survey(trace).vms.first?.slots)
    #expect(slots.map(\.fromOrigin.thread) == [nil, ThreadID(1009)])
    #expect(slots[0].changes.map(\.origin.thread) == [ThreadID(1009)])
    #expect(slots[1].toOrigin.thread == ThreadID(1009))
    #expect(try operations(trace, nil).contains("wrprotect 40000000+400000 = 0 by 1009 on 2"))
    try expectSame(trace)
  }

  @Test(
    "With slots that are given, what contradicts the table is not known; what needs no slots is as before")
  func contradictions() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1)
    story.handle(.vcpu0, story.memory + story.page)
    // It is mapped.
    story.handle(.vcpu0, story.memory)
    story.exit(.vcpu0)
    story.enter(.vcpu0)
    let trace = try trace(story)
    func causes(_ memslots: MemslotHistory?) throws -> [String] {
      var options = ReplayOptions()
      options.memslots = memslots
      let items = try Replay.run(over: trace, profile: ProfileRequest(), options: options).result.divergences
        .items
      return items.map { "\($0.rule.id) \($0.verdict.name)" }.sorted()
    }
    // As they are read from a file.
    var given = survey(trace)
    for place in given.vms[0].slots.indices { given.vms[0].slots[place].slot.basis = .assumed }
    #expect(try causes(nil) == ["D1 unexplained", "O2 unexplained"])
    #expect(try causes(given) == ["D1 unknown", "O2 unexplained"])
    try expectSame(trace)
  }

  @Test("In one tick of a clock a slot comes and goes where it did")
  func ticks() throws {
    let story = Scenario()
    let vmm = Scenario.Thread(tid: 1000, cpu: 0)
    story.wait(microseconds: 2_000_000)
    story.enter(.vcpu0)
    story.createSlot(vmm)
    story.handle(.vcpu0, story.memory, level: 1, .write)
    story.moveSlot(vmm, to: 0x8000_0000)
    story.handle(.vcpu0, 0x8000_0000, level: 2, .write)
    story.moveSlot(vmm, from: 0x8000_0000, to: story.memory)
    story.setFlags(1, vmm)
    story.handle(.vcpu0, story.memory, level: 3, .write)
    let trace = try trace(story).coarsened(to: Nanoseconds(1_000_000_000))
    let slots = try #require(survey(trace).vms.first?.slots)
    #expect(slots.count == 3 && slots[1].from == slots[1].to)
    #expect(slots[1].fromOrigin.place < slots[1].toOrigin.place)
    try expectSame(trace)
  }

  @Test("A slot that moves takes its dirty log along")
  func move() throws {
    let old = Memslot(
      id: 3, base: GFN(0x100), pages: 16, hva: HVA(0x7000_0000), flags: .logDirtyPages, basis: .assumed)
    var new = old
    new.base = GFN(0x200)
    var history = MemslotHistory()
    history.vms = [.init()]
    history.vms[0].slots = [
      .init(old, from: Nanoseconds(5), to: Nanoseconds(10)), .init(new, from: Nanoseconds(10)),
    ]
    func changes() -> [MemslotChange] {
      var schedule = MemslotSchedule(history)
      var changes: [MemslotChange] = []
      while let entry = schedule.takeNext(upTo: Nanoseconds(100), place: 0) {
        if case .update(let update) = entry.step { changes.append(update.change) }
      }
      return changes
    }
    #expect(changes() == [.create, .move])
    // Other memory is another slot.
    history.vms[0].slots[1].slot.hva = HVA(0x7100_0000)
    #expect(changes() == [.create, .delete, .create])
  }

  @Test("Of a slot that was there before the trace, what inference found out is put down, too")
  func completed() throws {
    let trace = try Recordings.trace("pkvm-nvhe-7.3.4-joined-guests.dat")
    var survey = MemslotSurvey(pageSize: .size4K)
    _ = trace.forEachRun(.replay(probes: false)) { survey.consume($0) }
    let vms = survey.history.vms
    #expect(vms.allSatisfy { $0.tids?.count == 2 && $0.isPartial })
    #expect(vms.flatMap(\.slots).allSatisfy { $0.slot.hva != nil })
  }

  @Test("Where nothing is known of a table, that a slot is assumed makes no more of it")
  func unknownTable() throws {
    let story = Scenario()
    // The page is there, and only the trace does not say so.
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, .permission, level: 3, .write)
    story.setFlags(1)
    var history = survey(try trace(story))
    #expect(history.vms[0].isPartial)
    for place in history.vms[0].slots.indices { history.vms[0].slots[place].slot.basis = .assumed }
    story.options.memslots = history
    let replayed = try story.replay()
    #expect(replayed.operations.first == "relax_perms 40000000 = 0, assumed")
    #expect(replayed.divergences == ["D2 unknown E7"])
  }
}
