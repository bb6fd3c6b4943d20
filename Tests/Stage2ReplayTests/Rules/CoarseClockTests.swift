import KVMTrace
import KVMTypes
import Stage2Replay
import Testing
import TraceMutation
import UnnamedFiles

/// Clocks whose ticks are longer than what they should put in order, such as `uptime`.
@Suite("Coarse clocks")
struct CoarseClockTests {
  private func replay(_ trace: MemoryTrace) throws -> (result: ReplayResult, operations: [Stage2Operation]) {
    var operations: [Stage2Operation] = []
    let (result, _) = try Replay.run(over: trace, profile: ProfileRequest(), options: ReplayOptions()) {
      operations.append($0)
    }
    return (result, operations)
  }

  @Test(
    "By ticks of milliseconds nothing is contradicted, and nothing that is called derived is wrong",
    arguments: [
      "kvm-vhe-7.3.4-access-tracking.dat", "pkvm-nvhe-7.3.4-plain-guest.dat",
      "kvm-nvhe-6.12.107-memslot-move.dat",
    ], [1, 4, 10] as [UInt64])
  func recordings(name: String, milliseconds: UInt64) throws {
    let trace = MemoryTrace(try Recordings.trace(name))
    let (result, operations) = try replay(trace.coarsened(to: Nanoseconds(milliseconds * 1_000_000)))
    #expect(result.divergences.unexplained == 0)
    #expect(result.events.isUnordered && !result.measuresTime)
    let scores = try #require(result.agreement?.scores)
    #expect(scores.values.allSatisfy { $0.derivedWrong == 0 })
    #expect(operations.allSatisfy { $0.basis == .assumed } && !operations.isEmpty)
    #expect(result.lock == nil && result.vms.allSatisfy { $0.lock == nil && $0.sections.isEmpty })
    #expect(result.caveats.contains { $0.contains("do not order") })
  }

  /// A vCPU faults on a page and another one on it again, out of the blue.
  private func story(_ second: Scenario.Thread) throws -> MemoryTrace {
    let story = Scenario()
    story.createSlot(second.cpu == 0 ? Scenario.Thread(tid: 1000, cpu: 0) : .vmm)
    story.wait(microseconds: 2_000_000)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1, .write)
    story.enter(second)
    story.handle(second, story.memory, level: 3, pc: 0x2000)
    let file = try UnnamedFile(story.bytes())
    return MemoryTrace(try TraceFile(path: file.path))
  }

  @Test(
    "An event on another CPU contradicts nothing in a tick that has no order, and does so by a finer clock")
  func contradiction() throws {
    let trace = try story(.vcpu1)
    #expect(try replay(trace).result.divergences.unexplained == 1)
    let coarse = try replay(trace.coarsened(to: Nanoseconds(1_000_000_000))).result
    #expect(coarse.divergences.unexplained == 0 && coarse.divergences.unknown > 0)
    #expect(coarse.divergences.items.allSatisfy { $0.exception == .unorderedClock })
  }

  @Test("Events of one CPU keep their order by any clock: only times are not known")
  func oneCPU() throws {
    let trace = try story(Scenario.Thread(tid: 1002, cpu: 0))
    let coarse = try replay(trace.coarsened(to: Nanoseconds(1_000_000_000)))
    #expect(coarse.result.divergences.unexplained == 1 && !coarse.result.events.isUnordered)
    #expect(!coarse.result.measuresTime && coarse.operations.contains { $0.basis == .derived })
  }

  @Test("A clock of ticks that order everything leaves the operations as they are, and has no times")
  func counter() throws {
    var trace = MemoryTrace(try Recordings.trace("kvm-vhe-7.3.4-access-tracking.dat"))
    let operations = try replay(trace).operations
    for index in trace.records.indices { trace.records[index].time = Nanoseconds(UInt64(index + 1)) }
    trace.clock = TraceClock("counter")
    let (result, counted) = try replay(trace)
    #expect(!result.events.isUnordered && !result.measuresTime && result.lock == nil)
    #expect(counted.map(\.line) == operations.map(\.line))
  }
}
