import KVMTrace
import KVMTypes
import Stage2Model
import Testing

@testable import Stage2Replay

/// What an observer is told one by one is what the result counts.
@Suite("Somebody who looks at a replay while it goes on")
struct ObserverTests {
  /// All that is told.
  private final class Told {
    var faults: [ObservedFault] = []
    var holds: [(vm: Int, hold: RecordedHold)] = []
    var waits: [(vm: Int, wait: RecordedWait)] = []
    var divergences: [ObservedDivergence] = []
    var operations: [Stage2Operation] = []
    var vms: [ObservedVM] = []
    var memory: [ObservedMemory] = []

    var observer: ReplayObserver {
      var observer = ReplayObserver()
      observer.onFault = { self.faults.append($0) }
      observer.onHold = { self.holds.append(($0.vm, $0.hold)) }
      observer.onWait = { self.waits.append(($0.vm, $0.wait)) }
      observer.onDivergence = { self.divergences.append($0) }
      observer.onVM = { self.vms.append($0) }
      observer.onMemory = { self.memory.append($0) }
      return observer
    }
  }

  private static func replay(
    _ source: some EventSource, jobs: Int = 1
  ) throws -> (told: Told, result: ReplayResult) {
    let told = Told()
    var options = ReplayOptions()
    options.jobs = jobs
    let result = try Replay.run(
      source, profile: ProfileRequest(), options: options, observer: told.observer,
      onOperation: { told.operations.append($0) }
    ).result
    return (told, result)
  }

  @Test("Who does not want the kernel that is modelled ends the replay before anything else")
  func refusal() throws {
    struct Refusal: Error {}
    let told = Told()
    var observer = told.observer
    observer.onBegin = { _ in throw Refusal() }
    let trace = try Recordings.trace("pkvm-nvhe-7.3.4-guest-boot.dat")
    #expect(throws: Refusal.self) {
      try Replay.run(
        trace, profile: ProfileRequest(), options: ReplayOptions(), observer: observer.and(ReplayObserver()),
        onOperation: { told.operations.append($0) }, backend: { $0.makePKVM() })
    }
    #expect(told.vms.isEmpty && told.operations.isEmpty)
  }

  @Test(
    "Faults, holds, waits and divergences of a recording add up to its result",
    arguments: [
      "pkvm-nvhe-7.3.4-guest-boot.dat", "kvm-nvhe-7.3.4-twin-guests.dat", "pkvm-nvhe-7.3.4-page-fault.dat",
    ])
  func sums(_ name: String) throws {
    let (told, result) = try Self.replay(Recordings.trace(name))
    for vm in result.vms {
      let faults = told.faults.filter { $0.vm == vm.id }
      #expect(faults.count == vm.faults.total)
      #expect(faults.filter(\.isMMIO).count == vm.faults.mmio)
      #expect(faults.filter { $0.end == nil }.count == vm.faults.cut)
      for (kind, count) in [
        (FaultKind.translation, vm.faults.translation), (.permission, vm.faults.permission),
        (.accessFlag, vm.faults.accessFlag),
      ] {
        #expect(faults.filter { $0.kind == kind }.count == count)
      }
      #expect(faults.allSatisfy { fault in fault.end.map { fault.begin <= $0 } ?? true })
      let memory = told.memory.filter { $0.vm == vm.id }.map(\.sample)
      #expect(memory.last == MemorySample(vm.lastMemory ?? vm.memory))
      #expect(memory.map(\.pageMappings).max() == vm.memory.pageMappings.peak)
      let holds = told.holds.filter { $0.vm == vm.id }.map(\.hold)
      for (mode, summary) in [(LockMode.read, vm.lock?.readHold), (.write, vm.lock?.writeHold)] {
        let times = holds.filter { $0.mode == mode }.map(\.duration.rawValue)
        #expect(times.count == summary?.count ?? 0 && times.reduce(0, +) == summary?.total.rawValue ?? 0)
      }
      let waits = told.waits.filter { $0.vm == vm.id }.map(\.wait)
      for (mode, summary) in [(LockMode.read, vm.lock?.readWait), (.write, vm.lock?.writeWait)] {
        let times = waits.filter { $0.mode == mode }.map(\.duration.rawValue)
        #expect(times.count == summary?.count ?? 0 && times.reduce(0, +) == summary?.total.rawValue ?? 0)
      }
    }
    for (verdict, count) in [
      (DivergenceVerdict.unexplained, result.divergences.unexplained),
      (.explained, result.divergences.explained), (.unknown, result.divergences.unknown),
    ] {
      #expect(told.divergences.filter { $0.verdict == verdict }.count == count)
    }
    #expect(
      told.vms
        == result.vms.map { ObservedVM(id: $0.id, creator: $0.creator, isProtected: $0.isProtected) })
    #expect(told.faults.count > 1000 && told.operations.count > 1000)
  }

  @Test("A fault's operation is at the end of its window")
  func operationsOfFaults() throws {
    let (told, _) = try Self.replay(Recordings.trace("pkvm-nvhe-7.3.4-guest-boot.dat"))
    struct End: Hashable {
      var tid: ThreadID
      var time: Nanoseconds
    }
    let ends = Set(told.faults.compactMap { fault in fault.end.map { End(tid: fault.tid, time: $0) } })
    let led = told.operations.filter { [.map, .relaxPerms, .mkyoung].contains($0.kind) }
    #expect(led.count > 2000 && led.allSatisfy { ends.contains(End(tid: $0.tid, time: $0.time)) })
  }

  @Test("The same is told however many threads work, and in one pass")
  func sameForAll() throws {
    let name = "kvm-nvhe-7.3.4-twin-guests.dat"
    let (one, _) = try Self.replay(Recordings.trace(name))
    for (told, _) in [
      try Self.replay(Recordings.trace(name), jobs: 2), try Self.replay(ReadOnce(try Recordings.trace(name))),
    ] {
      #expect(told.faults == one.faults && told.operations == one.operations)
      #expect(Set(told.divergences) == Set(one.divergences))
      #expect(told.holds.map(\.hold) == one.holds.map(\.hold))
      #expect(told.waits.map(\.wait) == one.waits.map(\.wait))
    }
    #expect(one.divergences.count > 0 && one.waits.count > 0)
  }
}
